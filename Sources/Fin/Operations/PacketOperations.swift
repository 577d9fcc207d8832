internal import CFin
internal import FinBase
internal import Glibc
internal import SystemPackage

/// Messages over a connected socket that keeps their bounds: `SOCK_SEQPACKET`, Unix family. One attempt each, inside
/// the gate.
extension Core {
  /// Sends one message whole, of 0 bytes or more, and passes descriptors with it.
  func sendPacket(
    _ bytes: [UInt8], _ passing: inout PassingState, _ access: Access
  ) throws(SocketError) -> Attempt<Void> {
    try checkPassing(passing.numbers.count)
    try checkSending(0)
    let cached = CachedReadiness(of: self, access)
    do throws(Errno) {
      // The kernel takes all or nothing.
      _ = try unsafe bytes.span.bytes.withUnsafeBytes { bytes throws(Errno) in
        try unsafe Syscalls.send(number(access), bytes, passing: passing.numbers)
      }
    } catch {
      try checkPassed(error)
      if error == .messageTooLong {
        throw self.error(
          .send, .system(error), note: "\(bytes.count) bytes; a message has to fit into the option sendBuffer")
      }
      try check(error, &passing.accepted, cached, access)
      return .blocked(.output)
    }
    passing.accepted.time.isOver(on: self)
    return .done(())
  }

  /// Receives one message whole, with the descriptors that were passed with it.
  ///
  /// - Parameters:
  ///   - most: the longest message, in bytes. A longer one stays in the queue.
  ///   - limit: the most descriptors that the message may bring.
  /// - Returns: `nil` when the peer has finished. An empty message is a message.
  func takePacket(
    upTo most: Int, descriptors limit: Int, _ access: Access
  ) throws(SocketError) -> Attempt<ReceivedMessage.Parts?> {
    guard most >= 0 else { throw error(.receive, .invalid("cannot receive a message of up to \(most) bytes")) }
    guard limit >= 0 else { throw error(.receive, .invalid("cannot receive \(limit) descriptors")) }
    let cached = CachedReadiness(of: self, access)
    if !cached.mayBeReady(.input) { return .blocked(.input) }
    let length: Int
    do throws(Errno) { length = try Syscalls.nextLength(number(access)) } catch {
      return try inputFailed(error, cached)
    }
    guard length <= most else { throw error(.receive, .limit("message limit", most)) }
    let (head, bytes, failure) = receiveMessage(upTo: max(1, length), access)
    guard let head else { return try inputFailed(failure ?? .resourceTemporarilyUnavailable, cached) }
    if head.isEnd {
      try checkEnd(access)
      return .done(nil)
    }
    let parts = try owned(head, bytes, limit) {}
    // Another process that holds this socket took the message that was measured, and this is a longer one.
    if head.isTruncated {
      for number in parts.numbers { Syscalls.close(number) }
      throw error(.receive, .limit("message limit", length), note: "another holder of this socket receives too")
    }
    return .done(parts)
  }

  /// Discards the next message that has bytes; skips empty ones.
  ///
  /// - Parameter peeking: whether a message that has bytes stays in the queue.
  /// - Returns: its length; 0 only at EOF.
  func discardPacket(peeking: Bool = false, _ access: Access) throws(Errno) -> Int {
    while true {
      var byte: UInt8 = 0
      let length = try Syscalls.nextLength(number(access))
      if peeking, length > 0 { return length }
      // Room for the timestamp alone: the kernel closes passed descriptors.
      let head = try unsafe withUnsafeMutableBytes(of: &byte) { byte throws(Errno) in
        try unsafe Syscalls.receiveMessage(number(access), byte, controlRoom: ControlMessages.timestampRoom)
      }
      if head.count > 0 || head.isEnd { return length }
    }
  }

  /// Makes the kernel attach a timestamp to each message. That is the only difference between an empty message and EOF:
  /// both return 0 bytes, and EOF has no control message (`unix_dgram_recvmsg`).
  func markMessages() throws(SocketError) {
    try withAccess(.setOption) { access throws(SocketError) in
      do throws(Errno) {
        try Syscalls.setIntegerOption(number(access), SOL_SOCKET, CInt(FIN_SO_TIMESTAMP), 1)
      } catch { throw self.error(.setOption, .system(error), note: "SO_TIMESTAMP") }
    }
  }
}

extension MessageHead {
  /// Whether this is EOF, on a socket whose messages are marked.
  fileprivate var isEnd: Bool { count == 0 && contents.isEmpty && !hasLostControl }
}

/// Opening sockets that keep the bounds of messages.
extension Core {
  /// Marks the messages of a new or adopted socket; releases it if that fails.
  private func marked() throws(SocketError) -> Core {
    do { try markMessages() } catch {
      end()
      throw error
    }
    return self
  }

  static func packets(toConnect peer: SocketAddress, site: Ledger.Site) throws(SocketError) -> Core {
    guard peer.family == .unix else {
      throw SocketError(.connect, .invalid("sequenced packets need a Unix address"), peer: peer)
    }
    return try fresh(.unix, kind: .sequencedPacket, .connect, peer: peer, site: site).marked()
  }

  static func packetPair(site: Ledger.Site) throws(SocketError) -> (Core, Core) {
    let numbers: (CInt, CInt)
    do { numbers = try Syscalls.socketpair(SocketKind.sequencedPacket.rawValue) } catch {
      throw SocketError(.open, .system(error))
    }
    func end(_ number: CInt) -> Core {
      Core(
        Descriptor(owning: number), family: .unix, kind: .sequencedPacket, phase: .connected, local: .unix(.unnamed),
        peer: .unix(.unnamed), site: site)
    }
    let (first, second) = (end(numbers.0), end(numbers.1))
    do {
      try first.markMessages()
      try second.markMessages()
    } catch {
      first.end()
      second.end()
      throw error
    }
    return (first, second)
  }

  /// Binds a path or an abstract name, and listens there.
  static func listeningForPackets(
    at address: SocketAddress, backlog: Int, pathPermissions: UInt32, site: Ledger.Site
  ) throws(SocketError) -> Core {
    guard address.family == .unix else {
      throw SocketError(.bind, .invalid("sequenced packets need a Unix address"), local: address)
    }
    let core = try fresh(.unix, kind: .sequencedPacket, .bind, isShared: true, local: address, site: site)
    do {
      try core.withAccess(.bind) { access throws(SocketError) in
        try core.bind(to: address, pathPermissions: pathPermissions, access)
        core.advance(.bind)
        try core.listen(backlog: backlog, .default, access)
      }
    } catch {
      core.end()
      throw error
    }
    return core
  }

  /// Marks the messages of a connection that was accepted.
  func markedClient() throws(SocketError) -> Core { try marked() }

  /// Adopts a connected socket and marks its messages.
  static func adoptedPackets(_ number: CInt, site: Ledger.Site) throws(SocketError) -> Core {
    let core = try adopted(number, as: .packets, site: site)
    do { try core.markMessages() } catch {
      _ = try core.detach()
      throw error
    }
    return core
  }
}
