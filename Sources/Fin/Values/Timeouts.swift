/// The timeouts of calls that pass no `within`.
///
/// A timeout runs from the call to its return: a line that trickles in byte by byte has the same time as one that
/// arrives at once. `nil` means no limit. Only ``accept`` has no limit by default.
public struct Timeouts: Hashable, Sendable {
  /// The timeout of name resolution and all connect attempts together. Default: 30 s.
  public var connect: Duration? {
    get { connectLimit.duration }
    set { times.connect = TimeLimit(newValue) }
  }
  /// The timeout of one `send` call. Default: 60 s. Once there is a connection it is also the `TCP_USER_TIMEOUT`, so
  /// that the kernel gives up on bytes that stay unacknowledged for as long, even when the peer answers every probe
  /// with a closed window.
  ///
  /// A call with a longer timeout (`within:`, or this one made longer on the connection) gets that time: while it waits
  /// the kernel has no such limit, and afterwards the kernel waits as long as that call might have taken, for this
  /// connection, from then on. A shorter timeout ends calls sooner and changes nothing for the kernel. A limit that the
  /// program sets itself, with ``SocketOption/userTimeout``, stays as it is, and ends a send that may take longer. The
  /// kernel's limit is set when a connection is made or accepted; an adopted connection keeps the limit that it had
  /// until a send has a longer timeout. MPTCP has no such limit.
  public var send: Duration? {
    get { sendLimit.duration }
    set { times.send = TimeLimit(newValue) }
  }
  /// The timeout of one receive call: the idle deadline. Default: 60 s.
  public var receive: Duration? {
    get { receiveLimit.duration }
    set { times.receive = TimeLimit(newValue) }
  }
  /// The timeout of one `accept`. Default: no limit, because a listener without clients is not a connection that hangs,
  /// and `stop()` wakes a waiting `accept`.
  public var accept: Duration? {
    get { acceptLimit.duration }
    set { times.accept = TimeLimit(newValue) }
  }
  /// The probes on a silent connection; `nil` for none.
  public var keepAlive: KeepAlive? {
    get { shared.times.keepAlive }
    set { times.keepAlive = newValue }
  }

  /// The values in nanoseconds, because each wait reads one of them.
  private struct Times: Hashable {
    var connect: TimeLimit
    var send: TimeLimit
    var receive: TimeLimit
    var accept: TimeLimit
    var keepAlive: KeepAlive?
  }

  /// The values, shared by all the connections of a listener, so that each connection holds one word and not all of
  /// them.
  private final class Shared: Sendable {
    let times: Times
    init(_ times: Times) { self.times = times }
  }

  private var shared: Shared
  private var times: Times {
    get { shared.times }
    set { shared = Shared(newValue) }
  }

  var connectLimit: TimeLimit { shared.times.connect }
  var sendLimit: TimeLimit { shared.times.send }
  var receiveLimit: TimeLimit { shared.times.receive }
  var acceptLimit: TimeLimit { shared.times.accept }

  /// Creates timeouts. Default: 30 s to connect, 60 s for each send and receive, no limit for accept, and probes on a
  /// silent connection. A timeout is kept to the nanosecond; one longer than 292 years counts as 292 years.
  public init(
    connect: Duration? = .seconds(30), send: Duration? = .seconds(60), receive: Duration? = .seconds(60),
    accept: Duration? = nil, keepAlive: KeepAlive? = KeepAlive()
  ) {
    shared = Shared(
      Times(
        connect: TimeLimit(connect), send: TimeLimit(send), receive: TimeLimit(receive), accept: TimeLimit(accept),
        keepAlive: keepAlive))
  }

  public static func == (a: Timeouts, b: Timeouts) -> Bool { a.times == b.times }
  public func hash(into hasher: inout Hasher) { hasher.combine(times) }

  /// The default values: ``init(connect:send:receive:accept:keepAlive:)`` without arguments.
  public static let `default` = Timeouts()

  /// Creates timeouts with the same time for connect, send, receive and accept, as `settimeout` does in Python.
  public static func all(_ time: Duration?) -> Timeouts {
    Timeouts(connect: time, send: time, receive: time, accept: time)
  }
}

/// The option `SO_KEEPALIVE` and its times. Linux alone would wait two hours before the first probe.
///
/// While ``Timeouts/send`` is set it decides, instead of `count`, when a silent peer is given up: at the first probe
/// that stays unanswered after a silence of that time (`TCP_USER_TIMEOUT`, tcp(7)).
public struct KeepAlive: Hashable, Sendable {
  /// The silence before the first probe: `TCP_KEEPIDLE`, in whole seconds.
  public var idle: Duration
  /// The time between two probes: `TCP_KEEPINTVL`, in whole seconds.
  public var interval: Duration
  /// The number of unanswered probes after which the connection is given up: `TCP_KEEPCNT`.
  public var count: Int

  /// Creates keep-alive times. With the defaults, 60 s, 15 s and 4 probes, a vanished peer is noticed within two
  /// minutes.
  public init(idle: Duration = .seconds(60), interval: Duration = .seconds(15), count: Int = 4) {
    self.idle = idle
    self.interval = interval
    self.count = count
  }
}
