internal import SystemPackage

/// A stream socket that is neither connected nor listening yet: for those who set options or bind before they connect.
///
/// Most programs begin with `Connection.connect(to:within:timeouts:file:line:)` or
/// `Listener.bind(_:backlog:options:timeouts:file:line:)`.
/// `CLOEXEC` and non-blocking from its `socket(2)` on.
public struct Socket: ~Copyable, SocketEnd {
  /// What this owner holds.
  public let reference: SocketReference
  /// How long waits last when a call does not say.
  public var timeouts: Timeouts

  /// A stream socket of a family. The corresponding C function is `socket`, with `SOCK_CLOEXEC | SOCK_NONBLOCK`.
  ///
  /// - Throws: `.system`: `EMFILE` when there is no descriptor to be had, `EAFNOSUPPORT` when there is no such family.
  public init(
    _ family: AddressFamily, timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) {
    reference = SocketReference(core: try .fresh(family, .open, site: .init(file: file, line: line)))
    self.timeouts = timeouts
  }

  /// Gives the socket a local address; port 0 lets the kernel choose one.
  ///
  /// A connection bound to an address without a port takes no port until it connects (`IP_BIND_ADDRESS_NO_PORT`), so that
  /// it uses up no port for other destinations.
  /// - Throws: what is in the way, and of whom, when it can be known.
  public borrowing func bind(to address: SocketAddress) throws(SocketError) {
    let core = reference.core
    try core.passing(.bind) { world throws(SocketError) in
      guard Lifecycle.transition(core.phase, on: .bind) != nil else {
        throw core.error(.bind, .invalid("this socket is \(core.phase)"))
      }
      try core.bind(to: address, leavingPortOpen: true, world)
      core.advance(.bind)
    }
  }

  /// Starts to take clients: `listen(2)`. A socket for which it fails is released.
  ///
  /// - Throws: `.invalid` without an address (see ``bind(to:)``) or with a backlog below 0; `.system`.
  public consuming func listen(backlog: Int = Listener.defaultBacklog) throws(SocketError) -> Listener {
    let core = reference.core
    do {
      try core.passing(.listen) { world throws(SocketError) in
        guard Lifecycle.transition(core.phase, on: .listen) != nil else {
          throw core.error(.listen, .invalid("this socket is \(core.phase); bind it first"))
        }
        try core.listen(backlog: backlog, timeouts, world)
      }
    } catch {
      core.end()
      throw error
    }
    return Listener(core: core, backlog: backlog, timeouts: timeouts)
  }

  /// Connects: `connect(2)`. A socket whose attempt failed is released: take a new one.
  ///
  /// - Throws: `.timedOut`; `.closed`; `.system` for what the kernel says, such as `ECONNREFUSED`.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public consuming func connect(to peer: SocketAddress, within: Duration? = nil) throws(SocketError) -> Connection {
    var patience = Patience(within, or: timeouts.connectLimit)
    do { try reference.core.connect(to: peer, timeouts, &patience) } catch {
      reference.core.end()
      throw error
    }
    return Connection(core: reference.core, timeouts: timeouts)
  }

  /// Connects in a task: as in a thread, and `.cancelled` when the task is. A socket whose attempt failed is released.
  public consuming func connect(
    to peer: SocketAddress, within: Duration? = nil
  ) async throws(SocketError) -> Connection {
    var patience = Patience(within, or: timeouts.connectLimit)
    do { try await reference.core.connect(to: peer, timeouts, &patience) } catch {
      await reference.core.end()
      throw error
    }
    return Connection(core: reference.core, timeouts: timeouts)
  }

  /// Releases it. `close(2)`; nothing was sent, so there is nothing to report.
  public consuming func close() { reference.core.end() }
}
