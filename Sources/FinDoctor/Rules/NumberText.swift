internal import FinBase

/// Formats numbers for sentences.
package enum NumberText {
  /// `1,234`
  package static func number(_ value: some BinaryInteger) -> String { value.grouped }

  /// `1 connection`, `60 connections`
  package static func noun(_ count: Int, _ one: String, _ many: String? = nil) -> String {
    "\(number(count)) \(count == 1 ? one : many ?? one + "s")"
  }

  /// `1 connection has`, `60 connections have`
  static func verb(_ count: Int, _ one: String, _ many: String) -> String { count == 1 ? one : many }

  /// `93 %`
  static func percent(_ share: Double) -> String {
    guard share.isFinite else { return "?" }
    return share > 0 && share < 0.01 ? "less than 1 %" : "\(number(Int((min(share, 1e6) * 100).rounded()))) %"
  }

  /// `64 KiB`
  static func bytes(_ count: UInt64) -> String {
    if count < 10_240 { return "\(number(count)) bytes" }
    return count < 10 << 20 ? "\(number(count >> 10)) KiB" : "\(number(count >> 20)) MiB"
  }

  /// `2,460 ms`
  static func milliseconds(_ value: UInt32?) -> String { value.map { "\(number($0)) ms" } ?? "unknown" }
}
