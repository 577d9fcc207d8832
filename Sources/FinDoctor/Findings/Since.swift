/// How long something has lasted: between two bounds, as far as the kernel's fields can tell.
///
/// The kernel keeps no time at which a socket came into its state. It keeps when data and acknowledgements came and went,
/// and which of them must have been before and which after. The truth lies between the bounds, ends included.
public struct Since: Hashable, Sendable {
  /// Milliseconds that it has lasted at least.
  public var lower: UInt64
  /// Milliseconds that it has lasted at most; `UInt64.max` when nothing bounds it.
  public var upper: UInt64

  /// From milliseconds. An upper bound below the lower one is raised to it.
  public init(atLeast lower: UInt64 = 0, atMost upper: UInt64? = nil) {
    self.lower = lower
    self.upper = max(lower, upper ?? .max)
  }

  /// Nothing is known.
  public static let unknown = Since()

  /// At least so long.
  public var atLeast: Duration { .milliseconds(lower) }
  /// At most so long; nil when nothing bounds it.
  public var atMost: Duration? { upper == .max ? nil : .milliseconds(upper) }

  /// Whether one time may stand for both bounds: they are less than a tenth, or 50 ms, apart.
  public var isExact: Bool { upper != .max && (upper - lower < 50 || upper - lower < lower / 10) }

  /// Bounds that come from a clock of the kernel which ticks: it may be off by a tick at each end.
  ///
  /// The slowest that Linux is built with ticks a hundred times a second.
  static func ticking(atLeast lower: UInt64, atMost upper: UInt64?) -> Since {
    Since(atLeast: lower > tick ? lower - tick : 0, atMost: upper.map { $0 + tick })
  }

  private static let tick: UInt64 = 10
}

/// What a socket's row bounds.
extension Since {
  /// How long a socket has been in its state. Of MPTCP's own, ``Multipath/since(_:in:limits:)`` knows more.
  /// - Parameters:
  ///   - socket: The row.
  ///   - limits: Of the socket's namespace; for how long a closed socket rests in FIN-WAIT-2.
  public static func inState(_ socket: InetSocket, limits: KernelLimits = KernelLimits()) -> Since {
    switch socket.transport {
    case .tcp: break
    case .udp: return .unknown
    case .mptcp: return inState(multipath: socket, paths: [], limits: limits)
    }
    switch socket.state {
    case .established: return socket.isWaitingForAccept ? inQueue(socket.info) : age(socket.info)
    case .closeWait: return inCloseWait(socket)
    case .finWait2: return inFinWait2(socket, limits)
    case .timeWait: return resting(socket, for: 60_000)
    case .finWait1, .lastAck, .closing: return finishing(socket)
    case .synSent: return connecting(socket)
    case .synReceived, .newSynReceived:
      // The answer is sent again after 1 s, then after 2 s, 4 s …
      let sent = min(UInt64(socket.retransmits), 30)
      return ticking(atLeast: (1 << sent - 1) * 1000, atMost: (1 << (sent + 1) - 1) * 1000)
    default: return .unknown
    }
  }

  /// For how long no data has gone either way; nil where TCP does not tell.
  public static func idle(_ socket: InetSocket) -> Since? {
    guard socket.state != .synSent, socket.state != .listen, let sent = socket.lastDataSent,
      let received = socket.lastDataReceived
    else { return nil }
    // Before any data, MPTCP has the time at which the socket was made: long before it was connected, perhaps.
    if socket.transport == .mptcp, socket.multipath.bytesSent == 0, socket.multipath.bytesReceived == 0 { return nil }
    let idle = UInt64(min(sent, received))
    return ticking(atLeast: idle, atMost: idle)
  }

  /// The handshake sets the three times; whatever passes later makes one of them younger.
  private static func age(_ info: TCPDetail) -> Since {
    guard let sent = info.lastDataSent, let received = info.lastDataReceived,
      let acknowledged = info.lastAcknowledgementReceived
    else { return .unknown }
    let busy = (info.busyTime ?? 0) / 1000
    let lower = max(UInt64(max(sent, received, acknowledged)), busy)
    // A time that nothing has touched since is the age itself.
    if info.bytesReceived == 0 { return ticking(atLeast: max(UInt64(received), lower), atMost: UInt64(received)) }
    if info.bytesSent == 0 { return ticking(atLeast: max(UInt64(sent), lower), atMost: UInt64(sent)) }
    return ticking(atLeast: lower, atMost: nil)
  }

  /// Accept touches none of the times, so that only what the client sends does.
  private static func inQueue(_ info: TCPDetail) -> Since {
    guard let acknowledged = info.lastAcknowledgementReceived, let received = info.lastDataReceived else {
      return .unknown
    }
    return ticking(
      atLeast: UInt64(max(acknowledged, received)), atMost: info.bytesReceived == 0 ? UInt64(received) : nil)
  }

  /// Data came before the FIN; the FIN carried an acknowledgement, and later ones only make it younger.
  private static func inCloseWait(_ socket: InetSocket) -> Since {
    guard let acknowledged = socket.info.lastAcknowledgementReceived, let received = socket.info.lastDataReceived else {
      return .unknown
    }
    let lower = UInt64(acknowledged)
    let nothingLater = wasTheLast(acknowledged: lower, socket)
    return ticking(atLeast: lower, atMost: nothingLater ? lower : max(lower, UInt64(received)))
  }

  /// Whether the acknowledgement that came last must have been the FIN's own.
  ///
  /// After its FIN the peer sends only answers: to our data, to keepalive, and when a window that was half closed opens.
  private static func wasTheLast(acknowledged: UInt64, _ socket: InetSocket) -> Bool {
    let info = socket.info
    guard socket.timer == .off, socket.sendQueue == 0, let sent = info.bytesSent, info.bytesRetransmitted == 0 else {
      return false
    }
    if sent == 0 { return true }
    guard let window = info.sendWindow, let lastSent = info.lastDataSent, sent < UInt64(window) / 2 else {
      return false
    }
    // An answer to data may be held back for 200 ms, and takes its way.
    return UInt64(lastSent) > acknowledged + 250 + UInt64(info.roundTripTime ?? 0) / 500
  }

  private static func inFinWait2(_ socket: InetSocket, _ limits: KernelLimits) -> Since {
    guard let acknowledged = socket.info.lastAcknowledgementReceived, let sent = socket.info.lastDataSent else {
      // The small entry that is left after close; before the close it may have been in this state for longer.
      let rest = limits.finTimeout.map { UInt64(clamping: $0.components.seconds * 1000) } ?? 60_000
      return Since(atLeast: resting(socket, for: rest).lower)
    }
    // The acknowledgement of our FIN may have been held back for 40 ms.
    return ticking(atLeast: UInt64(acknowledged), atMost: UInt64(max(sent, acknowledged)) + 40)
  }

  private static func resting(_ socket: InetSocket, for time: UInt64) -> Since {
    guard socket.timer == .timeWait, UInt64(socket.expires) <= time else { return .unknown }
    let passed = time - UInt64(socket.expires)
    return ticking(atLeast: passed, atMost: passed)
  }

  /// Our FIN waits for its acknowledgement. An old acknowledgement bounds nothing here: the connection may have idled for
  /// an hour before the FIN was sent.
  private static func finishing(_ socket: InetSocket) -> Since {
    // With nothing but the FIN outstanding, the retransmission timer began with it and was doubled each time.
    guard socket.sendQueue == 1, socket.timer == .retransmit, let timeout = socket.info.retransmitTimeout else {
      return .unknown
    }
    let current = UInt64(timeout) / 1000
    let before = current - current >> UInt64(min(socket.info.backoff ?? 0, 63))
    let since = UInt64(socket.expires) < current ? current - UInt64(socket.expires) : 0
    // Data sent again after the FIN would make the last sending younger than the FIN.
    let upper = socket.info.bytesRetransmitted == 0 ? socket.info.lastDataSent.map(UInt64.init) : nil
    return ticking(atLeast: upper.map { min($0, before + since) } ?? before + since, atMost: upper)
  }

  private static func connecting(_ socket: InetSocket) -> Since {
    guard let timeout = socket.info.retransmitTimeout else { return .unknown }
    let current = UInt64(timeout) / 1000
    if socket.retransmits == 0 {
      guard socket.timer == .retransmit, UInt64(socket.expires) <= current else { return .unknown }
      let passed = current - UInt64(socket.expires)
      return ticking(atLeast: passed, atMost: passed)
    }
    // The time spent in time-outs runs from the first one, which came 1 s after the SYN.
    if let inTimeouts = socket.info.totalTimeoutTime.map(UInt64.init), inTimeouts > 0 {
      return ticking(atLeast: inTimeouts + 1000, atMost: inTimeouts + 1000 + current)
    }
    // A kernel that does not count it: a second for each try at least, and at most doubled each time.
    let tries = min(UInt64(socket.retransmits), 20)
    return ticking(atLeast: tries * 1000, atMost: (2 << tries - 1) * 1000)
  }
}

extension Since: CustomStringConvertible {
  /// In words that follow "for": `3.2 s`, `between 3.2 s and 41 min`, `at least 3.2 s`, `at most 41 min`, `an unknown time`.
  public var description: String {
    let least = Self.words(lower, " ")
    let most = Self.words(upper, " ")
    if isExact { return least }
    if upper == .max { return lower == 0 ? "an unknown time" : "at least \(least)" }
    return lower == 0 ? "at most \(most)" : "between \(least) and \(most)"
  }

  /// For a column: `3.2s`, `3.2s-41min`, `>3.2s`, `<41min`, `-`.
  public func write(short buffer: inout TextBuffer) {
    if isExact {
      Self.write(lower, "", to: &buffer)
    } else if upper == .max {
      if lower == 0 {
        buffer.write(ascii: "-")
      } else {
        buffer.write(ascii: ">")
        Self.write(lower, "", to: &buffer)
      }
    } else if lower == 0 {
      buffer.write(ascii: "<")
      Self.write(upper, "", to: &buffer)
    } else {
      Self.write(lower, "", to: &buffer)
      buffer.write(ascii: "-")
      Self.write(upper, "", to: &buffer)
    }
  }

  private static func words(_ milliseconds: UInt64, _ space: String) -> String {
    var buffer = TextBuffer()
    write(milliseconds, space, to: &buffer)
    return buffer.text
  }

  /// Two digits that count, in the unit that suits: `40 ms`, `3.2 s`, `41 s`, `4.5 min`, `41 min`, `2.5 h`, `12 d`.
  static func write(_ milliseconds: UInt64, _ space: String, to buffer: inout TextBuffer) {
    let (unit, name): (UInt64, String) =
      switch milliseconds {
      case ..<1000: (1, "ms")
      case ..<60_000: (1000, "s")
      case ..<3_600_000: (60_000, "min")
      case ..<172_800_000: (3_600_000, "h")
      default: (86_400_000, "d")
      }
    buffer.write(decimal: milliseconds / unit)
    let tenth = milliseconds % unit * 10 / unit
    if milliseconds / unit < 10, unit > 1, tenth > 0 {
      buffer.write(ascii: ".")
      buffer.write(decimal: tenth)
    }
    buffer.write(space)
    buffer.write(name)
  }
}
