internal import CFin
internal import Glibc
public import SystemPackage

/// Takes clients: a bound socket in LISTEN, with one owner.
///
/// What it promises: bind and listen are one call, so that nobody slips in between; `SO_REUSEADDR` is set, so that a
/// restart need not wait for TIME-WAIT; whoever waits in ``accept(within:file:line:)-4ka81`` wakes when it is stopped or closed.
public struct Listener: ~Copyable, SocketEnd {
  /// What this owner holds.
  public let reference: SocketReference
  /// How long waits last when a call does not say.
  public var timeouts: Timeouts
  let backlog: Int

  init(core: Core, backlog: Int, timeouts: Timeouts) {
    reference = SocketReference(core: core)
    self.backlog = backlog
    self.timeouts = timeouts
  }

  /// 4,096 clients; the kernel takes the smaller of this and `net.core.somaxconn`.
  public static let defaultBacklog = 4096

  /// What a listener is born with.
  public struct Options: Hashable, Sendable {
    /// `SO_REUSEPORT`: several listeners of the same user share the port. When one of them closes, the clients queued on it
    /// are reset, unless `net.ipv4.tcp_migrate_req` is 1.
    public var reusePort: Bool
    /// `IPV6_V6ONLY`; `nil` for the system's default, with which `[::]` takes IPv4 clients too, as `::ffff:` addresses.
    public var ipv6Only: Bool?
    /// Who may connect to a path: permission bits, exactly, whatever the umask. 0600, this user alone.
    public var pathPermissions: UInt32

    /// Neither shared nor restricted to IPv6, and a path for this user alone.
    public init(reusePort: Bool = false, ipv6Only: Bool? = nil, pathPermissions: UInt32 = 0o600) {
      self.reusePort = reusePort
      self.ipv6Only = ipv6Only
      self.pathPermissions = pathPermissions
    }
  }

  // MARK: Opening

  /// Binds and listens: `socket`, `bind`, `listen`.
  ///
  /// A path is bound as it stands: no symbolic link is followed. What a dead server left behind there is replaced; a living
  /// one's path is not touched, nor is a file that is no socket. Closing removes the path, if it still is this listener's;
  /// ``detach()`` leaves it.
  ///
  /// - Parameters:
  ///   - address: where; port 0 for one that the kernel chooses.
  ///   - backlog: clients that may wait to be accepted, 0 or more.
  ///   - options: what has to be set before `bind`.
  ///   - timeouts: for `accept`, and for the connections that it returns.
  ///   - file: where the socket is opened, for a leak's report.
  ///   - line: see `file`.
  /// - Throws: what is in the way: `.system(EADDRINUSE)` says who has the port, when that can be known.
  public static func bind(
    _ address: SocketAddress, backlog: Int = Listener.defaultBacklog, options: Options = Options(),
    timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> Listener {
    let core = try Core.fresh(
      address.family, .bind, isShared: true, local: address, site: .init(file: file, line: line))
    do {
      try core.passing(.bind) { world throws(SocketError) in
        try core.apply(options, world)
        try core.bind(to: address, pathPermissions: options.pathPermissions, world)
        core.advance(.bind)
        try core.listen(backlog: backlog, timeouts, world)
      }
    } catch {
      core.end()
      throw error
    }
    return Listener(core: core, backlog: backlog, timeouts: timeouts)
  }

  /// Binds what a person writes: `"localhost:7777"`, `":0"`, `"/run/x.sock"`, `"@name"`; the first address that the name has.
  ///
  /// - Throws: `.unresolved` when the name has no address; else what is in the way.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public static func bind(
    _ endpoint: Endpoint, backlog: Int = Listener.defaultBacklog, options: Options = Options(),
    timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> Listener {
    var patience = Patience(timeouts.connectLimit)
    let address = try endpoint.resolved(for: .bind, &patience)[0]
    return try bind(address, backlog: backlog, options: options, timeouts: timeouts, file: file, line: line)
  }

  /// Binds what a person writes, in a task: a name is looked up without blocking the task's thread.
  public static func bind(
    _ endpoint: Endpoint, backlog: Int = Listener.defaultBacklog, options: Options = Options(),
    timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) async throws(SocketError) -> Listener {
    var patience = Patience(timeouts.connectLimit)
    let address = try await endpoint.resolved(for: .bind, &patience)[0]
    return try bind(address, backlog: backlog, options: options, timeouts: timeouts, file: file, line: line)
  }

  /// Takes over a listening stream socket that somebody else made: a parent, or a service manager with `LISTEN_FDS`.
  ///
  /// It becomes non-blocking and `CLOEXEC`; the clients that it has queued are served. On success the descriptor is ours and
  /// nobody else may close it; on failure it stays the caller's. A path that it is bound to stays when it is closed: whoever
  /// made it removes it.
  /// ```swift
  /// // Descriptors that systemd passes begin at 3, when LISTEN_PID is this process.
  /// let listener = try Listener.adopt(FileDescriptor(rawValue: 3))
  /// ```
  /// - Parameters:
  ///   - descriptor: a stream socket that listens.
  ///   - backlog: what ``resume()`` asks for; nothing changes now.
  ///   - timeouts: for `accept`, and for the connections that it returns.
  ///   - file: where the socket is taken over, for a leak's report.
  ///   - line: see `file`.
  ///
  /// A listener of Multipath TCP (MPTCP) is taken over too. What it accepts goes without what MPTCP lacks, which is
  /// `TCP_USER_TIMEOUT` and, before Linux 5.17, most else that ``Timeouts`` would set.
  /// - Throws: `.system(ENOTSOCK)`; `.invalid` when it does not listen (a TCP listener that was detached while paused does
  ///   not), is no stream of TCP, MPTCP or Unix, or is ours already, and with a backlog below 0.
  public static func adopt(
    _ descriptor: FileDescriptor, backlog: Int = Listener.defaultBacklog, timeouts: Timeouts = .default,
    file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> Listener {
    guard backlog >= 0 else { throw SocketError(.adopt, .invalid("a backlog of \(backlog)")) }
    let core = try Core.adopted(descriptor.rawValue, as: .listener, site: .init(file: file, line: line))
    do {
      try core.passing(.adopt) { world throws(SocketError) in
        do throws(SocketError.Cause) {
          try core.apply(timeouts, world)
          try core.beginSilence(timeouts.sendLimit, world)
        } catch {
          throw SocketError(.adopt, error, note: "descriptor \(descriptor.rawValue)")
        }
      }
    } catch {
      _ = try core.detach()
      throw error
    }
    return Listener(core: core, backlog: backlog, timeouts: timeouts)
  }

  /// Where it listens, with the port that the kernel chose for port 0. `getsockname(2)`.
  public var address: SocketAddress { reference.core.local ?? .unix(.unnamed) }

  // MARK: Taking clients

  /// Takes the next client, or waits for one.
  ///
  /// The corresponding C function is `accept4` with `SOCK_CLOEXEC | SOCK_NONBLOCK`. What goes wrong with one client
  /// (`ECONNABORTED`, a pending network error) is passed over; a client that was reset in the queue comes as a connection
  /// whose first receive says so.
  ///
  /// `accept4` has no flag that keeps one call from waiting. When another holder of the listener has cleared
  /// `O_NONBLOCK`, this looks with `poll` first; what remains is a moment in which another process takes the client
  /// that was seen: then the call waits for the next one, whatever `within` says.
  ///
  /// After ``stop(within:)`` it returns the clients that are queued, one a call, then throws `.closed`.
  /// - Parameters:
  ///   - within: `nil` for ``Timeouts/accept``, which is for ever.
  ///   - file: where the connection is opened, for a leak's report.
  ///   - line: see `file`.
  /// - Throws: `.closed` when the listener was stopped or closed; `.paused`; `.timedOut`; only when a client waits, which
  ///   stays queued, `.system(EMFILE)` and its like when there is no descriptor for it, and `.system(EPERM)` or
  ///   `.system(EACCES)` when a filter or a security module forbids it: try again later; `.system` of what went wrong with the
  ///   sixteenth client in a row; `.system(EBADF)`, `ENOTSOCK` or `EINVAL` when this is no listener any more.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func accept(
    within: Duration? = nil, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> Connection {
    var patience = Patience(within, or: timeouts.acceptLimit)
    let core = try reference.core.accept(&patience, site: .init(file: file, line: line))
    return Connection(core: core, timeouts: timeouts)
  }

  /// Takes the next client, or waits for one, in a task: as in a thread, and `.cancelled` when the task is; no client is lost by
  /// it.
  public borrowing func accept(
    within: Duration? = nil, file: StaticString = #fileID, line: UInt = #line
  ) async throws(SocketError) -> Connection {
    var patience = Patience(within, or: timeouts.acceptLimit)
    let core = try await reference.core.accept(&patience, site: .init(file: file, line: line))
    return Connection(core: core, timeouts: timeouts)
  }

  /// Takes no more clients, and keeps the address. An accept that waits throws `.paused`; `serve` waits for the resumption.
  ///
  /// | | TCP, MPTCP: `shutdown(SHUT_RD)` | Unix: `listen(fd, 0)`, because a shutdown would be final |
  /// | --- | --- | --- |
  /// | a client queued at this moment | is reset | stays queued, and is taken after ``resume()`` |
  /// | a client that comes later | is refused (`ECONNREFUSED`) | is queued if the queue is empty; else its `connect` waits, or says `EAGAIN` when it does not block |
  ///
  /// A client that an accept has in hand at this moment is still taken. What other processes hold of the same socket is paused
  /// as well.
  /// - Throws: `.invalid` when it is paused already; `.closed`; `.system` when the kernel refuses.
  public borrowing func pause() throws(SocketError) { try reference.core.pause() }

  /// Takes clients again: `listen(2)`, with the same backlog.
  ///
  /// - Throws: `.invalid` when it is not paused; `.closed`; `.system(EADDRINUSE)` when another socket took the port
  ///   meanwhile, which it can if the kernel had chosen the port.
  public borrowing func resume() throws(SocketError) { try reference.core.resume(backlog: backlog) }

  // MARK: Ending

  /// Takes no new clients and lets go of none: those in the queue are still served. From any thread; returns at once.
  ///
  /// The kernel's queue is narrowed (`listen(fd, 0)`; on a Unix socket `shutdown(SHUT_RD)`, which refuses newcomers and keeps
  /// the queue), what it holds is accepted, then the port is released. `serve` returns when that and the handlers are done, or
  /// `within` is over, whichever is first; those still running then are aborted.
  ///
  /// The queue of an adopted listener is left as it is: another process may hold it, such as a service manager, and serve it
  /// on. After this listener's release its clients are that process's.
  public borrowing func stop(within: Duration = .seconds(10)) { reference.core.stop(within: within) }

  /// Gives the descriptor away, listening, with the clients in its queue: non-blocking, `CLOEXEC`, the caller's to close. A
  /// path stays. So a successor takes over without a client being refused.
  ///
  /// One that is paused is given away as the pause left it: call `listen(2)`, and clients come again.
  /// - Throws: `.closed` when a stop has released it already.
  public consuming func detach() throws(SocketError) -> FileDescriptor {
    FileDescriptor(rawValue: try reference.core.detach().number)
  }

  /// What other threads hold: it can stop, pause and resume.
  public var handle: ListenerHandle { ListenerHandle(core: reference.core, backlog: backlog) }

  /// Releases the port at once. The kernel resets the clients that wait to be accepted: see ``stop(within:)``.
  ///
  /// - Returns: how many those were.
  @discardableResult
  public consuming func close() -> ListenerReport { reference.core.closeListener() }
}

/// What closing a listener did.
public struct ListenerReport: Hashable, Sendable {
  /// Clients that had connected and waited to be accepted: the kernel reset them. Of a Unix listener, whose queue's length
  /// the kernel does not tell, 0.
  public let clientsReset: Int
}

/// A reference to a ``Listener`` for threads that do not own it: those that stop it.
public struct ListenerHandle: Sendable {
  let core: Core
  let backlog: Int

  /// Where it listens.
  public var localAddress: SocketAddress? { core.local }
  /// Where it is in its life.
  public var phase: Phase { core.phase }
  /// See ``Listener/stop(within:)``. A second time it can only bring the end of the drain nearer: zero aborts what runs.
  public func stop(within: Duration = .seconds(10)) { core.stop(within: within) }
  /// See ``Listener/pause()``.
  public func pause() throws(SocketError) { try core.pause() }
  /// See ``Listener/resume()``.
  public func resume() throws(SocketError) { try core.resume(backlog: backlog) }
}
