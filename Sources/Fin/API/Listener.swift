internal import CFin
internal import Glibc
public import SystemPackage

/// A bound stream socket in LISTEN, with one owner, that accepts clients.
///
/// It promises three things. Bind and listen are one call, so that no other socket takes the port in between.
/// `SO_REUSEADDR` is set, so that a restart need not wait for TIME-WAIT. A caller that waits in
/// `accept(within:)` wakes when the listener is stopped or closed.
public struct Listener: ~Copyable, SocketProtocol {
  /// The reference to the socket that this value owns.
  @_spi(Fin) public let reference: SocketReference
  /// The timeouts of calls that pass no `within`.
  public var timeouts: Timeouts
  let backlog: Int

  init(core: Core, backlog: Int, timeouts: Timeouts) {
    reference = SocketReference(core: core)
    self.backlog = backlog
    self.timeouts = timeouts
  }

  /// The default backlog: 4,096 clients. The kernel takes the smaller of this and `net.core.somaxconn`.
  public static let defaultBacklog = 4096

  /// The options of a new listener, which are set before `bind`.
  public struct Options: Hashable, Sendable {
    /// `SO_REUSEPORT`: several listeners of the same user share the port. When one of them closes, the clients queued
    /// on it are reset, unless `net.ipv4.tcp_migrate_req` is 1.
    public var reusePort: Bool
    /// `IPV6_V6ONLY`; `nil` for the system's default, with which `[::]` accepts IPv4 clients too, as
    /// `::ffff:` addresses. With `nil` it is off for an endpoint without a host, such as `":80"`, and on for the
    /// addresses of a name that has several.
    public var ipv6Only: Bool?
    /// The permission bits of a path, which decide who may connect. They are set exactly, whatever the umask. Default:
    /// 0600, this user alone.
    public var pathPermissions: UInt32

    /// Creates options. By default the port is not shared, the socket is not restricted to IPv6, and a path is for this
    /// user alone.
    public init(reusePort: Bool = false, ipv6Only: Bool? = nil, pathPermissions: UInt32 = 0o600) {
      self.reusePort = reusePort
      self.ipv6Only = ipv6Only
      self.pathPermissions = pathPermissions
    }

    func listening(_ backlog: Int, _ timeouts: Timeouts, _ site: Ledger.Site) -> Core.Listening {
      Core.Listening(
        backlog: backlog, reusePort: reusePort, ipv6Only: ipv6Only, pathPermissions: pathPermissions,
        timeouts: timeouts, site: site)
    }
  }

  // MARK: Opening

  /// Creates a listener: `socket`, `bind`, `listen`.
  ///
  /// A path is bound as it stands: no symbolic link is followed. A socket file that a dead server left behind is
  /// replaced. The path of a living server is not touched, nor is a file that is not a socket. Closing removes the path
  /// if it still belongs to this listener; ``detach()`` leaves it.
  ///
  /// - Parameters:
  ///   - address: the address to bind; with port 0 the kernel chooses the port.
  ///   - backlog: the number of clients that may wait to be accepted, 0 or more.
  ///   - options: the options that have to be set before `bind`.
  ///   - timeouts: the timeouts of `accept`, and of the connections that it returns.
  ///   - file: the source file that a leak report names as the place of opening.
  ///   - line: the line in `file`.
  /// - Throws: `.system` with the error of the call that failed; with `EADDRINUSE` the note names the holder of the
  ///   port, if that can be determined. `.invalid` when the backlog is below 0.
  public static func bind(
    _ address: SocketAddress, backlog: Int = Listener.defaultBacklog, options: Options = Options(),
    timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> Listener {
    let core = try Core.listening(
      at: address, options.listening(backlog, timeouts, .init(file: file, line: line)))
    return Listener(core: core, backlog: backlog, timeouts: timeouts)
  }

  /// Creates a listener at an endpoint as a user writes it: `"localhost:7777"`, `":0"`, `"/run/x.sock"`, `"@name"`.
  ///
  /// A name is bound at each of its addresses: `localhost` is `127.0.0.1` and `[::1]`, with the same port. These are
  /// several sockets and one listener: it accepts from all of them, and a pause, a stop and a close apply to all. An
  /// address that this machine does not have is left out, unless no other is left.
  ///
  /// Without a host, as in `":80"`, every address of this machine is bound, of both families: one IPv6 socket, which
  /// takes IPv4 clients as well (`::ffff:192.0.2.1`, see ``IPAddress/canonical``), or `0.0.0.0` where there is no IPv6.
  ///
  /// - Throws: `.unresolved` when the name has no address; otherwise the errors of binding an address.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public static func bind(
    _ endpoint: Endpoint, backlog: Int = Listener.defaultBacklog, options: Options = Options(),
    timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> Listener {
    var timeout = timeouts.connecting(.default)
    let wanted = options.listening(backlog, timeouts, .init(file: file, line: line))
    let core = try Core.listening(at: endpoint, try endpoint.resolved(for: .bind, &timeout), wanted)
    return Listener(core: core, backlog: backlog, timeouts: timeouts)
  }

  /// Creates a listener at an endpoint as a user writes it, in a task: a name is resolved without blocking the
  /// task's thread.
  public static func bind(
    _ endpoint: Endpoint, backlog: Int = Listener.defaultBacklog, options: Options = Options(),
    timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) async throws(SocketError) -> Listener {
    var timeout = timeouts.connecting(.default)
    let wanted = options.listening(backlog, timeouts, .init(file: file, line: line))
    let core = try Core.listening(at: endpoint, try await endpoint.resolved(for: .bind, &timeout), wanted)
    return Listener(core: core, backlog: backlog, timeouts: timeouts)
  }

  /// Adopts a listening stream socket from elsewhere: from a parent process, or from a service manager with
  /// `LISTEN_FDS`.
  ///
  /// The descriptor becomes non-blocking and `CLOEXEC`, and the clients in its queue are served. On success Fin owns
  /// the descriptor, and no other code may close it; on failure it stays the caller's. A path that the socket is bound
  /// to stays when the listener is closed: its creator removes it.
  /// ```swift
  /// // Descriptors that systemd passes begin at 3, when LISTEN_PID is this process.
  /// let listener = try Listener.adopt(FileDescriptor(rawValue: 3))
  /// ```
  /// - Parameters:
  ///   - descriptor: a stream socket that listens.
  ///   - backlog: the backlog that ``resume()`` sets; the current one is not changed.
  ///   - timeouts: the timeouts of `accept`, and of the connections that it returns.
  ///   - file: the source file that a leak report names as the place of adoption.
  ///   - line: the line in `file`.
  ///
  /// A listener of Multipath TCP (MPTCP) can be adopted too. The connections that it accepts go without the options
  /// that MPTCP lacks: `TCP_USER_TIMEOUT` and, before Linux 5.17, most others that ``Timeouts`` would set.
  /// - Throws: `.system(ENOTSOCK)`; `.invalid` when the socket does not listen (a TCP listener that was detached while
  ///   paused does not), is not a stream of TCP, MPTCP or Unix, or already belongs to Fin, and when the backlog is
  ///   below 0.
  public static func adopt(
    _ descriptor: FileDescriptor, backlog: Int = Listener.defaultBacklog, timeouts: Timeouts = .default,
    file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> Listener {
    guard backlog >= 0 else { throw SocketError(.adopt, .invalid("a backlog of \(backlog)")) }
    let core = try Core.adopted(descriptor.rawValue, as: .listener, site: .init(file: file, line: line))
    do {
      try core.withAccess(.adopt) { access throws(SocketError) in
        do throws(SocketError.Cause) {
          try core.apply(timeouts, access)
          try core.applyUserTimeout(timeouts.send, access)
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

  /// The address that it listens on, with the port that the kernel chose for port 0. `getsockname(2)`. Of several
  /// addresses, the first.
  public var localAddress: SocketAddress { reference.core.local ?? .unix(.unnamed) }

  /// All addresses that it listens on: several for a name that has several, such as `localhost`.
  public var localAddresses: [SocketAddress] { reference.core.localAddresses }

  // MARK: Accepting

  /// Accepts the next client, or waits for one.
  ///
  /// The corresponding C function is `accept4` with `SOCK_CLOEXEC | SOCK_NONBLOCK`. An error that concerns one client
  /// (`ECONNABORTED`, a pending network error) is skipped. A client that was reset in the queue is returned as a
  /// connection whose first receive throws the reset.
  ///
  /// `accept4` has no flag that keeps one call from waiting. When another holder of the listener has cleared
  /// `O_NONBLOCK`, this call asks `poll` first. A race remains: if another process accepts the client after `poll` has
  /// seen it, the call waits for the next client, whatever `within` says.
  ///
  /// After ``stop(after:within:)`` it returns the queued clients, one per call, and then throws `.closed`.
  /// - Parameters:
  ///   - within: the timeout; by default ``Timeouts/accept``, which is no limit by default.
  ///   - file: the source file that a leak report of the connection names as the place of opening.
  ///   - line: the line in `file`.
  /// - Throws: `.closed` when the listener was stopped or closed; `.paused`; `.timedOut`. Only when a client waits,
  ///   which stays queued: `.system(EMFILE)` and similar errors when there is no descriptor for it, and
  ///   `.system(EPERM)` or `.system(EACCES)` when a filter or a security module forbids it; try again later. `.system`
  ///   with the error of the sixteenth client in a row that failed. `.system(EBADF)`, `ENOTSOCK` or `EINVAL` when the
  ///   socket is no longer a listener.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public borrowing func accept(
    within: Timeout = .default, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> Connection {
    var timeout = timeouts.accepting(within)
    let core = try reference.core.accept(&timeout, site: .init(file: file, line: line))
    return Connection(core: core, timeouts: timeouts)
  }

  /// Accepts the next client, or waits for one, in a task. It behaves as in a thread, and throws `.cancelled` when the
  /// task is cancelled; the cancellation loses no client.
  public borrowing func accept(
    within: Timeout = .default, file: StaticString = #fileID, line: UInt = #line
  ) async throws(SocketError) -> Connection {
    var timeout = timeouts.accepting(within)
    let core = try await reference.core.accept(&timeout, site: .init(file: file, line: line))
    return Connection(core: core, timeouts: timeouts)
  }

  /// Stops accepting clients and keeps the address. An `accept` in progress throws `.paused`; `serve` waits until
  /// ``resume()``.
  ///
  /// | | TCP | TCP, `resettingQueue: true` | Unix |
  /// | --- | --- | --- | --- |
  /// | system call | `SO_ATTACH_FILTER` | `shutdown(SHUT_RD)` | `listen(fd, 0)`, as a shutdown would be final |
  /// | client queued at this moment | stays queued | is reset | stays queued |
  /// | later client, empty queue | its `connect` waits | gets `ECONNREFUSED` | is queued |
  /// | later client, otherwise | its `connect` waits | gets `ECONNREFUSED` | its `connect` waits, or fails: `EAGAIN` |
  ///
  /// A queued client is accepted after ``resume()``. A `connect` that waits over TCP has lost its first segment, as far
  /// as its kernel knows, and sends it again after 1 s, 3 s, 7 s and so on, until its own timeout. To have other
  /// servers take the later clients at once, refuse them: `resettingQueue: true`.
  ///
  /// A client that an `accept` is taking at this moment is still returned. Other processes that hold the same socket
  /// are paused as well.
  /// - Parameter resettingQueue: whether a TCP listener refuses later clients at once, which resets the clients in its
  ///   queue. A Unix listener never resets its queue.
  /// - Throws: `.invalid` when it is not listening, because it is paused or being stopped; `.closed`; `.system` when
  ///   the kernel refuses. A listener of MPTCP takes no filter, and one with a filter of the program's own keeps that
  ///   (`EEXIST`): they can only be paused with `resettingQueue: true`.
  public borrowing func pause(resettingQueue: Bool = false) throws(SocketError) {
    try reference.core.pause(resettingQueue: resettingQueue)
  }

  /// Accepts clients again: `listen(2)`, with the same backlog.
  ///
  /// - Throws: `.invalid` when it is not paused; `.closed`; `.system(EADDRINUSE)` when another socket took the port
  ///   meanwhile, which is possible if the kernel had chosen the port.
  public borrowing func resume() throws(SocketError) { try reference.core.resume(backlog: backlog) }

  // MARK: Ending

  /// Accepts no new clients and drops none: those in the queue are still served. Any thread may call it; it returns
  /// at once.
  ///
  /// New clients are refused: over TCP a filter drops the first segment of each new handshake, as if it had been lost,
  /// so that its client finds the port closed a second later; on a Unix socket `shutdown(SHUT_RD)` refuses at once.
  /// Handshakes that are under way get up to 3.5 s to finish. The clients in the queue are accepted, and then the port
  /// is released. `serve` returns when that and the handlers are done, or when `within` has passed, 10 s by default,
  /// whichever comes first. Connections whose handlers still run then are aborted.
  ///
  /// With `after`, it goes on accepting for that time: a load balancer or a cluster's routing needs a while to learn
  /// that this server is going. Its connections know at once, through ``StreamSocketProtocol/isDraining``, and
  /// `isNextComing(within:)` ends for those that are idle. `within` counts from the end of `after`.
  ///
  /// The queue of an adopted listener is left as it is: another process, such as a service manager, may hold the same
  /// socket and go on serving it. When this listener has been released, the queued clients belong to that process.
  /// - Parameters:
  ///   - after: the time for which clients are still accepted.
  ///   - within: the time for the queue and for running handlers.
  public borrowing func stop(after: Duration = .zero, within: Timeout = .default) {
    reference.core.stop(after: after, within: within)
  }

  /// Gives the descriptor away, still listening, with the clients in its queue. It is non-blocking and `CLOEXEC`, and
  /// the caller has to close it. A path stays. So a successor takes over without refusing a client.
  ///
  /// A listener that was paused with `resettingQueue: true`, or on a Unix socket, is given away as it is: `listen(2)`
  /// makes it accept clients again. Any other one takes clients again at once.
  /// - Throws: `.closed` when a stop has released it already. `.invalid` when it has several sockets, as a listener on
  ///   `localhost` may: it is closed then. ``detachAll()`` gives all of them away.
  public consuming func detach() throws(SocketError) -> FileDescriptor {
    let core = reference.core
    if let further = core.further {
      let count = further.members.count + 1
      core.end()
      throw core.error(.detach, .invalid("this listener has \(count) sockets: detachAll() gives all of them away"))
    }
    return FileDescriptor(rawValue: try core.detach().number)
  }

  /// Gives the descriptors of all addresses away, as ``detach()`` does with a single one, in the order of
  /// ``localAddresses``.
  ///
  /// - Throws: `.closed` when a stop has released it already.
  public consuming func detachAll() throws(SocketError) -> [FileDescriptor] {
    try reference.core.detachAll().map(FileDescriptor.init(rawValue:))
  }

  /// A reference for other threads, which can stop, pause and resume the listener through it.
  public var handle: ListenerHandle { ListenerHandle(core: reference.core, backlog: backlog) }

  /// Releases the port at once. The kernel resets the clients that wait to be accepted; ``stop(after:within:)`` serves
  /// them first.
  ///
  /// - Returns: a report with the number of those clients.
  @discardableResult
  public consuming func close() -> ListenerReport { reference.core.closeListener() }
}

/// A reference to a ``Listener`` for threads that do not own it, such as the one that stops it.
public struct ListenerHandle: Sendable {
  let core: Core
  let backlog: Int

  /// The address that the listener listens on.
  public var localAddress: SocketAddress? { core.local }
  /// The listener's phase.
  public var phase: Phase { core.phase }
  /// Stops the listener: see ``Listener/stop(after:within:)``. A second call can only bring the end of the drain
  /// nearer; zero aborts the connections that are still served.
  public func stop(after: Duration = .zero, within: Timeout = .default) { core.stop(after: after, within: within) }
  /// Pauses the listener: see ``Listener/pause(resettingQueue:)``.
  public func pause(resettingQueue: Bool = false) throws(SocketError) {
    try core.pause(resettingQueue: resettingQueue)
  }
  /// Resumes the listener: see ``Listener/resume()``.
  public func resume() throws(SocketError) { try core.resume(backlog: backlog) }
}
