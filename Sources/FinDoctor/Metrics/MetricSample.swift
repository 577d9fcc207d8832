/// The value of a sample.
package enum MetricValue: Hashable, Sendable {
  /// A whole number.
  case count(Int)
  /// Any other number; seconds and ratios.
  case number(Double)

  /// The value as a floating-point number.
  package var number: Double {
    switch self {
    case .count(let count): Double(count)
    case .number(let number): number
    }
  }
}

/// One sample: a series and its value.
package struct MetricSample: Hashable, Sendable {
  /// A series: a metric with the values of its labels.
  package struct Series: Hashable, Sendable {
    package var metric: Metric
    /// The values, in the order of ``Metric/labels``.
    package var labels: [String]
  }

  package var series: Series
  package var value: MetricValue

  package var metric: Metric { series.metric }
  package var labels: [String] { series.labels }

  /// Makes a sample. The number of labels must be that of the metric.
  package init(_ metric: Metric, _ labels: [String] = [], _ value: MetricValue) {
    precondition(labels.count == metric.labels.count, "\(metric.name) has the labels \(metric.labels)")
    series = Series(metric: metric, labels: labels)
    self.value = value
  }

  /// The value of a label; nil if the metric has none of this name.
  package func label(_ name: String) -> String? { metric.labels.firstIndex(of: name).map { labels[$0] } }
}
