/// The report of a ``ConnectionPool``: what its requests met, and how its connections ended.
public struct PoolReport: Hashable, Sendable, CustomStringConvertible {
  /// The connections lent to a body; a request that is sent again counts each time.
  public internal(set) var leases = 0
  /// The leases of a connection that had served before.
  public internal(set) var reused = 0
  /// The connections that were dialed.
  public internal(set) var dialed = 0
  /// The dials that failed.
  public internal(set) var dialsFailed = 0
  /// The most recent of these errors.
  public internal(set) var lastDialFailure: SocketError?
  /// The callers that had to wait, for a dial or for a connection that was in use.
  public internal(set) var waited = 0
  /// The callers that got no connection in their time, or were cancelled before they had one.
  public internal(set) var gaveUp = 0
  /// The callers that were refused because too many waited already.
  public internal(set) var refused = 0
  /// The bodies that threw, for whatever reason.
  public internal(set) var failed = 0
  /// Failed requests that were known not to have been delivered. They were sent again, unless their callers had asked
  /// for no repetition, or had no more of them.
  public internal(set) var undelivered = 0
  /// Requests that were sent again because they were not delivered.
  public internal(set) var repeatedUndelivered = 0
  /// Requests that were sent again because the caller had said that they are repeatable.
  public internal(set) var repeatedRepeatable = 0
  /// The connections that were retired without an error of a body, by the reason.
  public internal(set) var retired: [Retirement: Int] = [:]
  /// The connections that have ended, by how they did.
  public internal(set) var endings: [Ending: Int] = [:]
  /// Connections that callers still used when the time of a close was over; they were aborted.
  public internal(set) var abortedAtClose = 0
  /// The connections at the moment of the report, those included that are dialed or being closed.
  public internal(set) var open = 0
  /// The idle ones among them.
  public internal(set) var idle = 0

  /// Creates an empty report, for tests of code that reads reports.
  public init() {}

  /// Why a pool has retired a connection.
  public enum Retirement: String, Hashable, Sendable, CaseIterable {
    /// An end, a reset or unasked bytes came while it was idle.
    case endedByServer = "ended by the server while idle"
    /// The look before a lease found one of these.
    case staleAtCheckout = "stale at checkout"
    /// It was idle for the time that the limits allow.
    case idle = "idle for too long"
    /// It had reached its age.
    case age = "of age"
    /// There were too many idle ones.
    case surplus = "too many idle"
    /// After its last body something was unread, one side had finished, or the body had kept a part of it.
    case unusable = "not usable again"
    /// Its body had called the request its last: ``Connection/retire()``.
    case asked = "retired by their bodies"
    /// The pool was closed.
    case closing = "retired at the close"

    init(_ reason: Pool.Reason) {
      self =
        switch reason {
        case .peer: .endedByServer
        case .stale: .staleAtCheckout
        case .idle: .idle
        case .age: .age
        case .surplus: .surplus
        case .unusable: .unusable
        case .asked: .asked
        case .closing: .closing
        }
    }
  }

  /// The report as one line: `1,204 leases, 1,190 reused; 14 dialed; …`.
  public var description: String {
    var parts = ["\(leases) leases, \(reused) reused", "\(dialed) dialed"]
    for (count, text) in [
      (dialsFailed, "dials failed"), (waited, "callers waited"), (gaveUp, "gave up"), (refused, "refused"),
      (failed, "bodies failed"), (undelivered, "requests not delivered"),
      (repeatedUndelivered, "of them sent again"), (repeatedRepeatable, "repeatable requests sent again"),
      (abortedAtClose, "aborted at the close"),
    ] where count > 0 {
      parts.append("\(count) \(text)")
    }
    for reason in Retirement.allCases {
      if let count = retired[reason] { parts.append("\(count) \(reason.rawValue)") }
    }
    let ended = endings.sorted { ($0.value, "\($1.key)") > ($1.value, "\($0.key)") }
    if !ended.isEmpty { parts.append("ended: " + ended.map { "\($0.value) \($0.key)" }.joined(separator: ", ")) }
    if open > 0 { parts.append("\(open) open, \(idle) idle") }
    return parts.joined(separator: "; ")
  }
}
