import TestTraits
import Testing

@testable import FinDoctor

@Suite("Metrics: the table follows the conventions of Prometheus and OpenMetrics", .onThreads)
struct MetricTableTests {
  @Test("names have a prefix, the unit as their end, and no reserved end; each is there once")
  func names() {
    #expect(Set(Metric.all.map(\.name)).count == Metric.all.count)
    for metric in Metric.all {
      #expect(metric.name.wholeMatch(of: /(fin|process)(_[a-z0-9]+)+/) != nil, "\(metric.name)")
      #expect(metric.name.hasPrefix("process_") == (metric.isOfExporter && metric != .age), "\(metric.name)")
      for end in ["_total", "_count", "_sum", "_bucket", "_info", "_created"] {
        #expect(!metric.name.hasSuffix(end), "\(metric.name)")
      }
      if let unit = metric.unit {
        #expect(["seconds", "bytes"].contains(unit) && metric.name.hasSuffix("_" + unit), "\(metric.name)")
      } else {
        #expect(!metric.name.hasSuffix("_seconds") && !metric.name.hasSuffix("_bytes"), "\(metric.name)")
      }
      #expect(metric.help.hasSuffix(".") && !metric.help.contains("\n"), "\(metric.name)")
    }
  }

  @Test("labels are names, not reserved ones, and none is of a single process, socket or peer")
  func labels() {
    let forbidden: Set = [
      "le", "quantile", "instance", "job", "type", "service", "env", "region", "zone", "cluster", "owner", "stage",
      "pid", "fd", "inode", "cookie", "port", "peer", "command",
    ]
    for metric in Metric.all {
      #expect(Set(metric.labels).count == metric.labels.count)
      for label in metric.labels {
        #expect(label.wholeMatch(of: /[a-z][a-z_]*/) != nil && !forbidden.contains(label), "\(metric.name) \(label)")
      }
    }
  }
}

@Suite("Metrics: the text of a sample", .onThreads)
struct ExpositionTests {
  private static let hostile = MetricSample(
    .openDescriptors, ["a\\b\"c\nd é", "-"], .count(3))

  private func lines(_ format: Exposition, _ samples: [MetricSample], _ isOfExporter: Bool = false) -> [Substring] {
    String(decoding: format.text(samples, isOfExporter: isOfExporter), as: UTF8.self)
      .split(separator: "\n", omittingEmptySubsequences: false)
  }

  @Test("OpenMetrics: TYPE, UNIT and HELP in this order, suffixes, escapes, and EOF as the last line")
  func openMetrics() {
    let samples = [
      Self.hostile, MetricSample(.build, ["1", "6.18"], .count(1)),
      MetricSample(.listenerDropped, ["api", "-", "[::]:80"], .count(7)),
      MetricSample(.stateAge, ["api", "-", "close_wait"], .number(660)),
      MetricSample(.descriptorExhaustion, ["api", "-"], .number(.infinity)),
    ]
    let lines = lines(.openMetrics, samples)
    #expect(lines.contains(#"fin_worst_process_open_fds{program="a\\b\"c\nd é",unit="-"} 3"#))
    #expect(lines.contains(#"fin_build_info{version="1",kernel="6.18"} 1"#) && lines.contains("# TYPE fin_build info"))
    #expect(lines.contains(#"fin_listener_dropped_total{program="api",unit="-",listener="[::]:80"} 7"#))
    #expect(lines.contains("# TYPE fin_listener_dropped counter"))
    #expect(lines.contains(#"fin_fd_exhaustion_seconds{program="api",unit="-"} +Inf"#))
    let age = lines.firstIndex(of: "# TYPE fin_state_age_seconds gauge")
    #expect(age.map { lines[$0 + 1] } == "# UNIT fin_state_age_seconds seconds")
    #expect(age.map { lines[$0 + 2].hasPrefix("# HELP fin_state_age_seconds Lower bound") } == true)
    #expect(age.map { lines[$0 + 3] } == #"fin_state_age_seconds{program="api",unit="-",state="close_wait"} 660.0"#)
    #expect(lines.suffix(2) == ["# EOF", ""] && !lines.dropLast().contains(""))
  }

  @Test("the text format: no UNIT, no EOF, a counter and an info under the names of their samples")
  func text() {
    let lines = lines(.text, [Self.hostile, MetricSample(.build, ["1", "6.18"], .count(1))])
    #expect(
      lines.contains("# TYPE fin_build_info gauge") && lines.contains("# TYPE fin_listener_dropped_total counter"))
    #expect(!lines.contains { $0.hasPrefix("# UNIT") || $0.hasPrefix("# EOF") })
    #expect(lines.contains(#"fin_worst_process_open_fds{program="a\\b\"c\nd é",unit="-"} 3"#))
  }

  @Test("the families of the exporter itself are in no file")
  func ofExporter() {
    #expect(!lines(.text, []).contains { $0.contains("process_cpu") })
    #expect(lines(.text, [], true).contains("# TYPE process_cpu_seconds_total counter"))
  }

  @Test(
    "numbers: whole ones without a point, others with one",
    arguments: [
      (MetricValue.count(0), "0"), (.count(-5), "-5"), (.count(.max), "9223372036854775807"), (.number(0), "0.0"),
      (.number(0.25), "0.25"), (.number(1e21), "1e+21"), (.number(-.infinity), "-Inf"), (.number(.nan), "NaN"),
    ])
  func numbers(value: MetricValue, text: String) {
    var buffer = TextBuffer()
    Exposition.write(value, to: &buffer)
    #expect(buffer.text == text)
  }
}
