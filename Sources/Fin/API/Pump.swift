/// Moving the bytes of one connection to another, in both directions, with their ends.
extension Connection {
  /// Moves what each connection receives to the other one until both have ended, and closes both: a relay. Blocks the
  /// thread meanwhile.
  ///
  /// The ends are kept, so that each peer learns what it would learn without the pump in between. A FIN is passed on as
  /// a FIN, after the last byte, and the other direction goes on. A reset is passed on as a reset, after the other peer
  /// has acknowledged every byte that came before it (RFC 9293, sections 3.5.2 and 3.6). On a secured connection,
  /// close_notify counts as the FIN, and a stream that ends without it is passed on as a reset. A Unix socket has no
  /// reset: its peer reads an end of file instead.
  ///
  /// Bytes that an earlier call had buffered go first. Between two plain TCP connections, the bytes after the first
  /// 64 KiB go through a pipe of up to 1 MiB and are not copied (`splice(2)`), if there are descriptors for it. While
  /// the pump waits, the kernel does not apply ``Timeouts/send`` to bytes that a peer does not take.
  ///
  /// Each time begins anew when bytes move, also when a slow peer takes bytes that wait in the kernel. A peer that
  /// takes none of the bytes that wait is noticed after at most twice the time.
  ///
  /// The thread has `SIGPIPE` blocked until the pump is over, because `splice(2)` may raise it. One that comes to the
  /// thread meanwhile is discarded, also one that another thread or process has sent.
  /// - Parameters:
  ///   - first: one connection. The pump owns it, and closes it.
  ///   - second: the other connection.
  ///   - idle: the time without a byte in either direction, after which both are reset; 10 minutes by default.
  ///   - halfClosed: the time without a byte once one side has finished, after which both are reset; 60 s by default.
  ///   - within: the time in all, after which both are reset; no limit by default.
  ///   - delivering: the time for the delivery of what came before a reset, and for the close of a secured connection;
  ///     10 s by default. A reset comes then, whatever is not delivered.
  ///   - meter: counts the bytes while they move.
  /// - Returns: how each connection was closed, and what went each way. When a connection is being closed from
  ///   elsewhere, or another operation uses it, both are reset, with ``PumpEnding/closed``.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  @discardableResult
  public static func pump(
    _ first: consuming Connection, _ second: consuming Connection, idle: Timeout = .seconds(600),
    halfClosed: Timeout = .seconds(60), within: Timeout = .never, delivering: Duration = .seconds(10),
    meter: PumpMeter? = nil
  ) -> PumpReport {
    let (first, second) = (first.reference.core, second.reference.core)
    return PumpOperation.run(first, second, PumpTimes(idle, halfClosed, within, delivering), meter)
  }

  /// Moves what each connection receives to the other one until both have ended, and closes both, as in a thread.
  /// Suspends the task meanwhile. When the task is cancelled, both are reset, with ``PumpEnding/closed``.
  @discardableResult
  public static func pump(
    _ first: consuming Connection, _ second: consuming Connection, idle: Timeout = .seconds(600),
    halfClosed: Timeout = .seconds(60), within: Timeout = .never, delivering: Duration = .seconds(10),
    meter: PumpMeter? = nil
  ) async -> PumpReport {
    let (first, second) = (first.reference.core, second.reference.core)
    return await PumpOperation.run(first, second, PumpTimes(idle, halfClosed, within, delivering), meter)
  }
}
