#if TLS
internal import FinBase
internal import Glibc
internal import SystemPackage

/// The attempts of a secured connection: what the plain ones do, with sealed records instead of bytes. They run
/// inside the gate as the plain ones do.
extension Core {
  // MARK: Receiving

  /// - Returns: 0 only when the peer has said that it sent everything (close_notify); `nil` when nothing is
  ///   available yet.
  // [outlined slow path]
  @inline(never)
  func receiveSecured(into room: UnsafeMutableRawBufferPointer, _ access: Access) throws(SocketError) -> Int? {
    let layer = unsafe secured!
    return try layer.attempt(access) { session throws(SocketError) in
      flush(session, access)
      switch unsafe session.read(into: room) {
      case .done(let count): return count
      case .blocked: return nil
      case .wireFailed: throw layer.failure(.receive)
      case .over(.ended):
        let isFirst = connectionState.update { state in
          defer { state.sawEnd = true }
          return !state.sawEnd
        }
        if isFirst { advance(.peerFinished) }
        return 0
      case .over(.truncated):
        if layer.toleratesTruncation { return 0 }
        throw error(.receive, .truncated)
      case .over(.failed(let text)):
        // The alert that tells the peer.
        _ = session.flush()
        throw error(.receive, failSecured(.tls(text)))
      case .over(.unverified(let text)): throw error(.receive, failSecured(.unverified(text)))
      }
    }
  }

  /// Whether an attempt to receive may succeed: the session may have bytes where the kernel has none.
  // [outlined slow path]
  @inline(never)
  func mayReceiveSecured(_ access: Access) -> Bool {
    if CachedReadiness(of: self, access).mayBeReady(.input) { return true }
    return unsafe secured!.mayHaveInput
  }

  /// Whether sealed bytes wait until the kernel accepts them. The receiver sends them then, because no sender may come.
  // [outlined slow path]
  @inline(never)
  func hasUnsentRecords() -> Bool { unsentRecords > 0 }

  // MARK: Sending

  // [outlined slow path]
  @inline(never)
  func sendSecured(
    _ bytes: UnsafeRawBufferPointer, _ accepted: inout SendState, some: Bool, _ access: Access
  ) throws(SocketError) -> Attempt<Int> {
    let rest = unsafe UnsafeRawBufferPointer(rebasing: bytes[accepted.count...])
    switch try unsafe sendRecord(of: rest, &accepted, access) {
    case .done:
      if !some, accepted.count < bytes.count { return .more }
      accepted.time.isOver(on: self)
      return .done(accepted.count)
    case .more: return .more
    case .blocked(let direction): return .blocked(direction)
    case .pause(let pause): return .pause(pause)
    }
  }

  /// Sends pieces, small ones together in one record.
  // [outlined slow path]
  @inline(never)
  func sendSecured(
    gathering pieces: [UnsafeRawBufferPointer], skipping skipped: Int, _ accepted: inout SendState, _ access: Access
  ) throws(SocketError) -> Attempt<Void> {
    var left = skipped
    var rest = unsafe [UnsafeRawBufferPointer]()
    var total = 0
    for index in unsafe pieces.indices {
      let piece = unsafe pieces[index]
      let taken = min(left, piece.count)
      left -= taken
      if taken == piece.count { continue }
      unsafe rest.append(UnsafeRawBufferPointer(rebasing: piece[taken...]))
      total += piece.count - taken
    }
    let before = accepted.count
    let sent: Attempt<Void>
    if let only = unsafe rest.first, unsafe rest.count == 1 || only.count >= TLSSession.record {
      sent = try unsafe sendRecord(of: only, &accepted, access)
    } else {
      sent = try unsafe withUnsafeTemporaryAllocation(byteCount: TLSSession.record, alignment: 1) {
        room throws(SocketError) in
        var count = 0
        for index in unsafe rest.indices where count < room.count {
          let some = unsafe rest[index].prefix(room.count - count)
          unsafe UnsafeMutableRawBufferPointer(rebasing: room[count...]).copyBytes(from: some)
          count += unsafe some.count
        }
        return try unsafe sendRecord(of: UnsafeRawBufferPointer(rebasing: room[..<count]), &accepted, access)
      }
    }
    guard case .done = sent else { return sent }
    return accepted.count - before < total ? .more : .done(())
  }

  /// Seals at most one record and sends it, after those that wait. `.done` when the kernel has accepted all of it.
  private func sendRecord(
    of bytes: UnsafeRawBufferPointer, _ accepted: inout SendState, _ access: Access
  ) throws(SocketError) -> Attempt<Void> {
    let layer = unsafe secured!
    let (outcome, count, code) = try layer.attempt(access) { session throws(SocketError) in
      let before = flush(session, access)
      guard case .done = before, bytes.count > 0 else { return (before, 0, layer.code) }
      let sealed = unsafe session.write(bytes)
      var count = 0
      if case .done(let some) = sealed { count = some } else { return (sealed, 0, layer.code) }
      return (session.flush(), count, layer.code)
    }
    accepted.count += count
    switch outcome {
    case .done: return .done(())
    case .blocked:
      accepted.time.waits(on: self, access)
      return .blocked(.output)
    case .wireFailed:
      try check(code ?? .connectionReset, &accepted, CachedReadiness(of: self, access), access)
      return .blocked(.output)
    case .over(.failed(let text)), .over(.unverified(let text)):
      throw error(.send, failSecured(.tls(text)), bytesAccepted: accepted.count)
    case .over(.ended), .over(.truncated):
      throw error(.send, failSecured(.tls("the session is over")), bytesAccepted: accepted.count)
    }
  }

  // MARK: Finishing

  /// Sends what waits, and then the FIN if this side has finished.
  @discardableResult
  private func flush(_ session: TLSSession, _ access: Access) -> TLSSession.Outcome {
    let outcome = session.flush()
    guard case .done = outcome, session.sentClose else { return outcome }
    let owesFIN = connectionState.update { state in
      defer { if state.finishedSending { state.isFINQueued = true } }
      return state.finishedSending && !state.isFINQueued
    }
    if owesFIN { try? Syscalls.shutdown(number(access), CInt(SHUT_WR)) }
    return outcome
  }

  /// Says close_notify.
  ///
  /// - Returns: whether everything was sent, so that the FIN may follow. Otherwise it follows with the rest.
  func sayClose(_ access: Access) -> Bool {
    guard let layer = unsafe secured else { return true }
    let isSent = try? layer.attempt(access) { session throws(SocketError) in
      session.sayClose()
      if case .blocked = session.flush() { return false }
      return true
    }
    return isSent ?? true
  }

  /// Sends what waits, without more.
  ///
  /// - Returns: whether everything was sent.
  @discardableResult
  func flushSecured(_ access: Access) -> Bool {
    guard let layer = unsafe secured else { return true }
    let isSent = try? layer.attempt(access) { session throws(SocketError) in
      if case .blocked = flush(session, access) { return false }
      return true
    }
    return isSent ?? true
  }

  // MARK: Closing

  /// Opens and discards what has arrived, for a close.
  ///
  /// - Returns: the number of bytes of the peer's data; 0 at the end of the wire.
  func discardSecured(_ layer: SecuredLayer, _ most: Int, _ access: Access) throws(Errno) -> Int {
    let result = Result { () throws(SocketError) in
      try layer.attempt(access) { session throws(SocketError) -> Result<Int, Errno> in
        unsafe withUnsafeTemporaryAllocation(byteCount: TLSSession.record, alignment: 1) { room in
          let room = unsafe UnsafeMutableRawBufferPointer(rebasing: room[..<min(most, room.count)])
          switch unsafe session.read(into: room) {
          case .done(let count): return .success(count)
          case .blocked: return .failure(.resourceTemporarilyUnavailable)
          case .wireFailed: return .failure(layer.code ?? .connectionReset)
          case .over(.truncated): return .success(0)
          case .over(.ended), .over(.failed), .over(.unverified):
            return Result { () throws(Errno) in try unsafe Syscalls.receive(number(access), room) }
          }
        }
      }
    }
    guard case .success(let count) = result else { throw .connectionReset }
    return try count.get()
  }

  /// The close policy of a secured connection: a confirmed close reads until the peer's end, because what the peer
  /// sends of its own accord (session tickets, its close_notify) would otherwise meet a closed socket, and turn the
  /// close into a reset.
  func securedPolicy(_ policy: ClosePolicy) -> ClosePolicy {
    guard isSecured, case .confirmed(let within) = policy else { return policy }
    return .lingering(within: within, idle: .seconds(1), discarding: 16 << 20)
  }

  /// Whether this side gave the secured connection up. The wire lives, and FIN would look like an end to a peer that
  /// speaks no TLS.
  var hasGivenUp: Bool {
    switch connectionState.value.failure {
    case .tls?, .unverified?: true
    default: false
    }
  }

  /// The results of the handshake; `nil` before it is over.
  var securedInformation: TLSInformation? {
    unsafe secured?.ask { $0.hasShaken ? $0.information : nil } ?? nil
  }

  /// Sealed bytes that the kernel has not accepted.
  var unsentRecords: Int { unsafe secured?.ask { $0.unsentCount } ?? 0 }

  /// Which side said close_notify; `nil` for a plain connection.
  var closeNotify: CloseReport.CloseNotify? {
    unsafe secured?.ask { CloseReport.CloseNotify(sent: $0.sentClose, received: $0.verdict == .ended) }
  }
}
#endif
