import FinDoctor
import FinTerminal

/// The page of `fin help metrics`, made from the table of metrics.
enum MetricsPage {
  static func text(on terminal: Terminal) -> String {
    let limits = MetricLimits()
    var lines = Terminal.wrap(beginning(limits), to: terminal.width) + [""]
    for metric in Metric.all {
      let labels = metric.labels.isEmpty ? "" : "{\(metric.labels.joined(separator: ","))}"
      lines.append(terminal.ink(.heading, metric.sampleName) + labels)
      let facts = [
        metric.kind.rawValue, metric.unit.map { "in \($0)" } ?? "", bound(metric.bound, limits),
        metric.isOfExporter ? "fin export only" : "", afterwards(metric),
      ].filter { !$0.isEmpty }
      lines += Terminal.wrap(facts.joined(separator: "; "), to: terminal.width - 4).map { "    " + $0 }
      lines += Terminal.wrap(metric.help, to: terminal.width - 4).map { "    " + $0 }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func beginning(_ limits: MetricLimits) -> String {
    """
    The metrics of fin export and of fin check --textfile, at most \(limits.samples) samples. The label program is the \
    name of a program, or of the script that it runs; unit is its service, or its container. Neither a process, nor a \
    peer's port, nor the number of a socket is a label. Programs beyond the limit are counted together, with \
    program="other". A series whose cause is gone stays for an hour.
    """
  }

  private static func bound(_ bound: Metric.Bound, _ limits: MetricLimits) -> String {
    switch bound {
    case .fixed(let count): "\(count) series"
    case .perProgram(let count): "up to \(count) series for each of \(limits.programs) programs"
    case .perListener(let count): "up to \(count) series for each of \(limits.listeners) listeners"
    case .perDestination(let count): "up to \(count) series for each of \(limits.destinations) destinations"
    case .perNamespace(let count): "up to \(count) series for each of \(limits.namespaces) network namespaces"
    }
  }

  private static func afterwards(_ metric: Metric) -> String {
    switch metric.afterwards {
    case .zero: "0 for an hour afterwards"
    case .infinity: "+Inf for an hour afterwards"
    case .lastValue: "stays for an hour afterwards"
    case .absent: ""
    }
  }
}
