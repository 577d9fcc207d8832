public import SystemPackage

/// A Unix socket of kind `SOCK_SEQPACKET` in LISTEN, with one owner, that accepts clients.
///
/// It treats a path as ``Listener`` does: a file that a dead server left behind is replaced, the path of a living one
/// is not touched, and closing removes the path.
public struct PacketListener: ~Copyable, SocketProtocol {
  /// The reference to the socket that this value owns.
  @_spi(Fin) public let reference: SocketReference
  /// The timeouts of calls that pass no `within`.
  public var timeouts: Timeouts

  init(core: Core, timeouts: Timeouts) {
    reference = SocketReference(core: core)
    self.timeouts = timeouts
  }

  /// Creates a listener: `socket`, `bind`, `listen`.
  ///
  /// - Parameters:
  ///   - address: a path or an abstract name.
  ///   - backlog: the number of clients that may wait to be accepted.
  ///   - pathPermissions: the permission bits of a path, exactly, whatever the umask. They decide which users may
  ///     connect: 0600, this user alone, by default.
  ///   - timeouts: the timeouts of `accept`, and of the connections that it returns.
  ///   - file: the source file that a leak report names as the place of opening.
  ///   - line: the line in `file`.
  /// - Throws: `.system` with the reason why the address cannot be bound; `.invalid` for an address that is not a
  ///   Unix address.
  public static func bind(
    _ address: SocketAddress, backlog: Int = 64, pathPermissions: UInt32 = 0o600, timeouts: Timeouts = .default,
    file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> PacketListener {
    let core = try Core.listeningForPackets(
      at: address, backlog: backlog, pathPermissions: pathPermissions, site: .init(file: file, line: line))
    return PacketListener(core: core, timeouts: timeouts)
  }

  /// Adopts a listening socket of this kind from elsewhere, as
  /// ``Listener/adopt(_:backlog:timeouts:file:line:)`` does with a stream.
  public static func adopt(
    _ descriptor: FileDescriptor, timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> PacketListener {
    let core = try Core.adopted(descriptor.rawValue, as: .packetListener, site: .init(file: file, line: line))
    return PacketListener(core: core, timeouts: timeouts)
  }

  /// Accepts the next client, or waits for one. It throws as a ``Listener`` does.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func accept(
    within: Timeout = .default, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> PacketConnection {
    var timeout = LazyDeadline(within, or: timeouts.accept)
    let core = try reference.core.accept(&timeout, site: .init(file: file, line: line)).markedClient()
    return PacketConnection(core: core, timeouts: timeouts)
  }

  /// Accepts the next client, or waits for one, in a task. A cancellation loses no client.
  public borrowing func accept(
    within: Timeout = .default, file: StaticString = #fileID, line: UInt = #line
  ) async throws(SocketError) -> PacketConnection {
    var timeout = LazyDeadline(within, or: timeouts.accept)
    let core = try await reference.core.accept(&timeout, site: .init(file: file, line: line)).markedClient()
    return PacketConnection(core: core, timeouts: timeouts)
  }

  /// Gives the descriptor away, still listening, with the clients in its queue. A path stays.
  ///
  /// - Throws: `.closed` when it was closed meanwhile.
  public consuming func detach() throws(SocketError) -> FileDescriptor {
    FileDescriptor(rawValue: try reference.core.detach().number)
  }

  /// Releases the address at once, and resets the clients that wait to be accepted.
  public consuming func close() { reference.core.end() }
}
