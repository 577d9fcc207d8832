internal import FinBase
internal import Synchronization
public import SystemPackage

/// A connected stream, TCP or Unix, with one owner.
///
/// It promises that the descriptor is released exactly once, by `close(_:)`, ``abort()`` or ``detach()``, and
/// that the compiler rejects any use of the connection afterwards; that a reset is never an end of file; and that every
/// wait has a deadline. It cannot tell, before it is closed, whether sent bytes have arrived.
///
/// A connection that is dropped open is closed, and reported as a leak with the line that opened it.
public struct Connection: ~Copyable, Receiving, Sending, StreamSocketProtocol {
  /// The reference to the socket that this connection owns.
  @_spi(Fin) public let reference: SocketReference
  /// The timeouts of calls that pass no `within`.
  public var timeouts: Timeouts

  init(core: Core, timeouts: Timeouts) {
    reference = SocketReference(core: core)
    self.timeouts = timeouts
  }

  // MARK: Opening

  /// Connects to an address.
  ///
  /// The corresponding C function is `connect`. An interrupted handshake goes on; a failed attempt releases its socket;
  /// a socket that was connected to itself is refused.
  /// - Parameters:
  ///   - peer: the peer's address. It needs no name resolution.
  ///   - within: the timeout; by default ``Timeouts/connect``.
  ///   - timeouts: the connection's timeouts, for calls that pass no `within`.
  ///   - options: the source address and ports.
  ///   - file: where the socket is opened, for the report of a leak.
  ///   - line: see `file`.
  /// - Throws: `.timedOut`; `.system` with the kernel's error, such as `ECONNREFUSED`; `.invalid` when the source does
  ///   not fit the peer.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public static func connect(
    to peer: SocketAddress, within: Timeout = .default, timeouts: Timeouts = .default,
    options: DialOptions = DialOptions(), file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> Connection {
    var timeout = timeouts.connecting(within)
    let core = try Core.connected(to: peer, options, timeouts, &timeout, site: .init(file: file, line: line))
    return Connection(core: core, timeouts: timeouts)
  }

  /// Connects to an endpoint as a person writes it: `"example.net:7"`, `"[::1]:7"`, `"/run/x.sock"`.
  ///
  /// The addresses of a name are tried as RFC 8305 asks (Happy Eyeballs): one of each family in turn, the next one when
  /// an attempt fails or has run for 250 ms, while the earlier attempts go on. The first that connects is returned, and
  /// the others are aborted. All share one deadline. See ``DialOptions`` for the limits.
  /// - Throws: `.unresolved` when the name has no address; `.timedOut`; otherwise the cause of the last attempt that
  ///   failed. ``SocketError/attempts`` has all of them.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public static func connect(
    to endpoint: Endpoint, within: Timeout = .default, timeouts: Timeouts = .default,
    options: DialOptions = DialOptions(), file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> Connection {
    var timeout = timeouts.connecting(within)
    let core = try Core.connected(to: endpoint, options, timeouts, &timeout, site: .init(file: file, line: line))
    return Connection(core: core, timeouts: timeouts)
  }

  /// Connects to an address and suspends the task meanwhile. Throws as the blocking overload does, and `.cancelled`
  /// when the task is cancelled.
  public static func connect(
    to peer: SocketAddress, within: Timeout = .default, timeouts: Timeouts = .default,
    options: DialOptions = DialOptions(), file: StaticString = #fileID, line: UInt = #line
  ) async throws(SocketError) -> Connection {
    var timeout = timeouts.connecting(within)
    let core = try await Core.connected(to: peer, options, timeouts, &timeout, site: .init(file: file, line: line))
    return Connection(core: core, timeouts: timeouts)
  }

  /// Connects to an endpoint as a person writes it and suspends the task meanwhile. Throws as the blocking overload
  /// does, and `.cancelled` when the task is cancelled.
  public static func connect(
    to endpoint: Endpoint, within: Timeout = .default, timeouts: Timeouts = .default,
    options: DialOptions = DialOptions(), file: StaticString = #fileID, line: UInt = #line
  ) async throws(SocketError) -> Connection {
    var timeout = timeouts.connecting(within)
    let core = try await Core.connected(to: endpoint, options, timeouts, &timeout, site: .init(file: file, line: line))
    return Connection(core: core, timeouts: timeouts)
  }

  /// The protocol of ``pair(over:timeouts:file:line:)``.
  public enum PairProtocol: Hashable, Sendable {
    /// Two Unix streams: `socketpair(2)`. An abort of one is an end of file at the other, and not a reset.
    case unix
    /// A TCP connection over `127.0.0.1`, with resets, acknowledgements and ``StreamSocketProtocol/tcpInfo()``.
    case tcp
  }

  /// Makes two streams that are connected to each other, for tests and within a program.
  ///
  /// A pair over TCP is accepted by a listener that is open for this one client; a stranger that connects to its port
  /// at that moment is reset. The handshake takes place in this machine's kernel, and the call waits for it.
  /// - Parameters:
  ///   - transport: Unix streams, or TCP for what Unix streams lack, such as a reset.
  ///   - timeouts: the timeouts of calls that pass no `within`.
  ///   - file: where the sockets are opened, for the report of a leak.
  ///   - line: see `file`.
  /// - Throws: `.system(EMFILE)` and its like when the descriptors cannot be allocated.
  public static func pair(
    over transport: PairProtocol = .unix, timeouts: Timeouts = .default, file: StaticString = #fileID,
    line: UInt = #line
  ) throws(SocketError) -> ConnectionPair {
    let site = Ledger.Site(file: file, line: line)
    if transport == .tcp {
      let (first, second) = try Core.pairOverTCP(timeouts, site)
      return ConnectionPair(
        first: Connection(core: first, timeouts: timeouts), second: Connection(core: second, timeouts: timeouts))
    }
    let numbers: (CInt, CInt)
    do { numbers = try Syscalls.socketpair(SocketKind.stream.rawValue) } catch {
      throw SocketError(.open, .system(error))
    }
    let first = Core(
      Descriptor(owning: numbers.0), family: .unix, kind: .stream, phase: .connected, local: .unix(.unnamed),
      peer: .unix(.unnamed), site: site)
    let second = Core(
      Descriptor(owning: numbers.1), family: .unix, kind: .stream, phase: .connected, local: .unix(.unnamed),
      peer: .unix(.unnamed), site: site)
    return ConnectionPair(
      first: Connection(core: first, timeouts: timeouts), second: Connection(core: second, timeouts: timeouts))
  }

  /// Takes over a connected stream socket that other code made. It becomes non-blocking and `CLOEXEC`.
  ///
  /// On success Fin owns the descriptor and no other code may close it; on failure it is untouched.
  ///
  /// A connection that has finished sending begins as ``Phase/sendFinished``, according to the kernel's state. On a
  /// Unix socket the kernel shows this only while the peer has not finished as well; after that a send throws
  /// `.peerClosed` instead of `.finished`.
  ///
  /// A descriptor that ``duplicate(file:line:)`` made and ``detach()`` gave away counts as a duplicate again, as long
  /// as Fin holds another descriptor of the connection: the last of them to close ends the connection. When all were
  /// given away, Fin treats each one that is adopted again as the only one.
  ///
  /// A connection of Multipath TCP (MPTCP) is taken over too, without `TCP_USER_TIMEOUT`, which MPTCP lacks. Before
  /// Linux 5.17 the kernel does not report what was acknowledged on such a connection, so that no close is reported
  /// as delivered.
  /// - Throws: `.system(ENOTSOCK)`; `.system(ENOTCONN)` when it is not connected, which includes a connection that has
  ///   ended (CLOSED), because a reset and two FINs look alike then; `.invalid` when it is not a stream of TCP, MPTCP
  ///   or Unix, or when Fin owns it already.
  public static func adopt(
    _ descriptor: FileDescriptor, timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> Connection {
    let core = try Core.adopted(descriptor.rawValue, as: .connection, site: .init(file: file, line: line))
    return Connection(core: core, timeouts: timeouts)
  }

  // MARK: Converting

  /// Ends the sending side, which the peer reads as end of file, and keeps the receiving side open.
  ///
  /// The corresponding C function is `shutdown` with `SHUT_WR` (RFC 9293, section 3.6). Bytes already accepted by
  /// `send` go out first. A reset that has arrived meanwhile is not reported here: `receive` throws it, after the bytes
  /// that arrived before it. When a server's drain has ended the connection meanwhile, this does nothing, and the next
  /// call throws `.closed`.
  public consuming func finishSending() -> ReceivingConnection {
    reference.core.finishSending()
    return ReceivingConnection(core: reference.core, timeouts: timeouts)
  }

  /// Converts the connection into a copyable reference, for collections, for actors, and for use from several threads.
  ///
  /// The descriptor stays the same. What the compiler checked is checked at run time from here on.
  public consuming func share() -> SharedConnection {
    reference.core.share()
    return SharedConnection(core: reference.core, timeouts: timeouts)
  }

  /// Makes a second descriptor for the same connection: `dup(2)`, `CLOEXEC`.
  ///
  /// The state of the connection is shared: finishing to send finishes for both. The descriptors are not: a close
  /// releases its own descriptor, with ``Ending/shared``, and the last close ends the connection by its policy.
  /// - Throws: `.system(EMFILE)` and its like when no descriptor can be allocated.
  public borrowing func duplicate(
    file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> Connection {
    let core = try reference.core.duplicated(site: .init(file: file, line: line))
    return Connection(core: core, timeouts: timeouts)
  }

  /// Gives the descriptor away as it is: connected, non-blocking, `CLOEXEC`. The caller has to close it.
  ///
  /// - Returns: the descriptor, and the bytes that buffered reading had received and no call had returned.
  /// - Throws: `.closed` when the connection has been closed meanwhile: the drain of a server that stops aborts the
  ///   connections that its handlers still hold. There is no descriptor to give away then.
  public consuming func detach() throws(SocketError) -> DetachedDescriptor {
    let (number, unread) = try reference.core.detach()
    return DetachedDescriptor(descriptor: FileDescriptor(rawValue: number), unread: unread)
  }

  // MARK: Ending

  /// Ends the connection, and returns how it ended. Never throws; always releases the descriptor, within the
  /// policy's time.
  ///
  /// It replaces `shutdown` and `close`: see <doc:Closing>.
  /// - Parameter policy: how to end, and how long that may take; confirmed within 10 s by default.
  /// - Returns: how the connection ended, and which bytes arrived.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  @discardableResult
  public consuming func close(_ policy: ClosePolicy = .confirmed) -> CloseReport { reference.core.close(policy) }

  /// Ends the connection and suspends the task meanwhile. A cancelled close becomes an abort and still returns
  /// its report.
  @discardableResult
  public consuming func close(_ policy: ClosePolicy = .confirmed) async -> CloseReport {
    await reference.core.close(policy)
  }

  /// Sends a reset, which informs the peer, and releases the descriptor at once.
  ///
  /// A Unix socket has no reset: its peer reads what was sent before, and then an end of file, like after any close.
  /// Only if bytes were unread here does it get `.reset`. A protocol over Unix sockets has to say where its
  /// messages end.
  ///
  /// Unsent bytes are discarded. In C: `SO_LINGER` with a time of 0, then `close` (RFC 9293, section 3.10.5).
  /// - Returns: a report with ``Ending/aborted``, or with how the connection had ended before.
  @discardableResult
  public consuming func abort() -> CloseReport { reference.core.close(.abort) }
}

/// The result of ``Connection/pair(over:timeouts:file:line:)``: the two ends of one connection.
@frozen
public struct ConnectionPair: ~Copyable, Sendable {
  /// One end.
  public var first: Connection
  /// The other end.
  public var second: Connection
}

/// The result of ``Connection/detach()``.
public struct DetachedDescriptor: Sendable {
  /// The descriptor, which the caller has to close.
  public let descriptor: FileDescriptor
  /// Bytes that were received and that no call returned; they precede anything read from the descriptor.
  public let unread: [UInt8]
}
