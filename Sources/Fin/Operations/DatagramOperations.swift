internal import CFin
internal import Glibc
internal import SystemPackage

/// The state of a datagram that is being sent.
struct DatagramSendState: OperationState {
  /// The address to send to; `nil` for the one that the socket is connected to.
  let peer: SocketAddress?
  /// The control messages to send with it; `nil` for none.
  let control: [UInt8]?
  /// The next pause, for when no event reports room; it grows with each attempt.
  var pause = Duration.milliseconds(1)

  init(peer: SocketAddress?, control: [UInt8]? = nil) {
    self.peer = peer
    self.control = control
  }

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
        if let control = outgoing.control {
          try unsafe Syscalls.send(number(access), bytes, to: peer, control: control)
        } else {
          _ = try unsafe Syscalls.send(number(access), bytes, to: peer)
        }
      } else {
        _ = try unsafe Syscalls.send(number(access), bytes)
      }
      // The kernel has chosen a port if there was none.
      if phase == .fresh, family != .unix { advance(.bind) }
      return .done(())
    } catch {
      guard error == .resourceTemporarilyUnavailable else {
        if let reported = reported(.send, error, peer, access) { throw reported }
        throw failure(.send, .system(error), peer, note: note(on: error, bytes.count, outgoing))
      }
      if family == .unix, peer != nil {
        // The receiver's queue is full. Events report room in our own buffer only, so this retries, with longer and
        // longer pauses.
        defer { outgoing.pause = min(outgoing.pause * 2, .milliseconds(50)) }
        return .pause(.time(outgoing.pause))
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
      return .pause(.time(pause.pause))
    }
  }

  func receiveDatagram(
    into room: UnsafeMutableRawBufferPointer, _ access: Access
  ) throws(SocketError) -> Attempt<Datagram.Envelope> {
    let cached = CachedReadiness(of: self, access)
    if !cached.mayBeReady(.input) { return .blocked(.input) }
    do throws(Errno) {
      let (length, from) = try unsafe Syscalls.receiveDatagram(number(access), room)
      try checkIsDatagram(length, from)
      return .done(Datagram.Envelope(sender: from, length: length, received: min(length, room.count)))
    } catch { return try nothingArrived(error, cached, access) }
  }

  /// Throws for 0 bytes without a sender on an IP socket. Every IP datagram has a sender, so they are not a datagram.
  func checkIsDatagram(_ length: Int, _ sender: SocketAddress?) throws(Errno) {
    if length == 0, sender == nil, family != .unix { throw Errno.socketShutdown }
  }

  /// Decides on an error of a receive: nothing is there yet, or an error or a report is the result.
  func nothingArrived<R>(
    _ code: Errno, _ cached: CachedReadiness, _ access: Access
  ) throws(SocketError) -> Attempt<R> {
    guard code == .resourceTemporarilyUnavailable else {
      throw reported(.receive, code, nil, access) ?? error(.receive, .system(code))
    }
    // A report without an error of the call: another holder of the socket took that error.
    if cached.isInputPartial {
      if let reported = reported(.receive, nil, nil, access) { throw reported }
      if inputHasEnded(access) { throw error(.receive, .system(.socketShutdown)) }
    }
    cached.clear([.input, .inputIsPartial])
    return .blocked(.input)
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
    _ operation: SocketError.Operation, _ cause: SocketError.Cause, _ peer: SocketAddress?, note: String? = nil,
    datagramsAccepted: Int = 0, report: DatagramReport? = nil
  ) -> SocketError {
    SocketError(
      operation, cause, kind, local: local, peer: peer ?? self.peer, note: note, datagramsAccepted: datagramsAccepted,
      report: report)
  }

  /// The error of an operation, for a program that asked for error reports: each report becomes the error of one call,
  /// in order, with the address of the datagram that it concerns.
  ///
  /// - Parameters:
  ///   - code: the error of the operation's own call; `nil` when it had none.
  ///   - peer: the address that the call sends to; a report of this machine has the address without its port.
  /// - Returns: `nil` when there is no report. One that repeats the error of the call itself adds its details to it.
  func reported(
    _ operation: SocketError.Operation, _ code: Errno?, _ peer: SocketAddress?, datagramsAccepted: Int = 0,
    _ access: Access
  ) -> SocketError? {
    guard let report = takeReport(access), let reported = report.code,
      code == nil || !report.isLocal || code == report.code
    else { return nil }
    let details = DatagramReport(report)
    return failure(
      operation, .system(reported), report.isLocal ? peer ?? report.peer : report.peer, note: details?.note,
      datagramsAccepted: datagramsAccepted,
      report: details)
  }

  private func note(on code: Errno, _ count: Int, _ outgoing: DatagramSendState) -> String? {
    if code == .messageTooLong { return tooLong(count, outgoing.peer) }
    let codes: [Errno] = [.invalidArgument, .addressNotAvailable, .networkUnreachable]
    guard outgoing.control != nil, codes.contains(code) else { return nil }
    return "the source has to be an address of this machine, and the interface one that leads to the peer"
  }

  func tooLong(_ count: Int, _ peer: SocketAddress?) -> String {
    switch (peer ?? self.peer)?.canonical {
    case .ip(.v4, _): "\(count) bytes; UDP over IPv4 carries 65,507 at most, and less where nothing may be fragmented"
    case .ip(.v6, _): "\(count) bytes; UDP over IPv6 carries 65,527 at most, and less where nothing may be fragmented"
    case .unix, nil: "\(count) bytes; a Unix datagram has to fit into the send buffer, see the option sendBuffer"
    }
  }
}
