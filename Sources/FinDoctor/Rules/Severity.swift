/// The severity of a finding.
public enum Severity: Int, CaseIterable, Comparable, Hashable, Sendable, CustomStringConvertible {
  /// Worth knowing, and possibly harmless.
  case info
  /// Will cause harm if it continues.
  case warning
  /// Causes harm now, or within minutes.
  case critical

  public static func < (left: Severity, right: Severity) -> Bool { left.rawValue < right.rawValue }

  public var description: String {
    switch self {
    case .info: "info"
    case .warning: "warning"
    case .critical: "critical"
    }
  }
}
