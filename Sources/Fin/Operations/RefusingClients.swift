internal import CFin
internal import FinBase
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// How a listener refuses new clients and keeps those that it has: in its queue, and in handshakes under way.
///
/// `listen(fd, 0)` does not do it over TCP: it narrows the queue, so that the kernel drops the last segment of a
/// handshake whose client believes that it is connected; and a client that connects between the last `accept` and
/// `close` is reset. A filter on the listener drops the first segment of each new handshake instead, as if it had been
/// lost. Its client sends it again after a second, and finds the port closed, or resumed, or taken by a successor.
///
/// On a Unix listener, `shutdown(SHUT_RD)` refuses at once and keeps the queue. It is final.
extension Core {
  /// The shortest time between the filter and the close. A segment that passed before the filter was there is in the
  /// kernel's table of handshakes by then.
  private static let shortestRefusal = Duration.milliseconds(10)
  /// The longest time that the last handshakes get to finish. A client repeats a lost segment after 1 s and after 3 s.
  private static let longestRefusal = Duration.milliseconds(3500)

  /// Refuses new clients, for good.
  ///
  /// - Returns: whether none can slip in between the last look at the queue and the close.
  @discardableResult
  func refuseClients(_ access: Access) -> Bool {
    if family == .unix { return (try? Syscalls.shutdown(number(access), CInt(SHUT_RD))) != nil }
    if (try? dropHandshakes(access)) != nil { return true }
    // The program has a filter of its own, or a lock on it, or a security module forbids one. With a backlog of 0,
    // Linux has room for one more client. A paused listener does not listen, and has no queue.
    if isListening(access) { try? Syscalls.listen(number(access), 0) }
    return false
  }

  /// Drops the first segment of each new handshake, until ``takeHandshakes(_:)``.
  ///
  /// - Throws: `EEXIST` when the socket has a filter of the program's own, which this one would replace.
  func dropHandshakes(_ access: Access) throws(Errno) {
    if closing.withLock({ $0.refusal == nil }), Syscalls.hasFilter(number(access)) { throw .fileExists }
    try Syscalls.dropNewHandshakes(number(access))
    closing.withLock { $0.refusal = .now }
  }

  /// Takes new handshakes again.
  func takeHandshakes(_ access: Access) {
    guard closing.withLock({ $0.refusal.take() }) != nil else { return }
    Syscalls.takeNewHandshakes(number(access))
  }

  /// How long a stopped listener whose queue is empty waits before it looks again; `nil` when no client can come any
  /// more, or when the time for them is over.
  func pauseForHandshakes() -> Duration? {
    // A stop that is not yet through has changed the phase, and not yet refused clients.
    guard let latest = making.withLock({ _ in refusalsBegan.max() }), !drainDeadline.hasPassed else { return nil }
    let elapsed = Instant(nanoseconds: latest).elapsed
    if elapsed < Core.shortestRefusal { return Core.shortestRefusal - elapsed }
    let handshakes = handshakes
    if elapsed < Core.longestRefusal, handshakes > 0 { return Core.shortestRefusal }
    if handshakes > 0 { closing.withLock { $0.handshakesCut = handshakes } }
    return nil
  }

  /// How long a listener whose drain is over waits before its queue is counted: the last segments of handshakes that
  /// began before the refusal are a moment away. `nil` when they are through, or have had their time.
  func pauseBeforeCounting() -> Duration? {
    guard let latest = making.withLock({ _ in refusalsBegan.max() }) else { return nil }
    let elapsed = Instant(nanoseconds: latest).elapsed
    if elapsed < Core.shortestRefusal { return Core.shortestRefusal - elapsed }
    return elapsed < Core.shortestRefusal * 5 && handshakes > 0 ? Core.shortestRefusal / 2 : nil
  }

  /// The number of handshakes that the end of a stopped listener cut off. One of its servers reports it.
  func takeHandshakesCut() -> Int {
    closing.withLock { state in
      defer { if state.handshakesCut > 0 { state.handshakesCut = 0 } }
      return state.handshakesCut
    }
  }

  /// When the sockets of this listener began to refuse handshakes, in nanoseconds of the monotonic clock.
  private var refusalsBegan: [Int64] {
    ([self] + (further?.members ?? [])).compactMap { core in core.closing.withLock { $0.refusal?.nanoseconds } }
  }

  /// The number of handshakes with this listener that are under way, as far as the kernel says; 0 for a listener whose
  /// queue is left as it is. Their clients may believe that they are connected.
  var handshakes: Int {
    guard isTCP, closing.withLock({ $0.refusal != nil }) else { return 0 }
    let ports = Set(localAddresses.compactMap(\.port))
    return ports.reduce(0) { $0 + (SocketDiagnosis.handshakes(atPort: $1) ?? 0) }
  }

  /// The clients of a listener that is about to be closed, which the kernel will reset.
  ///
  /// - Parameter access: of an operation inside the gate.
  func clientsToBeReset(_ access: Access) -> Int {
    // They are the successor's.
    if closing.withLock({ $0.isHandedOver }) { return 0 }
    // Another process may hold an adopted listener: its queue is not refused, and is whole until the last close.
    if !closing.withLock({ $0.isAdopted }) { refuseClients(access) }
    let own: Int
    if isTCP {
      // On a listener tcpi_unacked is the length of the accept queue.
      own = (try? TCPInfo.read(number(access)))?.segmentsUnacknowledged ?? 0
    } else {
      let inode = (try? Syscalls.status(number(access))).map { UInt32(truncatingIfNeeded: $0.st_ino) }
      own = inode.flatMap { SocketDiagnosis.clientsQueued(atUnixListener: $0) } ?? 0
    }
    return (further?.members ?? []).reduce(own) { sum, core in
      sum + ((try? core.withAccess(.accept) { core.clientsToBeReset($0) }) ?? 0)
    }
  }

  func closeListener() -> ListenerReport {
    let queued = (try? withAccess(.accept) { clientsToBeReset($0) }) ?? 0
    return ListenerReport(clientsReset: end() ? queued : 0)
  }

  nonisolated(nonsending) func closeListener() async -> ListenerReport {
    let queued = (try? withAccess(.accept) { clientsToBeReset($0) }) ?? 0
    return ListenerReport(clientsReset: await end() ? queued : 0)
  }
}

/// Waiting for the last handshakes.
extension Core {
  /// Waits for `pause`, in a thread.
  func awaitHandshakes(_ pause: Duration, _ timeout: inout LazyDeadline) throws(SocketError) {
    let deadline = timeout.deadline
    if deadline.hasPassed { throw error(.accept, .timedOut) }
    let parker = Parker()
    guard gate.park(parker) else { throw error(.accept, .closed) }
    defer { gate.unpark(parker) }
    _ = parker.park(until: min(deadline, Deadline(after: pause)))
  }

  /// Waits for `pause`, in a task.
  nonisolated(nonsending) func awaitHandshakes(
    _ pause: Duration, _ timeout: inout LazyDeadline
  ) async throws(SocketError) {
    let deadline = timeout.deadline
    if deadline.hasPassed { throw error(.accept, .timedOut) }
    let registration: Registration
    do { registration = try Reactor.nearest().makeRegistration() } catch { throw self.error(.accept, error.cause) }
    defer { registration.leave() }
    guard gate.park(registration) else { throw error(.accept, .closed) }
    defer { gate.unpark(registration) }
    switch await registration.park(.nothing, until: min(deadline, Deadline(after: pause))) {
    case .ready, .look, .timedOut: break
    case .cancelled: throw error(.accept, .cancelled)
    case .stopped: throw error(.accept, .reactorStopped)
    }
  }
}
