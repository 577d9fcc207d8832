internal import FinBase

/// Writes samples as text that Prometheus and everything that reads its format understands.
package enum Exposition: Hashable, Sendable {
  /// OpenMetrics 1.0.
  case openMetrics
  /// The text format 0.0.4 of Prometheus, also for the textfile collector of node_exporter.
  case text

  /// The content type of an answer.
  package var contentType: String {
    switch self {
    case .openMetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8"
    case .text: "text/plain; version=0.0.4; charset=utf-8"
    }
  }

  /// The text of these samples: the families in the order of the table, each with its description, also a family that
  /// has no sample now.
  /// - Parameters:
  ///   - samples: The samples, in any order. No series may be in it twice.
  ///   - isOfExporter: Whether the families of the exporter itself are described.
  package func text(_ samples: [MetricSample], isOfExporter: Bool) -> [UInt8] {
    var families = [[MetricSample]](repeating: [], count: Metric.all.count)
    for sample in samples {
      guard let place = Metric.places[sample.metric.name] else {
        fatalError("\(sample.metric.name) is not in the table")
      }
      families[place].append(sample)
    }
    var buffer = TextBuffer()
    buffer.bytes.reserveCapacity(samples.count * 100 + 8192)
    for (metric, samples) in zip(Metric.all, families) where isOfExporter || !metric.isOfExporter {
      describe(metric, to: &buffer)
      for sample in samples.sorted(by: { $0.labels.lexicographicallyPrecedes($1.labels) }) {
        Self.write(sample, to: &buffer)
      }
    }
    if self == .openMetrics { buffer.write("# EOF\n") }
    return buffer.bytes
  }

  private func describe(_ metric: Metric, to buffer: inout TextBuffer) {
    switch self {
    case .openMetrics:
      buffer.write("# TYPE \(metric.name) \(metric.kind.rawValue)\n")
      if let unit = metric.unit { buffer.write("# UNIT \(metric.name) \(unit)\n") }
      buffer.write("# HELP \(metric.name) ")
      Self.write(escaped: metric.help, to: &buffer)
      buffer.write("\n")
    case .text:
      // This format has no infos, and names a counter as its samples.
      buffer.write("# HELP \(metric.sampleName) ")
      Self.write(escaped: metric.help, quotes: false, to: &buffer)
      buffer.write("\n# TYPE \(metric.sampleName) \(metric.kind == .info ? "gauge" : metric.kind.rawValue)\n")
    }
  }

  private static func write(_ sample: MetricSample, to buffer: inout TextBuffer) {
    buffer.write(sample.metric.sampleName)
    for (place, (name, value)) in zip(sample.metric.labels, sample.labels).enumerated() {
      buffer.write(ascii: place == 0 ? "{" : ",")
      buffer.write(name)
      buffer.write("=\"")
      write(escaped: value, to: &buffer)
      buffer.write(ascii: "\"")
    }
    if !sample.labels.isEmpty { buffer.write(ascii: "}") }
    buffer.write(ascii: " ")
    write(sample.value, to: &buffer)
    buffer.write(ascii: "\n")
  }

  /// Writes a text with a backslash before each backslash and quote, and `\n` for a line end.
  static func write(escaped text: String, quotes: Bool = true, to buffer: inout TextBuffer) {
    for byte in text.utf8 {
      switch byte {
      case UInt8(ascii: "\\"): buffer.write("\\\\")
      case UInt8(ascii: "\n"): buffer.write("\\n")
      case UInt8(ascii: "\"") where quotes: buffer.write("\\\"")
      default: buffer.bytes.append(byte)
      }
    }
  }

  /// Writes a number: a whole one without a point, any other with a point or an exponent.
  static func write(_ value: MetricValue, to buffer: inout TextBuffer) {
    switch value {
    case .count(let count):
      if count < 0 { buffer.write(ascii: "-") }
      buffer.write(decimal: UInt64(count.magnitude))
    case .number(let number):
      if number.isNaN {
        buffer.write("NaN")
      } else if number.isInfinite {
        buffer.write(number < 0 ? "-Inf" : "+Inf")
      } else {
        buffer.write("\(number)")
      }
    }
  }
}
