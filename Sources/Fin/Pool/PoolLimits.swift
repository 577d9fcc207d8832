/// The limits of a ``ConnectionPool``, and its assumption about the server.
///
/// ```swift
/// var limits = PoolLimits()
/// limits.connections = 16
/// limits.idle = .seconds(50)  // the server is known to close after 60 s
/// let pool = ConnectionPool(to: "db.example:7777", limits: limits)
/// ```
public struct PoolLimits: Hashable, Sendable {
  /// The largest number of connections, 1 or more, those included that are dialed or being closed. Default: 64.
  public var connections: Int
  /// The largest number of idle connections. Beyond it the one that has been idle longest is closed. Default: 16.
  public var idleConnections: Int
  /// The number of connections that the pool keeps even when they are idle for long, and dials again when they end.
  /// Default: 0. They begin with ``ConnectionPool/warmUp()`` or with the first request. After a failed dial, or when
  /// the server has closed one, the next follows after 1 s.
  public var warm: Int
  /// The largest number of callers that wait for a connection, besides those for which one is being dialed.
  /// Default: 1024.
  public var waiters: Int
  /// The longest time for which a connection is kept idle, beyond ``warm``. Default: 4 s, because many servers close
  /// after 5 s, and it is better to be first.
  public var idle: Duration
  /// The age at which a connection is closed when it is not in use, so that clients follow a change of the server's
  /// addresses, and routers that forget old connections do no harm. Each connection has between 90 and 110 percent of
  /// it, so that not all of them end together. Default: 10 minutes.
  public var age: Duration
  /// How many times one request is sent again. Default: 2.
  public var repeats: Int
  /// Whether the server's program may read requests after it has finished sending: it half-closes. A FIN of such a
  /// server does not prove that a request was not delivered. Default: `false`.
  public var serverReadsAfterItsEnd: Bool

  /// Creates limits: 64 connections, 16 of them idle, none kept warm, 1024 waiting callers, 4 s idle, 10 minutes of
  /// age, and a request sent again twice at most.
  public init(
    connections: Int = 64, idleConnections: Int = 16, warm: Int = 0, waiters: Int = 1024,
    idle: Duration = .seconds(4), age: Duration = .seconds(600), repeats: Int = 2, serverReadsAfterItsEnd: Bool = false
  ) {
    self.connections = connections
    self.idleConnections = idleConnections
    self.warm = warm
    self.waiters = waiters
    self.idle = idle
    self.age = age
    self.repeats = repeats
    self.serverReadsAfterItsEnd = serverReadsAfterItsEnd
  }

  /// The limits as the machine takes them. A negative one counts as none.
  var rules: Pool.Rules {
    let connections = max(1, connections)
    return Pool.Rules(
      connections: connections, idleConnections: max(0, idleConnections), warm: min(max(0, warm), connections),
      waiters: max(0, waiters), idle: max(0, Deadline.adding(idle, to: 0)), pause: 1_000_000_000)
  }

  /// The age at which one connection is closed: not all of them end together.
  var ageOfOne: Duration { age * Double.random(in: 0.9...1.1) }
}

/// Which requests a ``ConnectionPool`` sends again, on another connection, after the connection has failed.
public enum Retrying: Hashable, Sendable, CaseIterable {
  /// Those that are known not to have been delivered: no byte was ever sent, or the server's FIN is there and its
  /// kernel has acknowledged nothing of the request. So even a request that must not be executed twice is sent again.
  case undelivered
  /// All of them: the caller says that the request may be executed twice.
  case repeatable
  /// None of them.
  case never
}
