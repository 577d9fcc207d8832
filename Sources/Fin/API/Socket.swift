public import SystemPackage

/// A stream socket that is neither connected nor listening yet, for setting options or binding before it connects.
///
/// Most programs begin with `Connection.connect(to:within:timeouts:file:line:)` or
/// `Listener.bind(_:backlog:options:timeouts:file:line:)`. The socket is `CLOEXEC` and non-blocking from its
/// `socket(2)` on.
public struct Socket: ~Copyable, SocketProtocol {
  /// The reference to the socket that this value owns.
  @_spi(Fin) public let reference: SocketReference
  /// The timeouts of calls that pass no `within`.
  public var timeouts: Timeouts

  /// Creates a stream socket of `family`. The corresponding C function is `socket`, with
  /// `SOCK_CLOEXEC | SOCK_NONBLOCK`.
  ///
  /// - Throws: `.system`: `EMFILE` when no descriptor is available, `EAFNOSUPPORT` when the family is not supported.
  public init(
    _ family: AddressFamily, timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) {
    reference = SocketReference(core: try .fresh(family, .open, site: .init(file: file, line: line)))
    self.timeouts = timeouts
  }

  /// Binds the socket to a local address. With port 0 the kernel chooses the port, and ``localAddress`` has it.
  ///
  /// - Parameters:
  ///   - address: the address.
  ///   - leavingPortOpen: with port 0, whether the port is chosen when the socket connects (`IP_BIND_ADDRESS_NO_PORT`).
  ///     One port then serves connections to several destinations, and ``localAddress`` has no port until then.
  /// - Throws: `.invalid` when the phase does not allow it; `.system` with the error of the call that failed; with
  ///   `EADDRINUSE` the note names the holder of the address, if that can be determined.
  public borrowing func bind(to address: SocketAddress, leavingPortOpen: Bool = false) throws(SocketError) {
    let core = reference.core
    try core.withAccess(.bind) { access throws(SocketError) in
      guard Lifecycle.transition(core.phase, on: .bind) != nil else {
        throw core.error(.bind, .invalid("this socket is \(core.phase)"))
      }
      try core.bind(to: address, leavingPortOpen: leavingPortOpen, access)
      core.advance(.bind)
    }
  }

  /// Starts to accept clients: `listen(2)`. If it fails, the socket is released.
  ///
  /// - Throws: `.invalid` without an address (see ``bind(to:leavingPortOpen:)``) or with a backlog below 0; `.system`.
  public consuming func listen(backlog: Int = Listener.defaultBacklog) throws(SocketError) -> Listener {
    let core = reference.core
    do {
      try core.withAccess(.listen) { access throws(SocketError) in
        guard Lifecycle.transition(core.phase, on: .listen) != nil else {
          throw core.error(.listen, .invalid("this socket is \(core.phase); bind it first"))
        }
        try core.listen(backlog: backlog, timeouts, access)
      }
    } catch {
      core.end()
      throw error
    }
    return Listener(core: core, backlog: backlog, timeouts: timeouts)
  }

  /// Connects: `connect(2)`. If the attempt fails, the socket is released: create a new one.
  ///
  /// - Throws: `.timedOut`; `.closed`; `.system` with the error of the kernel, such as `ECONNREFUSED`.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public consuming func connect(to peer: SocketAddress, within: Timeout = .default) throws(SocketError) -> Connection {
    var timeout = timeouts.connecting(within)
    do { try reference.core.connect(to: peer, timeouts, &timeout) } catch {
      reference.core.end()
      throw error
    }
    return Connection(core: reference.core, timeouts: timeouts)
  }

  /// Connects in a task. It throws as in a thread, and `.cancelled` when the task is cancelled. If the attempt fails,
  /// the socket is released.
  public consuming func connect(
    to peer: SocketAddress, within: Timeout = .default
  ) async throws(SocketError) -> Connection {
    var timeout = timeouts.connecting(within)
    do { try await reference.core.connect(to: peer, timeouts, &timeout) } catch {
      await reference.core.end()
      throw error
    }
    return Connection(core: reference.core, timeouts: timeouts)
  }

  /// Gives the descriptor away as it is: non-blocking, `CLOEXEC`, bound or not. The caller has to close it. The file at
  /// a path stays.
  ///
  /// A socket cannot be duplicated before it connects or listens: both descriptors would be one socket, which one of
  /// them connects. ``Connection/duplicate(file:line:)`` works afterwards.
  public consuming func detach() -> FileDescriptor {
    do { return FileDescriptor(rawValue: try reference.core.detach().number) } catch {
      fatalError("a socket that only its owner can close was closed: \(error)")
    }
  }

  /// Releases the socket: `close(2)`. Nothing was sent, so there is nothing to report.
  public consuming func close() { reference.core.end() }
}
