internal import FinBase
internal import Synchronization

/// Connections to one endpoint that are kept open and used for one request after the other.
///
/// A lease is a scope: the body has the connection to itself, and it comes back only if the body returned and nothing
/// is unread on it. When the body throws, the connection is aborted. A body that has its answer and knows that no
/// request may follow on this connection calls ``Connection/retire()``: the pool then closes it.
/// ```swift
/// let pool = ConnectionPool(to: "localhost:7777")
/// let reply = try await pool.withConnection { connection in
///   try await connection.send("hello\n")
///   guard let line = try await connection.receiveLine() else { throw NoReply() }
///   return line
/// }
/// print(await pool.close())
/// ```
/// An idle connection is watched by an event loop: when the server closes or resets it, or sends bytes that no request
/// asked for, it is retired at once. It is looked at once more before a body gets it. A server may still close at the
/// very moment at which a request is sent. The pool then sends the request again if it is known not to have been
/// delivered: see ``Retrying/undelivered``.
///
/// It promises that callers are served in their order, that every wait has a deadline, that no more than
/// ``PoolLimits/connections`` exist, and that none is left when `close(within:)` has returned. It cannot tell whether
/// a body that returned got a whole answer: a body that got none must throw.
///
/// A pool that is dropped closes its connections, and so does one whose reactor is stopped.
public final class ConnectionPool: Sendable {
  private let desk: PoolDesk
  private let manner: PoolKeeper.Manner
  private let reactor: Reactor?
  private let kept = Mutex<PoolKeeper?>(nil)

  /// Creates a pool. It dials when it is first used, or by ``warmUp()``.
  ///
  /// - Parameters:
  ///   - endpoint: the server: `"example.net:7"`, `"[::1]:7"`, `"/run/x.sock"`.
  ///   - limits: the numbers and times of the connections and callers.
  ///   - timeouts: the timeouts of the connections; ``Timeouts/connect`` limits each dial.
  ///   - options: where the connections come from, and how the addresses of a name are tried.
  ///   - closing: how a connection is closed that is retired. It counts until it is closed.
  ///   - reactor: the reactor that watches and dials, which the pool holds; by default ``Reactor/shared``.
  ///   - file: where the pool is made, for the report of a leak.
  ///   - line: see `file`.
  public convenience init(
    to endpoint: Endpoint, limits: PoolLimits = PoolLimits(), timeouts: Timeouts = .default,
    options: DialOptions = DialOptions(), closing: ClosePolicy = .confirmed, on reactor: Reactor? = nil,
    file: StaticString = #fileID, line: UInt = #line
  ) {
    let manner = PoolKeeper.Manner(
      timeouts: timeouts, options: options, closing: closing, site: .init(file: file, line: line), secure: nil)
    self.init(to: endpoint, limits, manner, reactor)
  }

  private init(to endpoint: Endpoint, _ limits: PoolLimits, _ manner: PoolKeeper.Manner, _ reactor: Reactor?) {
    desk = PoolDesk(endpoint, limits)
    self.manner = manner
    self.reactor = reactor
  }

  deinit { _ = desk.close(within: .zero, waking: nil) }

  #if TLS
  /// Creates a pool of connections that are secured with TLS.
  ///
  /// close_notify takes the place of the FIN, which anything on the path can forge. Acknowledgements are not secured:
  /// an attacker on the path who removes them can have a request sent twice. Such a program passes ``Retrying/never``.
  /// - Parameters:
  ///   - endpoint: the server: `"example.net:443"`.
  ///   - settings: whom to trust.
  ///   - name: the name that the certificate must have, if it is not the endpoint's host.
  ///   - limits: the numbers and times of the connections and callers.
  ///   - timeouts: the timeouts of the connections; ``Timeouts/handshake`` limits each handshake.
  ///   - options: where the connections come from, and how the addresses of a name are tried.
  ///   - closing: how a connection is closed that is retired.
  ///   - reactor: the reactor that watches and dials, which the pool holds; by default ``Reactor/shared``.
  ///   - file: where the pool is made, for the report of a leak.
  ///   - line: see `file`.
  public convenience init(
    to endpoint: Endpoint, securing settings: TLSClient, named name: String? = nil, limits: PoolLimits = PoolLimits(),
    timeouts: Timeouts = .default, options: DialOptions = DialOptions(), closing: ClosePolicy = .confirmed,
    on reactor: Reactor? = nil, file: StaticString = #fileID, line: UInt = #line
  ) {
    let role: TLSRole = name.map { .client(for: $0, settings) } ?? .client(of: endpoint, settings)
    let manner = PoolKeeper.Manner(
      timeouts: timeouts, options: options, closing: closing, site: .init(file: file, line: line)
    ) { core async throws(SocketError) in
      var timeout = LazyDeadline(.default, or: timeouts.handshake)
      try await core.secure(as: role, &timeout)
    }
    self.init(to: endpoint, limits, manner, reactor)
  }
  #endif

  // MARK: Using

  /// Begins to dial the connections that ``PoolLimits/warm`` keeps, and returns at once.
  ///
  /// - Throws: `.system(EMFILE)` and its like; `.reactorStopped`.
  public func warmUp() throws(SocketError) { _ = try keeper() }

  /// Runs `body` with a connection, and blocks the thread while it waits for one.
  ///
  /// The body may run again, with another connection, as `retrying` says: so it must contain the whole request and its
  /// whole answer, and throw when no whole answer came.
  /// - Parameters:
  ///   - retrying: which requests are sent again when their connection has ended.
  ///   - within: the timeout of the wait for a connection; by default ``Timeouts/connect``.
  ///   - body: borrows the connection. What it sets on it stays set for the next body.
  /// - Returns: the result of the body.
  /// - Throws: every error of the body; ``SocketError`` when it got no connection: that of the dial, `.timedOut`,
  ///   `.tooManyOperations` when too many callers wait, `.closed` when the pool is closed.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public func withConnection<R>(
    retrying: Retrying = .undelivered, within: Timeout = .default, _ body: (borrowing Connection) throws -> R
  ) throws -> R {
    var repeats = 0
    while true {
      let lease = try checkOut(within)
      do {
        let value = try body(Connection(core: lease.core, timeouts: manner.timeouts))
        lease.giveBack()
        return value
      } catch {
        let mayRepeat = lease.mayRepeat(after: error, retrying, repeats: repeats)
        lease.end()
        if !mayRepeat { throw error }
        repeats += 1
      }
    }
  }

  /// Runs `body` with a connection, in a task: as in a thread. When the task is cancelled, it gets no connection, or
  /// the waits in the body throw `.cancelled`.
  public func withConnection<R>(
    retrying: Retrying = .undelivered, within: Timeout = .default, _ body: (borrowing Connection) async throws -> R
  ) async throws -> R {
    var repeats = 0
    while true {
      let lease = try await checkOut(within)
      let outcome = await lease.core.inScope { () async throws -> R in
        try await body(Connection(core: lease.core, timeouts: manner.timeouts))
      }
      switch outcome {
      case .success(let value):
        lease.giveBack()
        return value
      case .failure(let error):
        let mayRepeat = lease.mayRepeat(after: error, retrying, repeats: repeats)
        await lease.end()
        if !mayRepeat { throw error }
        repeats += 1
      }
    }
  }

  /// The counts so far, and the connections at this moment.
  public var report: PoolReport { desk.report }

  // MARK: Closing

  /// Closes the pool, and blocks the thread until no connection is left.
  ///
  /// Waiting callers get `.closed` at once, and so does every later one. Idle connections are closed as the pool's
  /// `closing` says. The bodies that run go on until `within` is over; then their connections are aborted. A second
  /// close waits as well, and can only shorten the time.
  /// - Parameter within: the time for the bodies that run; 10 s by default.
  /// - Returns: the counts of the pool's life.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  @discardableResult
  public func close(within: Timeout = .seconds(10)) -> PoolReport {
    let parker = Parker()
    if desk.close(within: within.or(.seconds(10)), waking: parker) { _ = parker.park() }
    return desk.report
  }

  /// Closes the pool, and suspends the task until no connection is left: as in a thread. When the task is cancelled,
  /// the time for the bodies is over.
  @discardableResult
  public func close(within: Timeout = .seconds(10)) async -> PoolReport {
    let parker = TaskParker()
    if desk.close(within: within.or(.seconds(10)), waking: parker) {
      await withTaskCancellationHandler {
        await parker.wait()
      } onCancel: {
        _ = desk.close(within: .zero, waking: nil)
      }
    }
    return desk.report
  }

  // MARK: Checking out

  /// The keeper, which begins with the first use.
  private func keeper() throws(SocketError) -> PoolKeeper {
    try kept.withLock { kept throws(SocketError) in
      if let keeper = kept { return keeper }
      let keeper = try PoolKeeper(desk, manner, on: reactor)
      kept = keeper
      return keeper
    }
  }

  private func checkOut(_ within: Timeout) throws(SocketError) -> PoolLease {
    let keeper = try keeper()
    var timeout = manner.timeouts.connecting(within)
    var stale: Int?
    while true {
      let (caller, first) = desk.ask(stale)
      var grant = first
      if grant == nil {
        let parker = Parker()
        grant = desk.await(caller, waking: parker)
        if grant == nil {
          _ = parker.park(until: timeout.deadline)
          grant = desk.endWait(caller)
        }
      }
      switch grant {
      case nil: throw SocketError(.checkOut, .timedOut)
      case .refused(let error)?: throw error
      case .lent(let number, let core)?:
        if let lease = PoolLease(number, core, desk, keeper) { return lease }
        stale = number
      }
    }
  }

  private nonisolated(nonsending) func checkOut(_ within: Timeout) async throws(SocketError) -> PoolLease {
    if Task.isCancelled { throw SocketError(.checkOut, .cancelled) }
    let keeper = try keeper()
    var timeout = manner.timeouts.connecting(within)
    var stale: Int?
    while true {
      let (caller, first) = desk.ask(stale)
      var grant = first
      if grant == nil { grant = try await wait(as: caller, until: timeout.deadline) }
      switch grant {
      case nil: throw SocketError(.checkOut, .timedOut)
      case .refused(let error)?: throw error
      case .lent(let number, let core)?:
        if Task.isCancelled {
          // It is still watched: nothing was done with it.
          desk.take(.giveBack(number))
          throw SocketError(.checkOut, .cancelled)
        }
        if let lease = PoolLease(number, core, desk, keeper) { return lease }
        stale = number
      }
    }
  }

  /// Waits for the answer to a caller.
  private nonisolated(nonsending) func wait(
    as caller: Int, until deadline: Deadline
  ) async throws(SocketError) -> PoolDesk.Grant {
    let registration: Registration
    do throws(WaitError) { registration = try Reactor.nearest().makeRegistration() } catch {
      if let grant = desk.endWait(caller) { return grant }
      throw SocketError(.checkOut, error.cause)
    }
    defer { registration.leave() }
    // Read before the desk knows the registration: an answer from then on ends the wait.
    let changes = registration.snapshot.changes
    if let grant = desk.await(caller, waking: registration) { return grant }
    let wake = await registration.park(.change(since: changes), until: deadline)
    if let grant = desk.endWait(caller) { return grant }
    throw SocketError(.checkOut, wake.interruption?.cause ?? .timedOut)
  }
}
