internal import CFin
internal import Glibc
internal import SystemPackage

/// How bytes come in. Everything here runs inside the gate as its one reader.
extension Core {
  func reading<R: ~Copyable>(_ body: () throws(SocketError) -> R) throws(SocketError) -> R {
    do { try gate.enterReading() } catch { throw refusal(.receive, error) }
    defer { leave(.reading) }
    return try body()
  }

  /// What is there now, or comes before the deadline, at most the size of `room`.
  ///
  /// - Returns: 0 only when the peer has finished.
  func receiveSome(into room: UnsafeMutableRawBufferPointer, _ patience: inout Patience) throws(SocketError) -> Int {
    while true {
      let count: Int
      do { count = try unsafe Syscalls.receive(number, room) } catch {
        if error == .resourceTemporarilyUnavailable {
          do { try wait(for: CInt(POLLIN), &patience) } catch { throw self.error(.receive, error) }
          continue
        }
        // The peer's end of file was read and stays one, whatever came after it.
        let cause = fail(error)
        if latch.value.sawEnd { return 0 }
        throw self.error(.receive, cause)
      }
      if count == 0 { try checkEnd() }
      return count
    }
  }

  /// The kernel says end of file. It also says so when a reset was told to somebody else first: believe it only then, when
  /// nothing has failed.
  private func checkEnd() throws(SocketError) {
    let state = latch.value
    if state.sawEnd { return }
    // EPIPE is the kernel's word for a reset that came after the peer's FIN: the end of file is true, sending is over.
    if let failure = state.failure, failure != .peerClosed { throw error(.receive, failure) }
    // With our FIN out, CLOSED is where two FINs lead. Without it, only a reset leads there.
    if isTCP, state.failure == nil, !state.finishedSending, let info = try? TCPInfo.read(number), info.state == .closed
    {
      let cause = fail(((try? Syscalls.takeError(number)) ?? nil) ?? .connectionReset)
      if cause != .peerClosed { throw error(.receive, cause) }
    }
    latch.update { $0.sawEnd = true }
    advance(.peerFinished)
  }

  /// Adds what comes next to the read buffer.
  ///
  /// - Returns: how much came; 0 when the peer has finished.
  func fill(_ patience: inout Patience) throws(SocketError) -> Int {
    try unsafe withUnsafeTemporaryAllocation(byteCount: ReadBuffer.chunk, alignment: 1) { room throws(SocketError) in
      let count = try unsafe receiveSome(into: room, &patience)
      withBuffer { unsafe $0.append(UnsafeRawBufferPointer(rebasing: room[..<count])) }
      return count
    }
  }

  /// The read buffer, made when it is first used. Only inside the gate, as its reader.
  func withBuffer<R>(_ body: (inout ReadBuffer) -> R) -> R {
    unsafe body(&buffer[orMake: ReadBuffer()])
  }

  var buffered: Int { unsafe buffer?.count ?? 0 }
}

extension Optional {
  fileprivate subscript(orMake make: @autoclosure () -> Wrapped) -> Wrapped {
    mutating get {
      if self == nil { self = make() }
      return self!
    }
    set { self = newValue }
  }
}
