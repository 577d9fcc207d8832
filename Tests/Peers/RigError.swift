import Glibc

/// An error of the test support itself, or of a plain system call made through it.
public struct RigError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The failed system call, or a sentence.
  public let attempt: String
  /// The error number of the call; 0 when no call failed.
  public let code: CInt

  public init(_ attempt: String, code: CInt = 0) {
    self.attempt = attempt
    self.code = code
  }

  /// The error of the system call that has just returned (`errno`).
  static func last(_ call: String) -> RigError { RigError(call, code: errno) }

  public var description: String {
    guard code != 0 else { return attempt }
    let text = unsafe strerror(code).map { unsafe String(cString: $0) } ?? "error"
    return "\(attempt): \(text) (\(code))"
  }
}

/// The error for a deadline that passed before the awaited condition held.
public struct TimedOut: Error, Hashable, Sendable, CustomStringConvertible {
  public let awaited: String
  public let limit: Duration

  public init(_ awaited: String, after limit: Duration) {
    self.awaited = awaited
    self.limit = limit
  }

  public var description: String { "timed out after \(limit): \(awaited)" }
}
