internal import CFin
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// How bytes come in. Everything here runs inside the gate as its one reader, and is one try: `nil` is nothing yet.
extension Core {
  /// What is there now, at most the size of `room`.
  ///
  /// - Returns: 0 only when the peer has finished; `nil` when there is nothing yet.
  func receiveSome(into room: UnsafeMutableRawBufferPointer, _ world: World) throws(SocketError) -> Int? {
    let news = News(of: self, world)
    if !news.mayHold(.input) { return nil }
    let count: Int
    do { count = try unsafe Syscalls.receive(number(world), room) } catch {
      if error == .resourceTemporarilyUnavailable {
        news.exhausted([.input, .mixed])
        return nil
      }
      // The peer's end of file was read and stays one, whatever came after it.
      // MPTCP says ENOTCONN of what was reset before.
      let cause = latch.value.failure ?? fail(error)
      if latch.value.sawEnd { return 0 }
      throw self.error(.receive, cause)
    }
    if count == 0 { try checkEnd(world) }
    // TCP gives all it has; a Unix stream stops where passed descriptors or another sender's bytes begin.
    if count < room.count, isTCP { news.exhausted(.input, unless: .mixed) }
    return count
  }

  /// The kernel says end of file. It also says so when a reset was told to somebody else first: believe it only then, when
  /// nothing has failed.
  private func checkEnd(_ world: World) throws(SocketError) {
    let state = latch.value
    if state.sawEnd { return }
    // EPIPE is the kernel's word for a reset that came after the peer's FIN: the end of file is true, sending is over.
    if let failure = state.failure, failure != .peerClosed { throw error(.receive, failure) }
    // With our FIN out, CLOSED is where two FINs lead. Without it, only a reset leads there.
    if isTCP, state.failure == nil, !state.finishedSending, let info = try? TCPInfo.read(number(world)),
      info.state == .closed
    {
      let cause = fail(((try? Syscalls.takeError(number(world))) ?? nil) ?? .connectionReset)
      if cause != .peerClosed { throw error(.receive, cause) }
    }
    latch.update { $0.sawEnd = true }
    advance(.peerFinished)
  }

  /// Adds what comes next to the read buffer.
  ///
  /// - Returns: how much came; 0 when the peer has finished; `nil` when there is nothing yet.
  func fill(_ world: World) throws(SocketError) -> Int? {
    // A task looks into its news first, so that a try that would bring nothing takes no room on the stack.
    if !News(of: self, world).mayHold(.input) { return nil }
    return try unsafe withUnsafeTemporaryAllocation(byteCount: ReadBuffer.chunk, alignment: 1) {
      room throws(SocketError) in
      guard let count = try unsafe receiveSome(into: room, world) else { return nil }
      withBuffer { unsafe $0.append(UnsafeRawBufferPointer(rebasing: room[..<count])) }
      return count
    }
  }

  /// The read buffer, made when it is first used. Only inside the gate, as its reader.
  func withBuffer<R>(_ body: (inout ReadBuffer) -> R) -> R {
    if unsafe buffer == nil { unsafe buffer = ReadBuffer() }
    // In place: a copy, however short its life, would make each addition copy all that is there.
    return unsafe body(&buffer!)
  }

  var buffered: Int { unsafe buffer?.count ?? 0 }
}

/// What the loop has told of a socket, for a try in a task: edges are told once, so that what is known to be empty need not be
/// asked again. A thread asks the kernel each time, which tells it levels.
struct News {
  private let seat: Seat?
  private let known: Seat.Knowledge?

  init(of core: Core, _ world: World) {
    seat = world == .task ? core.place.load() : nil
    known = seat?.known
  }

  /// Whether a system call may bring something.
  func mayHold(_ readiness: Readiness) -> Bool {
    guard let known else { return true }
    return !known.readiness.isDisjoint(with: readiness.union(.untold))
  }

  /// Whether the last event told of the end, of an error, or of an urgent byte.
  var isMixed: Bool { known?.readiness.contains(.mixed) ?? false }

  /// The system call brought nothing, or all there was.
  func exhausted(_ readiness: Readiness, unless exception: Readiness? = nil) {
    guard let seat, let known else { return }
    if let exception, known.readiness.contains(exception) { return }
    seat.clear(readiness, since: known)
  }
}
