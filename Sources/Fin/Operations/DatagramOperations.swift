internal import CFin
internal import Glibc
internal import SystemPackage

/// The state of a datagram that is being sent.
struct DatagramSendState: OperationState {
  /// The address to send to; `nil` for the one that the socket is connected to.
  let peer: SocketAddress?
  /// The next pause, for when no event reports room; it grows with each attempt.
  var pause = Duration.milliseconds(1)

  init(peer: SocketAddress?) { self.peer = peer }

  func waitFailed(_ core: Core, _ operation: SocketError.Operation, _ cause: SocketError.Cause) -> SocketError {
    core.failure(operation, cause, peer)
  }
}

/// Sending and receiving datagrams, one attempt each. These operations enter the gate without excluding each other,
/// because the kernel keeps each datagram whole.
extension Core {
  func sendDatagram(
    _ bytes: UnsafeRawBufferPointer, _ outgoing: inout DatagramSendState, _ access: Access
  ) throws(SocketError) -> Attempt<Void> {
    let peer = outgoing.peer
    let cached = CachedReadiness(of: self, access)
    do throws(Errno) {
      if let peer {
        _ = try unsafe Syscalls.send(number(access), bytes, to: peer)
      } else {
        _ = try unsafe Syscalls.send(number(access), bytes)
      }
      // The kernel has chosen a port if there was none.
      if phase == .fresh, family != .unix { advance(.bind) }
      return .done(())
    } catch {
      guard error == .resourceTemporarilyUnavailable else {
        if let reported = reported(.send, error, access) { throw reported }
        throw failure(.send, .system(error), peer, note: error == .messageTooLong ? tooLong(bytes.count, peer) : nil)
      }
      if family == .unix, peer != nil {
        // The receiver's queue is full. Events report room in our own buffer only, so this retries, with longer and
        // longer pauses.
        defer { outgoing.pause = min(outgoing.pause * 2, .milliseconds(50)) }
        return .pause(outgoing.pause)
      }
      cached.clear(.output)
      return .blocked(.output)
    }
  }

  /// Sends a datagram over a connected Unix socket, and passes descriptors with it.
  ///
  /// - Parameter pause: the next pause while the receiver's queue is full; it grows with each attempt.
  func sendDatagram(
    _ bytes: [UInt8], passing numbers: [CInt], _ pause: inout Backoff, _ access: Access
  ) throws(SocketError) -> Attempt<Void> {
    do throws(Errno) {
      _ = try unsafe bytes.span.bytes.withUnsafeBytes { bytes throws(Errno) in
        try unsafe Syscalls.send(number(access), bytes, passing: numbers)
      }
      return .done(())
    } catch {
      guard error == .resourceTemporarilyUnavailable else { throw failure(.send, .system(error), nil) }
      defer { pause.grow() }
      return .pause(pause.pause)
    }
  }

  func receiveDatagram(
    into room: UnsafeMutableRawBufferPointer, _ access: Access
  ) throws(SocketError) -> Attempt<Datagram.Envelope> {
    let cached = CachedReadiness(of: self, access)
    if !cached.mayBeReady(.input) { return .blocked(.input) }
    do throws(Errno) {
      let (length, from) = try unsafe Syscalls.receiveDatagram(number(access), room)
      if length == 0, from == nil, family != .unix {
        // Every IP datagram has a sender, so this is not a datagram.
        throw Errno.socketShutdown
      }
      return .done(Datagram.Envelope(sender: from, length: length, received: min(length, room.count)))
    } catch {
      guard error == .resourceTemporarilyUnavailable else {
        throw reported(.receive, error, access) ?? self.error(.receive, .system(error))
      }
      // A report without an error of the call: another holder of the socket took that error.
      if cached.isInputPartial {
        if let reported = reported(.receive, nil, access) { throw reported }
        if inputHasEnded(access) { throw self.error(.receive, .system(.socketShutdown)) }
      }
      cached.clear([.input, .inputIsPartial])
      return .blocked(.input)
    }
  }

  /// Receives a datagram into memory that is allocated for the time of one attempt.
  func receiveDatagram(upTo most: Int, _ access: Access) throws(SocketError) -> Attempt<Datagram> {
    guard (0...Datagram.most).contains(most) else {
      throw error(.receive, .invalid("cannot receive a datagram of up to \(most) bytes"))
    }
    return try unsafe withUnsafeTemporaryAllocation(byteCount: max(1, most), alignment: 1) { room throws(SocketError) in
      let room = unsafe UnsafeMutableRawBufferPointer(rebasing: room[..<most])
      switch try unsafe receiveDatagram(into: room, access) {
      case .blocked(let direction): return .blocked(direction)
      case .pause(let pause): return .pause(pause)
      case .more: return .more
      case .done(let envelope):
        let bytes = unsafe Array(room[..<envelope.received])
        return .done(Datagram(bytes: bytes, sender: envelope.sender, length: envelope.length))
      }
    }
  }

  func receiveDatagram(
    into output: inout OutputRawSpan, _ access: Access
  ) throws(SocketError) -> Attempt<Datagram.Envelope> {
    try unsafe output.withUnsafeMutableBytes { buffer, count throws(SocketError) in
      let room = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[count...])
      let next = try unsafe receiveDatagram(into: room, access)
      if case .done(let envelope) = next { count += envelope.received }
      return next
    }
  }

  func connectDatagrams(to peer: SocketAddress) throws(SocketError) {
    try withAccess(.connect) { access throws(SocketError) in
      do throws(Errno) { try Syscalls.connect(number(access), peer) } catch {
        throw failure(.connect, .system(error), peer)
      }
      self.peer = peer
      forgetLocal()
      if phase == .fresh, family != .unix { advance(.bind) }
    }
  }

  func failure(
    _ operation: SocketError.Operation, _ cause: SocketError.Cause, _ peer: SocketAddress?, note: String? = nil
  ) -> SocketError {
    SocketError(operation, cause, kind, local: local, peer: peer ?? self.peer, note: note)
  }

  /// The error of an operation, for a program that asked for error reports: each report becomes the error of one call,
  /// in order, with the address of the datagram that it concerns.
  ///
  /// - Parameter code: the error of the operation's own call; `nil` when it had none.
  /// - Returns: `nil` when there is no report, or when it repeats the error of the call itself.
  private func reported(_ operation: SocketError.Operation, _ code: Errno?, _ access: Access) -> SocketError? {
    guard let report = takeReport(access), let reported = report.code, code == nil || !report.isLocal else {
      return nil
    }
    return failure(operation, .system(reported), report.peer)
  }

  private func tooLong(_ count: Int, _ peer: SocketAddress?) -> String {
    switch (peer ?? self.peer)?.canonical {
    case .ip(.v4, _): "\(count) bytes; UDP over IPv4 carries 65,507 at most, and less where nothing may be fragmented"
    case .ip(.v6, _): "\(count) bytes; UDP over IPv6 carries 65,527 at most, and less where nothing may be fragmented"
    case .unix, nil: "\(count) bytes; a Unix datagram has to fit into the send buffer, see the option sendBuffer"
    }
  }
}
