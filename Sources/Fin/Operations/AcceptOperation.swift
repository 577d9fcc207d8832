internal import CFin
internal import FinBase
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// The state that an `accept` keeps between attempts.
private struct AcceptState: OperationState {
  /// The number of attempts that found no client.
  var emptyLooks = 0
  var backoff = Backoff()
  /// Whether the last client of a stopped listener has been taken.
  var isDrained = false

  /// Decides how to wait when the kernel has no client. A queue that polls readable and is empty time after time gets a
  /// pause instead of a wait for readiness, which would end at once each time.
  mutating func blocked(_ core: Core, _ access: Access) -> Attempt<Core> {
    emptyLooks += 1
    // A task waits for the next edge, and each edge is reported once.
    guard access == .blocking, emptyLooks > AcceptFailure.mostInARow, core.isReadable(access) else {
      return .blocked(.input)
    }
    defer { backoff.grow() }
    return .pause(.time(backoff.pause))
  }
}

extension Core {
  /// Takes the next client, in a thread.
  func accept(_ timeout: inout LazyDeadline, site: Ledger.Site) throws(SocketError) -> Core {
    var isSettled = false
    while true {
      var progress = AcceptState()
      do {
        return try perform(.using, .accept, &timeout, &progress) { progress, access throws(SocketError) in
          try takeClient(site, &progress, access)
        }
      } catch {
        guard progress.isDrained else { throw error }
        if isSettled {
          // The last queued client of a stopped listener is out: now the port is released, and no client is reset.
          end(.drained)
          throw error
        }
      }
      // A client may come between this look and the next one, which is the last when no further one can.
      if let pause = pauseForHandshakes() { try awaitHandshakes(pause, &timeout) } else { isSettled = true }
    }
  }

  /// Takes the next client, in a task.
  nonisolated(nonsending) func accept(
    _ timeout: inout LazyDeadline, site: Ledger.Site
  ) async throws(SocketError) -> Core {
    var isSettled = false
    while true {
      var progress = AcceptState()
      do {
        return try await perform(.using, .accept, &timeout, &progress) { progress, access throws(SocketError) in
          try takeClient(site, &progress, access)
        }
      } catch {
        guard progress.isDrained else { throw error }
        if isSettled {
          await end(.drained)
          throw error
        }
      }
      if let pause = pauseForHandshakes() { try await awaitHandshakes(pause, &timeout) } else { isSettled = true }
    }
  }

  private func takeClient(
    _ site: Ledger.Site, _ progress: inout AcceptState, _ access: Access
  ) throws(SocketError) -> Attempt<Core> {
    var isSomebodyWaiting = false
    var clientsFailed = 0
    while true {
      if phase == .paused { throw error(.accept, .paused) }
      let isStopping = phase == .stopping
      if isStopping, closing.withLock({ $0.isHandedOver }) { throw drained(&progress) }
      let (resumptions, isRefusing, drain) = closing.withLock { ($0.resumptions, $0.refusal != nil, $0.drain) }
      let cached = CachedReadiness(of: self, access)
      // A stopped listener's queued clients are taken without consulting the cached readiness.
      if !isStopping, !cached.mayBeReady(.input) { return .blocked(.input) }
      let code: Errno
      do {
        let (number, peer, family) = try nextClient(access)
        // It has inherited the filter of a listener that refuses clients, or did so before it was resumed.
        if isRefusing || isStopping { Syscalls.takeNewHandshakes(number) }
        // A connection inherits the options of its listener, `TCP_USER_TIMEOUT` among them.
        let connectionState = ConnectionState(userTimeout: self.connectionState.value.userTimeout, drain: drain)
        return .done(
          Core(
            Descriptor(owning: number), family: family, kind: kind, phase: .connected, peer: peer,
            connectionState: connectionState,
            ledger: ledger, site: site))
      } catch { code = error }
      if code == .resourceTemporarilyUnavailable || (code == .invalidArgument && phase == .stopping) {
        if isStopping { throw drained(&progress) }
        if family == .unix, isShutDown(access) {
          // Either our own stop shut it down, or another program did, which ends the listener as well.
          if phase == .stopping { continue }
          throw error(.accept, .system(.invalidArgument), note: "another holder of this socket shut it down")
        }
        cached.clear([.input, .inputIsPartial])
        return progress.blocked(self, access)
      }
      if code == .invalidArgument {
        if phase == .paused { throw error(.accept, .paused) }
        // The listener was resumed before this accept noticed the pause: it is listening again.
        if closing.withLock({ $0.resumptions }) != resumptions { continue }
      }
      switch acceptFailure(code, access) {
      case .client:
        clientsFailed += 1
        if clientsFailed == AcceptFailure.mostInARow { throw error(.accept, .system(code)) }
      case .capacity, .refused:
        // The kernel allocates a descriptor and asks its filters before it looks for a client: without a client there
        // is nothing to fail. A client that came after the refusal may be accepted: only a second refusal is an error.
        if isSomebodyWaiting { throw error(.accept, .system(code)) }
        isSomebodyWaiting = isReadable(access)
        if isSomebodyWaiting { continue }
        if isStopping { throw drained(&progress) }
        cached.clear([.input, .inputIsPartial])
        return .blocked(.input)
      case .listener: throw error(.accept, .system(code))
      }
    }
  }

  private func drained(_ progress: inout AcceptState) -> SocketError {
    progress.isDrained = true
    return error(.accept, .closed)
  }

  /// Whether a client is queued, according to `poll(2)`.
  fileprivate func isReadable(_ access: Access) -> Bool {
    ((try? Syscalls.poll(waitingNumber(access), CInt(POLLIN), until: .passed)) ?? nil) != nil
  }

  /// `accept4(2)`. It has no flag that makes one call non-blocking, and another holder of the listener may have made
  /// the listener blocking, so it is polled first in that case.
  private func nextClient(_ access: Access) throws(Errno) -> (CInt, SocketAddress?, AddressFamily) {
    guard let further else {
      let (client, peer) = try nextClientHere(access)
      return (client, peer, family)
    }
    for core in further.inTurn(with: self) {
      do throws(Errno) {
        let (client, peer) = try core.nextClientHere(access)
        return (client, peer, core.family)
      } catch {
        guard error == .resourceTemporarilyUnavailable else { throw error }
      }
    }
    throw .resourceTemporarilyUnavailable
  }

  private func nextClientHere(_ access: Access) throws(Errno) -> (CInt, SocketAddress?) {
    if try Syscalls.isBlocking(number(access)), try Syscalls.poll(number(access), CInt(POLLIN), until: .passed) == nil {
      throw .resourceTemporarilyUnavailable
    }
    return try Syscalls.accept(number(access))
  }

  /// - Parameter resettingQueue: whether a TCP listener leaves LISTEN, which resets the clients in its queue.
  func pause(resettingQueue: Bool) throws(SocketError) {
    try withAccess(.pause) { access throws(SocketError) in
      // Wakes waiting accepts: no event reports a pause to them that keeps the queue.
      defer { gate.wakeParked() }
      // One pause, resumption or stop at a time: the phase and the kernel's state must not diverge.
      try making.withLock { _ throws(SocketError) in
        guard advance(.pause) != nil else { throw error(.pause, .invalid("the listener is \(phase)")) }
        do throws(Errno) { try leaveListening(resettingQueue, access) } catch {
          advance(.resume)
          throw self.error(.pause, .system(error))
        }
        for core in further?.members ?? [] { try core.pause(resettingQueue: resettingQueue) }
      }
    }
  }

  private func leaveListening(_ isResettingQueue: Bool, _ access: Access) throws(Errno) {
    // A Unix listener cannot accept again after shutdown(SHUT_RD). It keeps its queue, with a backlog of 0.
    if family == .unix { return try Syscalls.listen(number(access), 0) }
    if !isResettingQueue { return try dropHandshakes(access) }
    let address = local
    try Syscalls.shutdown(number(access), CInt(SHUT_RD))
    if let address { try keepPort(address, access) }
  }

  /// Keeps the port of a paused listener. A port that the kernel chose is released when the socket leaves LISTEN,
  /// though `getsockname` still names it, so it is bound again at once. As no socket listens on it then, another
  /// program that sets `SO_REUSEADDR` could take it, so the option is off on this socket until ``resume(backlog:)``.
  private func keepPort(_ address: SocketAddress, _ access: Access) throws(Errno) {
    do { try Syscalls.bind(number(access), address) } catch {
      // A port that was requested by number stays; bind(2) then fails because the socket is bound.
      if error != .invalidArgument { throw error }
    }
    try setReuse(false, access)
  }

  func setReuse(_ isOn: Bool, _ access: Access) throws(Errno) {
    if isTCP { try Syscalls.setIntegerOption(number(access), SOL_SOCKET, SO_REUSEADDR, isOn ? 1 : 0) }
  }

  func resume(backlog: Int) throws(SocketError) {
    try withAccess(.resume) { access throws(SocketError) in
      try making.withLock { _ throws(SocketError) in
        guard phase == .paused else { throw error(.resume, .invalid("the listener is \(phase)")) }
        do throws(Errno) {
          try setReuse(true, access)
          try Syscalls.listen(number(access), CInt(clamping: backlog))
          takeHandshakes(access)
        } catch {
          try? setReuse(false, access)
          throw self.error(.resume, .system(error))
        }
        // A port of a further address that another program has taken leaves the listener as it was: paused.
        let members = further?.members ?? []
        for (index, core) in members.enumerated() {
          do throws(SocketError) { try core.resume(backlog: backlog) } catch {
            for core in members[..<index] { try? core.pause(resettingQueue: true) }
            do throws(Errno) { try leaveListening(true, access) } catch { throw self.error(.resume, .system(error)) }
            throw error
          }
        }
        closing.withLock { $0.resumptions += 1 }
        advance(.resume)
      }
      // Servers that wait for the resumption look again.
      gate.wakeParked()
    }
  }

  /// Begins to stop. A second call can only bring the deadline nearer.
  func stop(within: Timeout) {
    let deadline = Deadline(allowing: within.or(.seconds(10)))
    // Set before the phase: a thread that sees the phase `stopping` must also see its deadline.
    let waiters = closing.withLock { state in
      state.drain.begin()
      state.drainDeadline = min(state.drainDeadline, deadline)
      return state.drainWaiters
    }
    waiters.forEach { $0.wake() }
    do {
      try withAccess(.accept) { access throws(SocketError) in
        making.withLock { _ in
          if advance(.stop) != nil { refuseNewcomers(access) }
        }
        gate.wakeParked()
      }
    } catch {
      // Released already: only the handlers are left to stop.
    }
  }

  private func refuseNewcomers(_ access: Access) {
    // Another process may hold an adopted listener and go on serving it: a service manager starts the next server with
    // it.
    if closing.withLock({ $0.isAdopted }) { return }
    // Each of the further sockets refuses its own clients.
    for core in further?.members ?? [] { core.stop(within: .never) }
    refuseClients(access)
  }

  /// Wakes `waker` at each stop from now on, until ``unhearStops(_:)``, because a later stop may end the drain earlier.
  /// Each server of the listener registers its own.
  func hearStops(_ waker: any Wakeable) { closing.withLock { $0.drainWaiters.append(waker) } }

  func unhearStops(_ waker: any Wakeable) { closing.withLock { _ = $0.drainWaiters.take { $0 === waker } } }

  /// The deadline of the drain of a stopped listener; `.never` before the listener is stopped.
  var drainDeadline: Deadline { closing.withLock { $0.drainDeadline } }
}
