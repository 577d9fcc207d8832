/// The timeouts of calls that pass no `within`.
///
/// A timeout runs from the call to its return: a line that trickles in byte by byte has the same time as one that
/// arrives at once. ``Timeout/never`` means no limit, which only ``accept`` has by default; ``Timeout/default`` sets
/// the default that each property names.
public struct Timeouts: Hashable, Sendable {
  /// The timeout of name resolution and all connect attempts together. Default: 30 s.
  public var connect: Timeout {
    get { shared.times.connect }
    set { times.connect = newValue.or(Default.connect) }
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
  public var send: Timeout {
    get { shared.times.send }
    set { times.send = newValue.or(Default.send) }
  }
  /// The timeout of one receive call: the idle deadline. Default: 60 s.
  public var receive: Timeout {
    get { shared.times.receive }
    set { times.receive = newValue.or(Default.receive) }
  }
  /// The timeout of one `accept`. Default: no limit, because a listener without clients is not a connection that hangs,
  /// and `stop()` wakes a waiting `accept`.
  public var accept: Timeout {
    get { shared.times.accept }
    set { times.accept = newValue.or(Default.accept) }
  }
  /// The timeout of the handshake of a secured connection. Default: 10 s.
  public var handshake: Timeout {
    get { shared.times.handshake }
    set { times.handshake = newValue.or(Default.handshake) }
  }
  /// The probes on a silent connection; `nil` for none.
  public var keepAlive: KeepAlive? {
    get { shared.times.keepAlive }
    set { times.keepAlive = newValue }
  }

  /// The timeouts that ``Timeout/default`` stands for.
  private enum Default {
    static let connect = Timeout.seconds(30)
    static let send = Timeout.seconds(60)
    static let receive = Timeout.seconds(60)
    static let accept = Timeout.never
    static let handshake = Timeout.seconds(10)
  }

  private struct Times: Hashable {
    var connect: Timeout
    var send: Timeout
    var receive: Timeout
    var accept: Timeout
    var handshake: Timeout
    var keepAlive: KeepAlive?
    /// The end of the conversation, which no call outlasts.
    var end = Deadline.never
  }

  // [boxed cold state]
  /// The values, shared by all the connections of a listener, so that each connection holds one word and not all
  /// of them.
  private final class Shared: Sendable {
    let times: Times
    init(_ times: Times) { self.times = times }
  }

  private var shared: Shared
  private var times: Times {
    get { shared.times }
    set { shared = Shared(newValue) }
  }

  /// Creates timeouts. Default: 30 s to connect, 60 s for each send and receive, no limit for accept, 10 s for the
  /// handshake of a secured connection, and probes on a silent one.
  public init(
    connect: Timeout = .default, send: Timeout = .default, receive: Timeout = .default, accept: Timeout = .default,
    keepAlive: KeepAlive? = KeepAlive(), handshake: Timeout = .default
  ) {
    shared = Shared(
      Times(
        connect: connect.or(Default.connect), send: send.or(Default.send), receive: receive.or(Default.receive),
        accept: accept.or(Default.accept), handshake: handshake.or(Default.handshake), keepAlive: keepAlive))
  }

  // MARK: Conversations

  /// These timeouts, for calls that all end within `time` from now, or earlier if an earlier end is set already.
  func ending(within time: Duration) -> Timeouts {
    var limited = self
    limited.times.end = min(times.end, Deadline(after: time))
    return limited
  }

  /// The time of one receive call.
  func receiving(_ within: Timeout) -> LazyDeadline { limit(within.or(times.receive)) }
  /// The time of one send call.
  func sending(_ within: Timeout) -> LazyDeadline { limit(within.or(times.send)) }
  /// The time of a name's resolution and all attempts to connect.
  func connecting(_ within: Timeout) -> LazyDeadline { limit(within.or(times.connect)) }
  /// The time of one accept.
  func accepting(_ within: Timeout) -> LazyDeadline { limit(within.or(times.accept)) }

  private func limit(_ timeout: Timeout) -> LazyDeadline {
    let end = times.end
    // Without a conversation's end, the clock is read only when the call has to wait.
    return end == .never ? LazyDeadline(timeout) : LazyDeadline(until: min(Deadline(allowing: timeout), end))
  }

  public static func == (a: Timeouts, b: Timeouts) -> Bool { a.times == b.times }
  public func hash(into hasher: inout Hasher) { hasher.combine(times) }

  /// The default values: ``init(connect:send:receive:accept:keepAlive:handshake:)`` without arguments.
  public static let `default` = Timeouts()

  /// Creates timeouts with the same time for connect, send, receive, accept and the handshake of a secured connection,
  /// as `settimeout` does in Python.
  public static func all(_ time: Timeout) -> Timeouts {
    Timeouts(connect: time, send: time, receive: time, accept: time, handshake: time)
  }
}

/// The option `SO_KEEPALIVE` and its times. Linux alone would wait two hours before the first probe.
///
/// While ``Timeouts/send`` has a limit it decides, instead of `count`, when a silent peer is given up: at the first
/// probe that stays unanswered after a silence of that time (`TCP_USER_TIMEOUT`, tcp(7)).
public struct KeepAlive: Hashable, Sendable {
  /// The silence before the first probe: `TCP_KEEPIDLE`, in whole seconds.
  public var idle: Duration
  /// The time between two probes: `TCP_KEEPINTVL`, in whole seconds.
  public var interval: Duration
  /// The number of unanswered probes after which the connection is given up: `TCP_KEEPCNT`.
  public var count: Int

  /// Creates keep-alive times. With the defaults, 60 s, 15 s and 4 probes, a vanished peer is noticed within
  /// two minutes.
  public init(idle: Duration = .seconds(60), interval: Duration = .seconds(15), count: Int = 4) {
    self.idle = idle
    self.interval = interval
    self.count = count
  }
}
