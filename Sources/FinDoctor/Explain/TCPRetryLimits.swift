internal import FinBase

/// The kernel's retry limits, from `/proc/sys/net/ipv4` of one namespace.
///
/// A program may set its own limits for one socket (`TCP_USER_TIMEOUT`, `TCP_SYNCNT`, `TCP_KEEPCNT`). These are known
/// only where the socket's options were read.
package struct TCPRetryLimits: Hashable, Sendable {
  /// The number of retransmissions of data (`tcp_retries2`).
  package var dataRetries = 15
  /// The number of retransmissions once no program holds the connection (`tcp_orphan_retries`); 0 stands for 8.
  package var orphanRetries = 0
  /// The number of retransmissions of the SYN (`tcp_syn_retries`).
  package var synRetries = 6
  /// The number of additional ones that come first, a second apart (`tcp_syn_linear_timeouts`).
  package var linearSynRetries = 4
  /// The seconds between two keepalive probes (`tcp_keepalive_intvl`).
  package var keepaliveInterval = 75
  /// The number of keepalive probes (`tcp_keepalive_probes`).
  package var keepaliveProbes = 9

  /// Creates the defaults of Linux.
  package init() {}

  /// Reads the settings of a namespace; a setting that cannot be read keeps Linux's default.
  package static func read(in namespace: Namespace) -> TCPRetryLimits {
    let place = namespace.isOwn ? nil : NamespacePlace.finding(namespace.inode)
    if place == nil, !namespace.isOwn { return TCPRetryLimits() }
    let reading = JoinableThread { () -> TCPRetryLimits in
      var all = TCPRetryLimits()
      if let place, (try? place.enter()) == nil { return all }
      func take(_ name: String, _ value: inout Int) {
        if let number = Files.number("/proc/sys/net/ipv4/tcp_" + name) { value = number }
      }
      take("retries2", &all.dataRetries)
      take("orphan_retries", &all.orphanRetries)
      take("syn_retries", &all.synRetries)
      all.linearSynRetries = 0  // A kernel before 6.5 has none.
      take("syn_linear_timeouts", &all.linearSynRetries)
      take("keepalive_intvl", &all.keepaliveInterval)
      take("keepalive_probes", &all.keepaliveProbes)
      return all
    }
    return reading.join() ?? TCPRetryLimits()
  }

  /// The time that this number of retransmissions would take from the shortest timeout on, in milliseconds. The kernel
  /// compares this value with the elapsed time.
  static func total(retries: Int) -> UInt64 {
    let retries = min(max(retries, 0), 100)
    // 200 ms, doubled each time, up to 120 s; the tenth doubling exceeds that.
    if retries <= 9 { return (2 << UInt64(retries) - 1) * 200 }
    return 1023 * 200 + UInt64(retries - 9) * 120_000
  }

  /// The time until the kernel gives up a connection that waits for an answer; nil when it will not, or when that
  /// is unknown.
  func givesUp(_ socket: InetSocket, _ options: SocketOptions? = nil) -> AgeBounds? {
    guard socket.timer == .retransmit, let timeout = socket.info.retransmitTimeout.map({ UInt64($0) / 1000 }) else {
      return nil
    }
    if socket.state == .synSent { return connectGivesUp(socket, timeout, options) }
    guard socket.retransmits > 0 else { return nil }
    let elapsed = AgeBounds.unacknowledged(socket)
    if let own = options?.userTimeout, own > 0 {
      return Self.rest(of: UInt64(own), elapsed, first: 0, step: timeout)
    }
    let retries = socket.inode == 0 ? (orphanRetries == 0 ? 8 : orphanRetries) : dataRetries
    // The kernel counts from the first retransmission, and checks when the timer fires.
    let first = timeout >> UInt64(min(socket.info.backoff ?? 0, 63))
    return Self.rest(of: Self.total(retries: retries), elapsed, first: first, step: timeout)
  }

  private static func rest(of total: UInt64, _ elapsed: AgeBounds, first: UInt64, step: UInt64) -> AgeBounds {
    let lower = elapsed.upper == .max || elapsed.upper >= total ? 0 : total - elapsed.upper
    let upper = elapsed.lower >= total + first ? 0 : total + first - elapsed.lower
    return AgeBounds(atLeast: lower, atMost: upper + min(max(step * 2, 1000), 120_000))
  }

  private func connectGivesUp(
    _ socket: InetSocket, _ timeout: UInt64, _ options: SocketOptions?
  ) -> AgeBounds? {
    let count = Int(socket.retransmits)
    let tries = (options?.synCount ?? synRetries) + linearSynRetries
    guard tries <= 127 else { return nil }
    var (left, wait) = (UInt64(socket.expires), timeout)
    if count < tries {
      for next in (count + 1)...tries {
        if next > linearSynRetries { wait = min(wait * 2, 120_000) }
        left += wait
      }
    }
    if let own = options?.userTimeout, own > 0 {
      let elapsed = AgeBounds.inState(socket)
      return Self.rest(of: UInt64(own), elapsed, first: 0, step: timeout)
    }
    return AgeBounds.ticking(atLeast: left, atMost: left + UInt64(max(1, tries - count)) * 10)
  }

  /// A sentence about when the kernel gives up a connection whose peer has closed its window.
  ///
  /// With `TCP_USER_TIMEOUT` set, the time since the window closed decides, whether the peer answers or not.
  func windowEnd(_ socket: InetSocket, _ options: SocketOptions?) -> String {
    if let own = options?.userTimeout, own > 0 {
      let passed = AgeBounds.peerWindowClosed(socket)
      let left = Self.rest(of: UInt64(own), passed, first: 0, step: UInt64(socket.expires))
      return "It gives up with ETIMEDOUT in \(left), whether the peer answers or not (TCP_USER_TIMEOUT)."
    }
    return "It keeps probing as long as the peer answers, and gives up only after "
      + "\(NumberText.noun(dataRetries, "probe")) without an answer (tcp_retries2)"
      + (options == nil ? ", unless the program set TCP_USER_TIMEOUT (--deep reads it)." : ".")
  }

  /// A sentence about when the kernel gives up a connection whose keepalive probes have no answer.
  ///
  /// With `TCP_USER_TIMEOUT` set, that time without an answer decides, when a probe is due; otherwise the number of
  /// probes does.
  func keepaliveEnd(_ socket: InetSocket, probes: Int, _ options: SocketOptions?) -> String {
    let interval = UInt64(max(1, options?.keepaliveInterval ?? keepaliveInterval)) * 1000
    let next = UInt64(socket.expires)
    func inTime(_ milliseconds: UInt64) -> String { "\(AgeBounds(atLeast: milliseconds, atMost: milliseconds))" }
    if let own = options?.userTimeout, own > 0 {
      let silence = [socket.info.lastAcknowledgementReceived, socket.info.lastDataReceived].compactMap { $0 }.min()
      let passed = UInt64(silence ?? 0) + next
      let more = passed >= UInt64(own) ? 0 : (UInt64(own) - passed + interval - 1) / interval
      return "It gives up with ETIMEDOUT in \(inTime(next + more * interval)): after \(inTime(UInt64(own))) without an "
        + "answer (TCP_USER_TIMEOUT), however many probes that takes."
    }
    let count = options?.keepaliveCount ?? keepaliveProbes
    if probes > count {
      return
        "That is more than \(options == nil ? "the namespace's " : "")\(NumberText.noun(count, "probe")): the program "
        + "has set TCP_KEEPCNT or TCP_USER_TIMEOUT, which decides when it gives up (--deep reads them)."
    }
    let left = inTime(next + UInt64(count - probes) * interval)
    return options == nil
      ? "With the namespace's settings it gives up with ETIMEDOUT in \(left), after \(NumberText.noun(count, "probe")) "
        + "(TCP_KEEPCNT), unless the program set a limit of its own (TCP_KEEPCNT, TCP_USER_TIMEOUT; --deep reads them)."
      : "It gives up with ETIMEDOUT in \(left), after \(NumberText.noun(count, "probe")) (TCP_KEEPCNT)."
  }
}
