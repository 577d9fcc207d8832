/// How long a call may wait: a time, no limit, or the usual time of the socket.
///
/// ```swift
/// try connection.receive(upTo: 64, within: .seconds(5))
/// try connection.receive(upTo: 64, within: .never)  // waits without a limit
/// try connection.receive(upTo: 64)  // waits as long as connection.timeouts.receive
/// ```
/// A time is kept to the nanosecond; one longer than 292 years counts as 292 years. With a time of zero or less, a call
/// makes one attempt.
public struct Timeout: Hashable, Sendable, CustomStringConvertible {
  /// `Int64.max` means no limit, `Int64.min` the default.
  let nanoseconds: Int64

  init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  /// Makes a timeout of this time.
  public init(_ duration: Duration) {
    // A duration too long to count becomes the longest one that can be counted. It does not become no limit.
    nanoseconds = max(.min + 1, min(Deadline.adding(duration, to: 0), .max - 1))
  }

  /// The usual time: that of the socket's ``Timeouts`` for a call, and that of the library in ``Timeouts``.
  public static let `default` = Timeout(nanoseconds: .min)
  /// No limit. The call still returns when the socket is closed, and in a task when the task is cancelled.
  public static let never = Timeout(nanoseconds: .max)
  /// One attempt: the call does not wait.
  public static let zero = Timeout(nanoseconds: 0)

  /// A timeout in seconds.
  public static func seconds(_ seconds: some BinaryInteger) -> Timeout { Timeout(.seconds(seconds)) }
  /// A timeout in seconds and fractions of a second.
  public static func seconds(_ seconds: Double) -> Timeout { Timeout(.seconds(seconds)) }
  /// A timeout in milliseconds.
  public static func milliseconds(_ milliseconds: some BinaryInteger) -> Timeout {
    Timeout(.milliseconds(milliseconds))
  }
  /// A timeout in microseconds.
  public static func microseconds(_ microseconds: some BinaryInteger) -> Timeout {
    Timeout(.microseconds(microseconds))
  }

  /// The time; `nil` for ``never`` and ``default``.
  public var duration: Duration? {
    self == .never || self == .default ? nil : .nanoseconds(nanoseconds)
  }

  public var description: String {
    switch self {
    case .never: "never"
    case .default: "default"
    default: "\(Duration.nanoseconds(nanoseconds))"
    }
  }

  /// This timeout, or `usual` if this is the default.
  func or(_ usual: Timeout) -> Timeout { self == .default ? usual : self }
}
