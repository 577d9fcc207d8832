internal import FinBase

/// Bounds of the time that something has lasted, as far as the kernel's fields tell.
///
/// The kernel does not record when a socket entered its state. It records when data and acknowledgements were sent and
/// received, and some of these must have come before the change of state, others after it. The true value lies between
/// the bounds, inclusive.
public struct AgeBounds: Hashable, Sendable {
  /// The lower bound, in milliseconds.
  public var lower: UInt64
  /// The upper bound, in milliseconds; `UInt64.max` for none.
  public var upper: UInt64

  /// Creates bounds from milliseconds. An upper bound below the lower one is raised to it.
  public init(atLeast lower: UInt64 = 0, atMost upper: UInt64? = nil) {
    self.lower = lower
    self.upper = max(lower, upper ?? .max)
  }

  /// No bounds: from 0 to unlimited.
  public static let unknown = AgeBounds()

  /// The lower bound.
  public var atLeast: Duration { .milliseconds(lower) }
  /// The upper bound; nil for none.
  public var atMost: Duration? { upper == .max ? nil : .milliseconds(upper) }

  /// Whether one value may stand for both bounds: they are less than a tenth, or less than 50 ms, apart.
  public var isExact: Bool { upper != .max && (upper - lower < 50 || upper - lower < lower / 10) }

  /// Bounds from a kernel clock that advances in ticks: each may be off by one tick.
  ///
  /// The slowest tick that Linux can be built with is 100 Hz.
  static func ticking(atLeast lower: UInt64, atMost upper: UInt64?) -> AgeBounds {
    AgeBounds(atLeast: lower > tick ? lower - tick : 0, atMost: upper.map { $0 + tick })
  }

  private static let tick: UInt64 = 10
}

/// The bounds that a socket's row gives.
extension AgeBounds {
  /// The time that a socket has spent in its state. The bounds of an MPTCP socket are wide,
  /// because its subflows are not considered.
  /// - Parameters:
  ///   - socket: The row.
  ///   - limits: The limits of the socket's namespace, for the time that a closed socket stays in FIN-WAIT-2.
  public static func inState(_ socket: InetSocket, limits: KernelLimits = KernelLimits()) -> AgeBounds {
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
      // The SYN-ACK is sent again after 1 s, then after 2 s, 4 s …
      let sent = min(UInt64(socket.retransmits), 30)
      return ticking(atLeast: (1 << sent - 1) * 1000, atMost: (1 << (sent + 1) - 1) * 1000)
    default: return .unknown
    }
  }

  /// The time since data was last sent or received; nil where the kernel does not record it.
  public static func idle(_ socket: InetSocket) -> AgeBounds? {
    guard socket.state != .synSent, socket.state != .listen, let sent = socket.lastDataSent,
      let received = socket.lastDataReceived
    else { return nil }
    // Before any data, MPTCP's times are those of the socket's creation, which may be long before its connect.
    if socket.transport == .mptcp, socket.multipath.bytesSent == 0, socket.multipath.bytesReceived == 0 { return nil }
    let idle = UInt64(min(sent, received))
    return ticking(atLeast: idle, atMost: idle)
  }

  /// The age of a connection. The handshake sets all three times, and any later traffic makes one of them younger.
  private static func age(_ info: TCPDetail) -> AgeBounds {
    guard let sent = info.lastDataSent, let acknowledged = info.lastAcknowledgementReceived else { return .unknown }
    let busy = (info.busyTime ?? 0) / 1000
    let lower = max(UInt64(max(sent, info.lastDataReceived ?? 0, acknowledged)), busy)
    // If no data went in one direction, the time of that direction is still that of the handshake: the age itself.
    if info.bytesReceived == 0, let received = info.lastDataReceived {
      return ticking(atLeast: max(UInt64(received), lower), atMost: UInt64(received))
    }
    if info.bytesSent == 0 { return ticking(atLeast: max(UInt64(sent), lower), atMost: UInt64(sent)) }
    return ticking(atLeast: lower, atMost: nil)
  }

  /// The time that a connection has waited for accept. Accepting changes none of the times, so only the client's
  /// segments do.
  private static func inQueue(_ info: TCPDetail) -> AgeBounds {
    guard let acknowledged = info.lastAcknowledgementReceived, let received = info.lastDataReceived else {
      return .unknown
    }
    return ticking(
      atLeast: UInt64(max(acknowledged, received)), atMost: info.bytesReceived == 0 ? UInt64(received) : nil)
  }

  /// The time in CLOSE-WAIT. The last data arrived before the FIN. The FIN carried an acknowledgement; later
  /// acknowledgements make that time younger.
  private static func inCloseWait(_ socket: InetSocket) -> AgeBounds {
    guard let acknowledged = socket.info.lastAcknowledgementReceived else { return .unknown }
    let lower = UInt64(acknowledged)
    if wasTheLast(acknowledged: lower, socket) { return ticking(atLeast: lower, atMost: lower) }
    return ticking(atLeast: lower, atMost: socket.info.lastDataReceived.map { max(lower, UInt64($0)) })
  }

  /// Whether the last acknowledgement received must have been that of the FIN itself.
  ///
  /// After its FIN the peer sends only replies: to our data, to keepalive, and when a window that was half
  /// closed opens.
  private static func wasTheLast(acknowledged: UInt64, _ socket: InetSocket) -> Bool {
    let info = socket.info
    guard socket.timer == .off, socket.sendQueue == 0, let sent = info.bytesSent, info.bytesRetransmitted == 0 else {
      return false
    }
    if sent == 0 { return true }
    guard let window = info.sendWindow, let lastSent = info.lastDataSent, sent < UInt64(window) / 2 else {
      return false
    }
    // A delayed acknowledgement of data may take 200 ms, plus the way there and back.
    return UInt64(lastSent) > acknowledged + 250 + UInt64(info.roundTripTime ?? 0) / 500
  }

  private static func inFinWait2(_ socket: InetSocket, _ limits: KernelLimits) -> AgeBounds {
    guard let acknowledged = socket.info.lastAcknowledgementReceived, let sent = socket.info.lastDataSent else {
      // After close, only a small TIME-WAIT entry is left. The socket may have been in FIN-WAIT-2 for longer before the
      // close.
      let rest = limits.finTimeout.map { UInt64(clamping: $0.components.seconds * 1000) } ?? 60_000
      return AgeBounds(atLeast: resting(socket, for: rest).lower)
    }
    // The acknowledgement of our FIN may have been delayed by 40 ms.
    return ticking(atLeast: UInt64(acknowledged), atMost: UInt64(max(sent, acknowledged)) + 40)
  }

  private static func resting(_ socket: InetSocket, for time: UInt64) -> AgeBounds {
    guard socket.timer == .timeWait, UInt64(socket.expires) <= time else { return .unknown }
    let passed = time - UInt64(socket.expires)
    return ticking(atLeast: passed, atMost: passed)
  }

  /// The time since our FIN, which is not acknowledged. An old acknowledgement bounds nothing here: the connection may
  /// have idled for an hour before the FIN was sent.
  private static func finishing(_ socket: InetSocket) -> AgeBounds {
    // If only the FIN is outstanding, the retransmission timer started with it and has doubled with each try.
    guard socket.sendQueue == 1, socket.timer == .retransmit, let timeout = socket.info.retransmitTimeout else {
      return .unknown
    }
    let current = UInt64(timeout) / 1000
    let before = current - current >> UInt64(min(socket.info.backoff ?? 0, 63))
    let since = UInt64(socket.expires) < current ? current - UInt64(socket.expires) : 0
    // Data retransmitted after the FIN would make `lastDataSent` younger than the FIN.
    let upper = socket.info.bytesRetransmitted == 0 ? socket.info.lastDataSent.map(UInt64.init) : nil
    return ticking(atLeast: upper.map { min($0, before + since) } ?? before + since, atMost: upper)
  }

  private static func connecting(_ socket: InetSocket) -> AgeBounds {
    guard let timeout = socket.info.retransmitTimeout else { return .unknown }
    let current = UInt64(timeout) / 1000
    if socket.retransmits == 0 {
      guard socket.timer == .retransmit, UInt64(socket.expires) <= current else { return .unknown }
      let passed = current - UInt64(socket.expires)
      return ticking(atLeast: passed, atMost: passed)
    }
    // The kernel counts time in timeouts from the first one, which came 1 s after the SYN.
    if let inTimeouts = socket.info.totalTimeoutTime.map(UInt64.init), inTimeouts > 0 {
      return ticking(atLeast: inTimeouts + 1000, atMost: inTimeouts + 1000 + current)
    }
    // An older kernel does not count it. Then each try took at least a second, and at most twice as long as the one
    // before.
    let tries = min(UInt64(socket.retransmits), 20)
    return ticking(atLeast: tries * 1000, atMost: (2 << tries - 1) * 1000)
  }
}

extension AgeBounds: CustomStringConvertible {
  /// Words that follow "for": `3.2 s`, `between 3.2 s and 41 min`, `at least 3.2 s`, `at most 41 min`, `an unknown
  /// time`.
  public var description: String {
    let least = Self.words(lower, " ")
    let most = Self.words(upper, " ")
    if isExact { return least }
    if upper == .max { return lower == 0 ? "an unknown time" : "at least \(least)" }
    return lower == 0 ? "at most \(most)" : "between \(least) and \(most)"
  }

  /// Writes the short form for a column: `3.2s`, `3.2s-41min`, `>3.2s`, `<41min`, `-`.
  package func write(short buffer: inout TextBuffer) {
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

  /// Writes a time with two significant digits, in the unit that suits: `40 ms`, `3.2 s`, `41 s`, `4.5 min`, `41 min`,
  /// `2.5 h`, `12 d`.
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
