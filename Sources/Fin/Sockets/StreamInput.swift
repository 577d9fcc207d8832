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
  func receiveSome(into room: UnsafeMutableRawBufferPointer, _ world: World) throws(SocketError) -> Int? {
    let news = News(of: self, world)
    if !news.mayHold(.input) { return nil }
    let count: Int
    do { count = try unsafe Syscalls.receive(number(world), room) } catch {
      if error == .resourceTemporarilyUnavailable {
        news.exhausted([.input, .mixed])
        return nil
      }
      // The peer's EOF was read and stays an EOF, whatever error came after it. MPTCP returns ENOTCONN after a reset
      // that was reported before.
      let cause = latch.value.failure ?? fail(error)
      if latch.value.sawEnd { return 0 }
      throw self.error(.receive, cause)
    }
    if count == 0 { try checkEnd(world) }
    // TCP returns all it has, so a short read means empty. A Unix stream stops at passed descriptors or another
    // sender's bytes.
    if count < room.count, isTCP { news.exhausted(.input, unless: .mixed) }
    return count
  }

  /// Checks an EOF that the kernel returned. After a reset that another call has taken, the kernel also returns EOF: it
  /// is genuine only if nothing has failed.
  private func checkEnd(_ world: World) throws(SocketError) {
    let state = latch.value
    if state.sawEnd { return }
    // The kernel reports a reset that came after the peer's FIN as EPIPE: the EOF is genuine, and sending is over.
    if let failure = state.failure, failure != .peerClosed { throw error(.receive, failure) }
    // If our FIN was sent, two FINs lead to CLOSED. If it was not, only a reset leads there.
    if isTCP, state.failure == nil, !state.finishedSending, let info = try? TCPInfo.read(number(world)),
      info.state == .closed
    {
      let cause = fail(((try? Syscalls.takeError(number(world))) ?? nil) ?? .connectionReset)
      if cause != .peerClosed { throw error(.receive, cause) }
    }
    latch.update { $0.sawEnd = true }
    advance(.peerFinished)
  }

  /// Receives the next bytes into the read buffer.
  ///
  /// - Returns: the number of bytes received; 0 when the peer has finished; `nil` when nothing is available yet.
  func fill(_ world: World) throws(SocketError) -> Int? {
    // A task checks the cached readiness first, so that an attempt that would receive nothing takes no stack space.
    if !News(of: self, world).mayHold(.input) { return nil }
    return try unsafe withUnsafeTemporaryAllocation(byteCount: ReadBuffer.chunk, alignment: 1) {
      room throws(SocketError) in
      guard let count = try unsafe receiveSome(into: room, world) else { return nil }
      withBuffer { unsafe $0.append(UnsafeRawBufferPointer(rebasing: room[..<count])) }
      return count
    }
  }

  /// Calls `body` with the read buffer, which is created at its first use. Only the reader inside the gate may call
  /// this.
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
struct News {
  private let seat: Seat?
  private let known: Seat.Knowledge?

  init(of core: Core, _ world: World) {
    seat = world == .task ? core.place.load() : nil
    known = seat?.known
  }

  /// Whether a system call may succeed.
  func mayHold(_ readiness: Readiness) -> Bool {
    guard let known else { return true }
    return !known.readiness.isDisjoint(with: readiness.union(.untold))
  }

  /// Whether the last event included EOF, an error or an urgent byte.
  var isMixed: Bool { known?.readiness.contains(.mixed) ?? false }

  /// Clears `readiness` in the cache, because the system call returned nothing or everything that was there. It does
  /// not when the cached readiness contains `exception`.
  func exhausted(_ readiness: Readiness, unless exception: Readiness? = nil) {
    guard let seat, let known else { return }
    if let exception, known.readiness.contains(exception) { return }
    seat.clear(readiness, since: known)
  }
}
