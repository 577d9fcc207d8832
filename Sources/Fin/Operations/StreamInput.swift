internal import CFin
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// Receiving from a stream. Every method runs inside the gate as the only reader and makes one attempt; a result of
/// `nil` means that nothing is available yet.
extension Core {
  /// Receives the available bytes, at most the size of `room`.
  ///
  /// - Returns: 0 only when the peer has finished; `nil` when nothing is available yet.
  func receiveSome(into room: UnsafeMutableRawBufferPointer, _ access: Access) throws(SocketError) -> Int? {
    #if TLS
    if isSecured { return try unsafe receiveSecured(into: room, access) }
    #endif
    return try unsafe receiveFromWire(into: room, access)
  }

  /// Receives the available bytes as they are on the wire.
  func receiveFromWire(into room: UnsafeMutableRawBufferPointer, _ access: Access) throws(SocketError) -> Int? {
    let cached = CachedReadiness(of: self, access)
    if !cached.mayBeReady(.input) { return nil }
    let count: Int
    do { count = try unsafe Syscalls.receive(number(access), room) } catch {
      if error == .resourceTemporarilyUnavailable {
        cached.clear([.input, .inputIsPartial])
        return nil
      }
      // The peer's EOF was read and stays an EOF, whatever error came after it. MPTCP returns ENOTCONN after a reset
      // that was reported before.
      let cause = connectionState.value.failure ?? fail(error)
      if connectionState.value.sawEnd { return 0 }
      throw self.error(.receive, cause)
    }
    if count == 0 { try checkEnd(access) } else { noteReceived(count) }
    // TCP returns all it has, so a short read means empty. A Unix stream stops at passed descriptors or another
    // sender's bytes.
    if count < room.count, isTCP { cached.clear(.input, unless: .inputIsPartial) }
    return count
  }

  /// Checks an EOF that the kernel returned. After a reset that another call has taken, the kernel also returns EOF: it
  /// is genuine only if nothing has failed.
  func checkEnd(_ access: Access) throws(SocketError) {
    let state = connectionState.value
    if state.sawEnd { return }
    // The kernel reports a reset that came after the peer's FIN as EPIPE: the EOF is genuine, and sending is over.
    if let failure = state.failure, failure != .peerClosed { throw error(.receive, failure) }
    // If our FIN was sent, two FINs lead to CLOSED. If it was not, only a reset leads there.
    if isTCP, state.failure == nil, !state.finishedSending, let info = try? TCPInfo.read(number(access)),
      info.state == .closed
    {
      // Read once more: another thread may have finished sending meanwhile. It notes that before it sends the FIN.
      let now = connectionState.value
      let cause =
        now.finishedSending
        ? now.failure : fail(((try? Syscalls.takeError(number(access))) ?? nil) ?? .connectionReset)
      if let cause, cause != .peerClosed { throw error(.receive, cause) }
    }
    connectionState.update { $0.sawEnd = true }
    advance(.peerFinished)
  }

  /// Whether an attempt to receive may return something.
  func mayReceive(_ access: Access) -> Bool {
    #if TLS
    if isSecured { return mayReceiveSecured(access) }
    #endif
    return CachedReadiness(of: self, access).mayBeReady(.input)
  }

  /// The wait of a receiver to which nothing came.
  func awaitInput<R>() -> Attempt<R> {
    #if TLS
    if isSecured, hasUnsentRecords() { return .pause(.time(.milliseconds(10))) }
    #endif
    return .blocked(.input)
  }

  /// Receives the next bytes into the read buffer.
  ///
  /// - Returns: the number of bytes received; 0 when the peer has finished; `nil` when nothing is available yet.
  func fill(_ access: Access) throws(SocketError) -> Int? {
    // A task checks the cached readiness first, so that an attempt that would receive nothing takes no stack space.
    if !mayReceive(access) { return nil }
    return try unsafe withUnsafeTemporaryAllocation(byteCount: ReadBuffer.chunk, alignment: 1) {
      room throws(SocketError) in
      guard let count = try unsafe receiveSome(into: room, access) else { return nil }
      withBuffer { unsafe $0.append(UnsafeRawBufferPointer(rebasing: room[..<count])) }
      return count
    }
  }

  /// Calls `body` with the read buffer, which is created at its first use. Only the reader inside the gate may
  /// call this.
  func withBuffer<R>(_ body: (inout ReadBuffer) -> R) -> R {
    if unsafe buffer == nil { unsafe buffer = ReadBuffer() }
    // Changed in place: a copy, however short its life, would make each append copy the whole buffer.
    return unsafe body(&buffer!)
  }

  var buffered: Int { unsafe buffer?.count ?? 0 }
}

/// The cached readiness of a socket, as the event loop last reported it, for an attempt in a task. The loop reports
/// each edge once, so a socket that is known to be empty need not be asked again. A thread keeps no such cache: it asks
/// the kernel each time, which reports levels.
@safe
struct CachedReadiness {
  // No reference is counted: the socket keeps its registration, and the operation that is inside the gate the socket.
  private let registration: Unmanaged<Registration>?
  private let snapshot: Registration.Snapshot?

  init(of core: Core, _ access: Access) {
    unsafe registration = access == .suspending ? core.lazyRegistration.borrow() : nil
    snapshot = unsafe registration?._withUnsafeGuaranteedRef { $0.snapshot }
  }

  /// Whether a system call may succeed.
  func mayBeReady(_ readiness: Readiness) -> Bool {
    guard let snapshot else { return true }
    return !snapshot.readiness.isDisjoint(with: readiness.union(.untracked))
  }

  /// Whether the last event included EOF, an error or an urgent byte.
  var isInputPartial: Bool { snapshot?.readiness.contains(.inputIsPartial) ?? false }

  /// Clears `readiness` in the cache, because the system call returned nothing or everything that was there. It does
  /// not when the cached readiness contains `exception`.
  func clear(_ readiness: Readiness, unless exception: Readiness? = nil) {
    guard let registration = unsafe registration, let snapshot else { return }
    if let exception, snapshot.readiness.contains(exception) { return }
    unsafe registration._withUnsafeGuaranteedRef { $0.clear(readiness, since: snapshot) }
  }
}
