/// Counters that never fall, made of sources that come and go.
///
/// A listener's count begins again when its program starts again, and a name may move to `other`: each exported sum
/// grows by the growth of the sources that have its name at that moment.
struct CounterSums<Source: Hashable & Sendable>: Sendable {
  private struct Last {
    var value: UInt64
    var seen: UInt64
  }

  private var last: [Source: Last] = [:]
  private(set) var sums: [[String]: UInt64] = [:]

  /// Takes the present values of all sources.
  /// - Parameters:
  ///   - values: The sources, each with the labels of its sum and its value.
  ///   - now: The time.
  ///   - memory: The time for which a source that is missing is remembered. A census may miss one for a moment.
  mutating func take(
    _ values: [(source: Source, labels: [String], value: UInt64)], at now: UInt64, remembering memory: UInt64
  ) {
    for (source, labels, value) in values {
      // A source that was not there has counted all of it since. One that fell has begun again.
      let before = last[source]?.value ?? 0
      sums[labels, default: 0] += value >= before ? value - before : value
      last[source] = Last(value: value, seen: now)
    }
    last = last.filter { now < $0.value.seen + memory }
  }

  /// Keeps the sums of these labels only.
  mutating func keep(_ labels: Set<[String]>) { sums = sums.filter { labels.contains($0.key) } }
}
