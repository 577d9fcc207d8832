internal import Synchronization
public import SystemPackage

/// A connected stream, TCP or Unix, with one owner.
///
/// What it promises: the descriptor is released exactly once, by ``close(_:)-59kny``, ``abort()`` or ``detach()``; after any of
/// them the connection cannot be named any more. A reset is never an end of file. Every wait has a deadline. What it does
/// not: tell, before it is closed, whether sent bytes have arrived.
///
/// Dropped open, it is closed, and reported as a leak with the line that opened it.
public struct Connection: ~Copyable, Receiving, Sending, StreamEnd {
  /// What this owner holds.
  public let reference: SocketReference
  /// How long waits last when a call does not say.
  public var timeouts: Timeouts

  init(core: Core, timeouts: Timeouts) {
    reference = SocketReference(core: core)
    self.timeouts = timeouts
  }

  // MARK: Opening

  /// Connects to an address.
  ///
  /// The corresponding C function is `connect`. An interrupted handshake goes on; a failed attempt releases its socket; a
  /// connection that met itself is refused.
  /// - Parameters:
  ///   - peer: an address that needs no looking up.
  ///   - within: how long to wait at most; `nil` for ``Timeouts/connect``.
  ///   - timeouts: how long waits of this connection last when a call does not say.
  ///   - file: where the socket is opened, for a leak's report.
  ///   - line: see `file`.
  /// - Throws: `.timedOut`; `.system` for what the kernel says, such as `ECONNREFUSED`.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public static func connect(
    to peer: SocketAddress, within: Duration? = nil, timeouts: Timeouts = .default, file: StaticString = #fileID,
    line: UInt = #line
  ) throws(SocketError) -> Connection {
    var patience = Patience(within, or: timeouts.connectLimit)
    let core = try Core.connected(to: peer, timeouts, &patience, site: .init(file: file, line: line))
    return Connection(core: core, timeouts: timeouts)
  }

  /// Connects to what a person writes: `"example.net:7"`, `"[::1]:7"`, `"/run/x.sock"`. Each address that the name has is
  /// tried in turn, all within the same time.
  /// - Throws: `.unresolved` when the name has no address; else what the last attempt threw.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public static func connect(
    to endpoint: Endpoint, within: Duration? = nil, timeouts: Timeouts = .default, file: StaticString = #fileID,
    line: UInt = #line
  ) throws(SocketError) -> Connection {
    var patience = Patience(within, or: timeouts.connectLimit)
    let core = try Core.connected(to: endpoint, timeouts, &patience, site: .init(file: file, line: line))
    return Connection(core: core, timeouts: timeouts)
  }

  /// Connects to an address, in a task: as in a thread, and `.cancelled` when the task is.
  public static func connect(
    to peer: SocketAddress, within: Duration? = nil, timeouts: Timeouts = .default, file: StaticString = #fileID,
    line: UInt = #line
  ) async throws(SocketError) -> Connection {
    var patience = Patience(within, or: timeouts.connectLimit)
    let core = try await Core.connected(to: peer, timeouts, &patience, site: .init(file: file, line: line))
    return Connection(core: core, timeouts: timeouts)
  }

  /// Connects to what a person writes, in a task: as in a thread, and `.cancelled` when the task is.
  public static func connect(
    to endpoint: Endpoint, within: Duration? = nil, timeouts: Timeouts = .default, file: StaticString = #fileID,
    line: UInt = #line
  ) async throws(SocketError) -> Connection {
    var patience = Patience(within, or: timeouts.connectLimit)
    let core = try await Core.connected(to: endpoint, timeouts, &patience, site: .init(file: file, line: line))
    return Connection(core: core, timeouts: timeouts)
  }

  /// Two Unix streams connected to each other. `socketpair(2)`.
  ///
  /// - Throws: `.system(EMFILE)` and its like when there are no two descriptors to be had.
  public static func pair(
    timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> ConnectionPair {
    let numbers: (CInt, CInt)
    do { numbers = try Syscalls.socketpair(SocketKind.stream.rawValue) } catch {
      throw SocketError(.open, .system(error))
    }
    let site = Ledger.Site(file: file, line: line)
    let first = Core(
      Descriptor(owning: numbers.0), family: .unix, kind: .stream, phase: .connected, local: .unix(.unnamed),
      peer: .unix(.unnamed), site: site)
    let second = Core(
      Descriptor(owning: numbers.1), family: .unix, kind: .stream, phase: .connected, local: .unix(.unnamed),
      peer: .unix(.unnamed), site: site)
    return ConnectionPair(
      first: Connection(core: first, timeouts: timeouts), second: Connection(core: second, timeouts: timeouts))
  }

  /// Takes over a connected stream socket that somebody else made. It becomes non-blocking and `CLOEXEC`.
  ///
  /// On success the descriptor is ours and nobody else may close it; on failure it is untouched. A connection that has finished
  /// sending is ``Phase/sendFinished`` from the beginning: the kernel's state tells, but on a Unix socket only while the peer has
  /// not finished as well; later a send says `.peerClosed` instead of `.finished`. One that ``duplicate(file:line:)`` had made,
  /// and ``detach()`` gave away, is again one of several while Fin has another of them: the last of them to close ends the
  /// connection. When all were given away, each that comes back is alone to Fin.
  ///
  /// A connection of Multipath TCP (MPTCP) is taken over too; it goes without `TCP_USER_TIMEOUT`, which MPTCP lacks. Before
  /// Linux 5.17 its kernel does not tell what was acknowledged: then no close is reported as delivered.
  /// - Throws: `.system(ENOTSOCK)`; `.system(ENOTCONN)` when it is not connected, which includes a connection that has ended
  ///   (CLOSED), because a reset and two FINs look alike then; `.invalid` when it is not a stream of TCP, MPTCP or Unix, or
  ///   is ours already.
  public static func adopt(
    _ descriptor: FileDescriptor, timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> Connection {
    let core = try Core.adopted(descriptor.rawValue, as: .connection, site: .init(file: file, line: line))
    return Connection(core: core, timeouts: timeouts)
  }

  // MARK: Turning into something else

  /// Sends what the peer will read as end of file, and keeps the receiving side open.
  ///
  /// The corresponding C function is `shutdown` with `SHUT_WR` (RFC 9293, section 3.6). Bytes already accepted by `send` go
  /// out first. A reset that has come meanwhile is not told here: `receive` tells it, after what arrived before it. When a
  /// server's drain has ended the connection meanwhile, it does nothing, and the next call throws `.closed`.
  public consuming func finishSending() -> ReceivingConnection {
    reference.core.finishSending()
    return ReceivingConnection(core: reference.core, timeouts: timeouts)
  }

  /// A reference for those who keep connections in collections and actors, or use one from several threads.
  ///
  /// The descriptor stays the same; what the compiler checked is checked at run time from here on.
  public consuming func share() -> SharedConnection {
    reference.core.share()
    return SharedConnection(core: reference.core, timeouts: timeouts)
  }

  /// A second descriptor for the same connection: `dup(2)`, `CLOEXEC`.
  ///
  /// What belongs to the connection is shared: finishing to send finishes for both. What belongs to the descriptor is not:
  /// closing one lets go of it, with ``Ending/background``, and the last to close ends the connection by its policy.
  /// - Throws: `.system(EMFILE)` and its like when there is no descriptor to be had.
  public borrowing func duplicate(
    file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> Connection {
    let core = try reference.core.duplicated(site: .init(file: file, line: line))
    return Connection(core: core, timeouts: timeouts)
  }

  /// Gives the descriptor away, as it is: connected, non-blocking, `CLOEXEC`. It is the caller's to close.
  ///
  /// - Returns: the descriptor, and bytes that buffered reading had received and no call had taken.
  /// - Throws: `.closed` when the connection has been closed meanwhile: the drain of a server that stops aborts what its
  ///   handlers still hold. There is no descriptor to give away then.
  public consuming func detach() throws(SocketError) -> DetachedDescriptor {
    let (number, unread) = try reference.core.detach()
    return DetachedDescriptor(descriptor: FileDescriptor(rawValue: number), unread: unread)
  }

  // MARK: Ending

  /// Ends the connection, and tells how it ended. Never throws; always releases, within the policy's time.
  ///
  /// It takes the place of `shutdown` and `close`: see <doc:Closing>.
  /// - Parameter policy: how to end, and how long that may take; confirmed within 10 s unless you say otherwise.
  /// - Returns: how it ended, and what became of the bytes.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  @discardableResult
  public consuming func close(_ policy: ClosePolicy = .confirmed) -> CloseReport { reference.core.close(policy) }

  /// Ends the connection in a task, and tells how it ended. Cancelled, it becomes an abort, and the report still comes.
  @discardableResult
  public consuming func close(_ policy: ClosePolicy = .confirmed) async -> CloseReport {
    await reference.core.close(policy)
  }

  /// Sends a reset, so that the peer learns, and releases at once.
  ///
  /// What has not been sent is thrown away. In C: `SO_LINGER` with a time of 0, then `close` (RFC 9293, section 3.10.5).
  /// - Returns: a report with ``Ending/aborted``, or with how it had ended before.
  @discardableResult
  public consuming func abort() -> CloseReport { reference.core.close(.abort) }
}

/// What ``Connection/pair(timeouts:file:line:)`` makes: two ends of one connection.
@frozen
public struct ConnectionPair: ~Copyable, Sendable {
  /// One end.
  public var first: Connection
  /// The other end.
  public var second: Connection
}

/// What ``Connection/detach()`` gives away.
public struct DetachedDescriptor: Sendable {
  /// The caller's to close.
  public let descriptor: FileDescriptor
  /// Bytes that were received and not taken; they come before anything read from the descriptor.
  public let unread: [UInt8]
}
