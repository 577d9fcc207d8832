/// The limits of a server on the time that a whole conversation takes. Each of them ends the connection with a reset.
///
/// The deadline of a call cannot do it: a client that sends one byte within every deadline holds its place without end.
public struct ConversationLimits: Hashable, Sendable {
  /// How long after it was accepted a client may take for its first byte, while the handler waits for it.
  public var firstByte: Duration?
  /// How long no byte may go in either direction.
  public var idle: Duration?
  /// How long the connection may last.
  public var whole: Duration?
  /// The least number of bytes a second, in each direction by itself: what the client sends while the handler waits to
  /// receive, and what it takes while the handler waits to send. The wait in `isNextComing(within:)` is none of these.
  public var leastRate: Int?
  /// The time over which the rate is measured.
  public var rateWindow: Duration

  /// Makes limits; by default there is none, and a rate is measured over 10 s.
  public init(
    firstByte: Duration? = nil, idle: Duration? = nil, whole: Duration? = nil, leastRate: Int? = nil,
    rateWindow: Duration = .seconds(10)
  ) {
    self.firstByte = firstByte
    self.idle = idle
    self.whole = whole
    self.leastRate = leastRate
    self.rateWindow = rateWindow
  }

  /// One of the limits.
  public enum Limit: String, Hashable, Sendable, CaseIterable {
    case firstByte = "no first byte in time"
    case idle = "idle too long"
    case whole = "lasted too long"
    case receivingRate = "sent too slowly"
    case sendingRate = "read too slowly"
  }

  /// The time between two looks at the connections; `nil` when nothing is limited.
  var interval: Duration? {
    let times = [firstByte, idle, whole, leastRate == nil ? nil : rateWindow].compactMap { $0 }
    return times.min().map { min(max($0 / 8, .milliseconds(5)), .seconds(1)) }
  }
}

/// The progress of one connection, from look to look. It reads no clock and asks no kernel.
struct Progress {
  /// The result of a look at a connection.
  struct Look {
    /// The age of the connection.
    var age: Duration
    var received: UInt64
    var sent: UInt64
    var isReceiving: Bool
    var isSending: Bool
    /// Whether the handler waits between two requests.
    var awaitsNext: Bool
  }

  /// A time during which an operation waited at each look.
  private struct Window {
    private var start: (age: Duration, count: UInt64)?

    mutating func isTooSlow(
      _ isWaiting: Bool, _ count: UInt64, at age: Duration, _ limits: ConversationLimits
    ) -> Bool {
      // A count goes back when a proxy's header is taken out of it.
      guard let rate = limits.leastRate, isWaiting, let start, count >= start.count else {
        start = isWaiting ? (age, count) : nil
        return false
      }
      let elapsed = age - start.age
      guard elapsed >= limits.rateWindow else { return false }
      self.start = (age, count)
      return Double(count - start.count) < Double(rate) * (elapsed / .seconds(1))
    }
  }

  private var receiving = Window()
  private var sending = Window()
  private var total: UInt64 = 0
  private var lastChange = Duration.zero

  /// Judges a connection at one look.
  ///
  /// - Returns: the limit that it exceeds.
  mutating func exceeds(_ limits: ConversationLimits, _ look: Look) -> ConversationLimits.Limit? {
    if look.received &+ look.sent != total {
      total = look.received &+ look.sent
      lastChange = look.age
    }
    let isSlowIn = receiving.isTooSlow(look.isReceiving && !look.awaitsNext, look.received, at: look.age, limits)
    let isSlowOut = sending.isTooSlow(look.isSending, look.sent, at: look.age, limits)
    if let whole = limits.whole, look.age >= whole { return .whole }
    if let first = limits.firstByte, look.received == 0, look.isReceiving, look.age >= first { return .firstByte }
    if let idle = limits.idle, look.age - lastChange >= idle { return .idle }
    if isSlowIn { return .receivingRate }
    return isSlowOut ? .sendingRate : nil
  }
}
