/// How long each kind of wait may last when a call does not say.
///
/// A limit runs from the call to its return: a line that trickles in byte by byte has the same time as one that comes at
/// once. `nil` is for ever, and has to be asked for.
public struct Timeouts: Hashable, Sendable {
  /// Name resolution and all attempts together. 30 s.
  public var connect: Duration? {
    get { connectLimit.duration }
    set { times.connect = Allowance(newValue) }
  }
  /// One `send` call; also, from the moment there is a connection, `TCP_USER_TIMEOUT`, so that the kernel gives up on
  /// bytes that stay unacknowledged for as long, even when the peer answers every probe with a closed window. 60 s.
  ///
  /// A call that is given longer (`within:`, or this time made longer on the connection) has it: while it waits the
  /// kernel has no such limit, and afterwards waits as long as that call might have taken, for this connection, from
  /// then on. A shorter time ends calls sooner and changes nothing for the kernel. A limit that the program sets by
  /// itself, with ``SocketOption/userTimeout``, stays as it is, and ends a send that may take longer. It is set when a
  /// connection is made or accepted; an adopted one keeps what it came with until a send is given longer. MPTCP has no
  /// such limit.
  public var send: Duration? {
    get { sendLimit.duration }
    set { times.send = Allowance(newValue) }
  }
  /// One call of a `receive` verb: the idle deadline. 60 s.
  public var receive: Duration? {
    get { receiveLimit.duration }
    set { times.receive = Allowance(newValue) }
  }
  /// One `accept`. For ever by default: a listener without clients is not a connection that does not end, and `stop()`
  /// wakes whoever waits.
  public var accept: Duration? {
    get { acceptLimit.duration }
    set { times.accept = Allowance(newValue) }
  }
  /// Probes on a silent connection; `nil` for none.
  public var keepAlive: KeepAlive? {
    get { shared.times.keepAlive }
    set { times.keepAlive = newValue }
  }

  /// In nanoseconds, because each wait asks for one of them.
  private struct Times: Hashable {
    var connect: Allowance
    var send: Allowance
    var receive: Allowance
    var accept: Allowance
    var keepAlive: KeepAlive?
  }

  /// Shared by all the connections of a listener, so that each holds a word and not all of this.
  private final class Shared: Sendable {
    let times: Times
    init(_ times: Times) { self.times = times }
  }

  private var shared: Shared
  private var times: Times {
    get { shared.times }
    set { shared = Shared(newValue) }
  }

  var connectLimit: Allowance { shared.times.connect }
  var sendLimit: Allowance { shared.times.send }
  var receiveLimit: Allowance { shared.times.receive }
  var acceptLimit: Allowance { shared.times.accept }

  /// 30 s to connect, 60 s for each send and receive, for ever to accept, and probes on a silent connection. Kept to the
  /// nanosecond; what is longer than 292 years is for ever.
  public init(
    connect: Duration? = .seconds(30), send: Duration? = .seconds(60), receive: Duration? = .seconds(60),
    accept: Duration? = nil, keepAlive: KeepAlive? = KeepAlive()
  ) {
    shared = Shared(
      Times(
        connect: Allowance(connect), send: Allowance(send), receive: Allowance(receive), accept: Allowance(accept),
        keepAlive: keepAlive))
  }

  public static func == (a: Timeouts, b: Timeouts) -> Bool { a.times == b.times }
  public func hash(into hasher: inout Hasher) { hasher.combine(times) }

  /// ``init(connect:send:receive:accept:keepAlive:)`` without arguments.
  public static let `default` = Timeouts()

  /// The same time for connect, send, receive and accept; what `settimeout` is in Python.
  public static func all(_ time: Duration?) -> Timeouts {
    Timeouts(connect: time, send: time, receive: time, accept: time)
  }
}

/// `SO_KEEPALIVE` and its times. Linux alone would wait two hours before the first probe.
///
/// While ``Timeouts/send`` is set it decides, instead of `count`, when a silent peer is given up: at the first probe that
/// stays unanswered after as long a silence (`TCP_USER_TIMEOUT`, tcp(7)).
public struct KeepAlive: Hashable, Sendable {
  /// Silence before the first probe: `TCP_KEEPIDLE`, whole seconds.
  public var idle: Duration
  /// Between probes: `TCP_KEEPINTVL`, whole seconds.
  public var interval: Duration
  /// Probes without an answer before the connection is given up: `TCP_KEEPCNT`.
  public var count: Int

  /// 60 s, 15 s, 4 probes: a vanished peer is noticed within two minutes.
  public init(idle: Duration = .seconds(60), interval: Duration = .seconds(15), count: Int = 4) {
    self.idle = idle
    self.interval = interval
    self.count = count
  }
}
