internal import FinBase
public import SystemPackage

/// A connected Unix socket that keeps the bounds of messages (`SOCK_SEQPACKET`), with one owner.
///
/// It promises that a message arrives whole or not at all, in order, and once; that an empty message is a message, and
/// `nil` is the end; that a message which is longer than the caller allows is an error and stays in the queue; and that
/// the descriptor is released exactly once. The rest is as with ``Connection``: a reset is never an end, each wait has
/// a deadline, and a connection that is dropped open is closed and reported as a leak.
///
/// Each verb has two forms under one name: in a thread it blocks; in a task, where it is awaited, it suspends.
/// ```swift
/// let connection = try PacketConnection.connect(to: .unix("/run/example.sock"))
/// try connection.send(Array("status".utf8))
/// while let message = try connection.receive() { print(message.bytes.count) }
/// connection.close()
/// ```
public struct PacketConnection: ~Copyable, SocketProtocol {
  /// The reference to the socket that this connection owns.
  @_spi(Fin) public let reference: SocketReference
  /// The timeouts of calls that pass no `within`.
  public var timeouts: Timeouts

  init(core: Core, timeouts: Timeouts) {
    reference = SocketReference(core: core)
    self.timeouts = timeouts
  }

  /// The longest message that `receive(upTo:descriptors:within:)` accepts by default, in bytes.
  public static let defaultMessageLimit = 256 << 10

  // MARK: Opening

  /// Connects to a path or an abstract name: `socket`, `connect`.
  ///
  /// - Throws: `.timedOut` when the listener's queue stays full; `.system(ECONNREFUSED)` and its like; `.invalid` for
  ///   an address that is not a Unix address.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public static func connect(
    to peer: SocketAddress, within: Timeout = .default, timeouts: Timeouts = .default,
    file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> PacketConnection {
    var timeout = LazyDeadline(within, or: timeouts.connect)
    let core = try Core.packets(toConnect: peer, site: .init(file: file, line: line))
    try core.connect(to: peer, timeouts, &timeout)
    return PacketConnection(core: core, timeouts: timeouts)
  }

  /// Connects to a path or an abstract name in a task. It throws as in a thread, and `.cancelled`.
  public static func connect(
    to peer: SocketAddress, within: Timeout = .default, timeouts: Timeouts = .default,
    file: StaticString = #fileID, line: UInt = #line
  ) async throws(SocketError) -> PacketConnection {
    var timeout = LazyDeadline(within, or: timeouts.connect)
    let core = try Core.packets(toConnect: peer, site: .init(file: file, line: line))
    try await core.connect(to: peer, timeouts, &timeout)
    return PacketConnection(core: core, timeouts: timeouts)
  }

  /// Makes two sockets that are connected to each other: `socketpair(2)`.
  ///
  /// - Throws: `.system(EMFILE)` and its like when two descriptors cannot be allocated.
  public static func pair(
    timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> PacketPair {
    let (first, second) = try Core.packetPair(site: .init(file: file, line: line))
    return PacketPair(
      first: PacketConnection(core: first, timeouts: timeouts),
      second: PacketConnection(core: second, timeouts: timeouts))
  }

  /// Takes over a connected socket of this kind that other code made. It becomes non-blocking and `CLOEXEC`, and the
  /// kernel attaches a timestamp to its messages from now on (`SO_TIMESTAMP`), by which an empty message differs
  /// from the end.
  ///
  /// On success Fin owns the descriptor and no other code may close it; on failure it is the caller's.
  /// - Throws: `.system(ENOTSOCK)`; `.system(ENOTCONN)`; `.invalid` when it is a socket of another kind or Fin owns
  ///   it already.
  public static func adopt(
    _ descriptor: FileDescriptor, timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> PacketConnection {
    let core = try Core.adoptedPackets(descriptor.rawValue, site: .init(file: file, line: line))
    return PacketConnection(core: core, timeouts: timeouts)
  }

  // MARK: Messages

  /// Sends one message, whole, and passes descriptors with it.
  ///
  /// The corresponding C function is `sendmsg` with `MSG_NOSIGNAL`. It waits while the send buffer is full.
  /// - Parameters:
  ///   - bytes: 0 or more bytes. A message has to fit into ``SocketOption/sendBuffer``.
  ///   - descriptors: at most 253 open descriptors, which stay the caller's.
  ///   - within: the timeout; by default ``Timeouts/send``.
  /// - Throws: `.system(EMSGSIZE)` when the message does not fit; `.invalid` with too many descriptors;
  ///   `.system(EBADF)` when one is not open; `.reset`, `.peerClosed`, `.finished`, `.timedOut`, `.closed`. The message
  ///   was not sent then.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func send(
    _ bytes: [UInt8], passing descriptors: [FileDescriptor] = [], within: Timeout = .default
  ) throws(SocketError) {
    let timeout = LazyDeadline(within, or: timeouts.send)
    try perform(.writing, .send, timeout, PassingState(descriptors, timeout)) {
      core, passing, access throws(SocketError) in
      try core.sendPacket(bytes, &passing, access)
    }
  }

  /// Sends one message, whole, and passes descriptors with it, in a task. It throws as in a thread, and `.cancelled`.
  public borrowing func send(
    _ bytes: [UInt8], passing descriptors: [FileDescriptor] = [], within: Timeout = .default
  ) async throws(SocketError) {
    let timeout = LazyDeadline(within, or: timeouts.send)
    try await perform(.writing, .send, timeout, PassingState(descriptors, timeout)) {
      core, passing, access throws(SocketError) in
      try core.sendPacket(bytes, &passing, access)
    }
  }

  /// Receives one message, whole, with the descriptors that were passed with it.
  ///
  /// The corresponding C function is `recvmsg` with `MSG_CMSG_CLOEXEC`.
  /// - Parameters:
  ///   - most: the longest message, in bytes.
  ///   - descriptors: the most descriptors that the message may bring; 0 by default.
  ///   - within: the timeout; by default ``Timeouts/receive``.
  /// - Returns: the message, which may be empty; `nil` when the peer has finished.
  /// - Throws: `.limit` when the message is longer, and stays in the queue. `.limit`, or `.descriptorsLost`, when there
  ///   are more descriptors than allowed, or than arrived: those that came are closed, and the message is lost.
  ///   `.reset`, `.timedOut`, `.closed`.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func receive(
    upTo most: Int = PacketConnection.defaultMessageLimit, descriptors: Int = 0, within: Timeout = .default
  ) throws(SocketError) -> ReceivedMessage? {
    let timeout = LazyDeadline(within, or: timeouts.receive)
    let parts = try perform(.reading, .receive, timeout, Stateless()) { core, _, access throws(SocketError) in
      try core.takePacket(upTo: most, descriptors: descriptors, access)
    }
    guard let parts else { return nil }
    return ReceivedMessage(parts)
  }

  /// Receives one message, whole, with the descriptors that were passed with it, in a task.
  ///
  /// It behaves as in a thread. When the task is cancelled it throws `.cancelled`, and loses no message.
  public borrowing func receive(
    upTo most: Int = PacketConnection.defaultMessageLimit, descriptors: Int = 0, within: Timeout = .default
  ) async throws(SocketError) -> ReceivedMessage? {
    let timeout = LazyDeadline(within, or: timeouts.receive)
    let parts = try await perform(.reading, .receive, timeout, Stateless()) { core, _, access throws(SocketError) in
      try core.takePacket(upTo: most, descriptors: descriptors, access)
    }
    guard let parts else { return nil }
    return ReceivedMessage(parts)
  }

  /// Finishes sending, which the peer receives as the end: `shutdown(SHUT_WR)`. Receiving goes on, and a later send
  /// throws `.finished`.
  public borrowing func finishSending() { reference.core.finishSending() }

  // MARK: Peer

  /// Returns the credentials of the process that called `connect`, or `listen`: `SO_PEERCRED`.
  public borrowing func peerCredentials() throws(SocketError) -> PeerCredentials {
    guard let credentials = try reference.core.peerCredentials() else {
      preconditionFailure("a packet connection is not a Unix socket")
    }
    return credentials
  }

  /// Returns a descriptor that stands for the peer's process, as ``StreamSocketProtocol/peerProcess()`` does.
  public borrowing func peerProcess() throws(SocketError) -> OwnedDescriptor {
    guard let process = try reference.core.peerProcess() else {
      preconditionFailure("a packet connection is not a Unix socket")
    }
    return process
  }

  // MARK: Ending

  /// Gives the descriptor away as it is: connected, non-blocking, `CLOEXEC`, with the messages in its queue. The caller
  /// has to close it.
  public consuming func detach() -> FileDescriptor {
    do { return FileDescriptor(rawValue: try reference.core.detach().number) } catch {
      fatalError("a packet connection that only its owner can close was closed: \(error)")
    }
  }

  /// Ends the connection, and returns how it ended. It never throws, and always releases the descriptor within the
  /// policy's time, as a ``Connection`` does. Acknowledged means that the peer's program has
  /// received all messages.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  @discardableResult
  public consuming func close(_ policy: ClosePolicy = .confirmed) -> CloseReport { reference.core.close(policy) }

  /// Ends the connection and suspends the task meanwhile. A cancelled close becomes an abort and still returns
  /// its report.
  @discardableResult
  public consuming func close(_ policy: ClosePolicy = .confirmed) async -> CloseReport {
    await reference.core.close(policy)
  }

  /// Releases the descriptor at once. The peer receives the messages in its queue, and then the end; or a reset when
  /// messages of its own were not received.
  @discardableResult
  public consuming func abort() -> CloseReport { reference.core.close(.abort) }
}

/// The result of ``PacketConnection/pair(timeouts:file:line:)``: the two ends of one connection.
@frozen
public struct PacketPair: ~Copyable, Sendable {
  /// One end.
  public var first: PacketConnection
  /// The other end.
  public var second: PacketConnection
}
