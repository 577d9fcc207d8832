/// The numbers of open descriptors of the processes that are nearest to their limits, over the last 15 minutes.
struct DescriptorHistory: Sendable {
  private struct Point {
    var time: UInt64
    var open: Int
  }

  /// The time over which growth is measured, in nanoseconds.
  private static let span: UInt64 = 900 * 1_000_000_000
  /// The time between two points that are kept.
  private static let step: UInt64 = 10 * 1_000_000_000

  private var points: [Int32: [Point]] = [:]

  /// Takes the present number, and returns the seconds until the limit is reached at the pace of the time before:
  /// infinite without growth; nil if the process was not seen before.
  mutating func exhaustion(_ process: (pid: Int32, open: Int, limit: Int), at now: UInt64) -> Double? {
    var all = (points[process.pid] ?? []).filter { now < $0.time + Self.span && $0.time < now }
    defer {
      if all.last.map({ now >= $0.time + Self.step }) ?? true { all.append(Point(time: now, open: process.open)) }
      points[process.pid] = all
    }
    guard let first = all.first else { return nil }
    guard process.open > first.open else { return .infinity }
    let perSecond = Double(process.open - first.open) / (Double(now - first.time) / 1e9)
    return Double(max(0, process.limit - process.open)) / perSecond
  }

  /// Forgets all other processes.
  mutating func keep(_ pids: Set<Int32>) { points = points.filter { pids.contains($0.key) } }
}
