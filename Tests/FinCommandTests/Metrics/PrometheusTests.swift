import FinDoctor
import Foundation
import Peers
import TestTraits
import Testing

@testable import FinCommand

@Suite(
  "Fleet: Prometheus, Alertmanager and the dashboards with what fin exports", .needsScenes, .onThreads,
  .timeLimit(.minutes(30)))
struct PrometheusTests {
  private static let folder =
    #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(4).joined(separator: "/") + "/Fleet/"

  /// Runs the scene in a network namespace of its own, and returns what it printed and its exit status.
  private static func run(_ words: [String]) throws -> (output: String, exit: Child.Exit) {
    let network = try NetworkNamespace()
    let python = try #require(Programs.find("python3"))
    let child = try network.run {
      try Child.spawn(python, ["-B", Stage.folder + "prometheus.py"] + words)
    }
    defer { child.end() }
    return (try child.readToEnd(within: .seconds(300)), try child.wait())
  }

  @Test(
    "the dashboards are what their generator writes from the table of metrics, and show every metric of it",
    .enabled(if: Programs.find("python3") != nil, "needs python3"))
  func generated() async throws {
    let words = [Self.folder + "dashboards/generate", "--fin", Fin.path, "--check"]
    let run = try await Fin.run(program: "python3", words)
    #expect(run.status == 0, "\(run.output) \(run.complaints)")
  }

  @Test(
    "a Prometheus that has every series has an answer to each expression of each dashboard",
    .enabled(if: Programs.find("prometheus") != nil, "needs prometheus"))
  func expressions() throws {
    // A sample of each metric, with the values of labels that the expressions ask for.
    let values = ["severity": "critical", "program": "api", "unit": "api.service", "state": "close_wait"]
    var text = ""
    for metric in Metric.all {
      let labels = metric.labels.map { "\($0)=\"\(values[$0] ?? "some")\"" }.joined(separator: ",")
      // "@" is the number of the scrape, so that what grows, grows.
      text += "\(metric.sampleName)\(labels.isEmpty ? "" : "{\(labels)}") \(metric.kind == .info ? "1" : "@")\n"
    }
    let scratch = try TemporaryFolder()
    try text.write(toFile: scratch.path + "/metrics", atomically: true, encoding: .utf8)
    let run = try Self.run(["dashboards", scratch.path + "/metrics", Self.folder + "dashboards"])
    #expect(run.exit == .exited(0) && run.output.hasPrefix("ok "), "\(run.output)")
    #expect(run.output.split(whereSeparator: \.isWhitespace).last.flatMap { Int($0) } ?? 0 > 40, "\(run.output)")
  }

  @Test("amtool accepts the example for Alertmanager", .enabled(if: Programs.find("amtool") != nil, "needs amtool"))
  func alertmanager() async throws {
    let run = try await Fin.run(program: "amtool", ["check-config", Self.folder + "alertmanager.yml"])
    #expect(run.status == 0 && run.output.contains("8 inhibit rules"), "\(run.output) \(run.complaints)")
  }

  @Test("promtool accepts the example for Prometheus", .enabled(if: Programs.find("promtool") != nil, "needs promtool"))
  func configuration() async throws {
    let run = try await Fin.run(program: "promtool", ["check", "config", Self.folder + "prometheus.yml"])
    #expect(run.status == 0 && run.output.contains("SUCCESS: 1 rule files found"), "\(run.output) \(run.complaints)")
  }

  /// A Python that reads YAML.
  private static let yamlPython = [Programs.find("python3"), "/usr/bin/python3"].compactMap(\.self).first { python in
    (try? withChild(python, ["-c", "import yaml"]) { try $0.wait() }) == .exited(0)
  }

  @Test(
    "the example for Kubernetes has the capabilities that fin rights names, no privilege, and paths that answer",
    .enabled(if: yamlPython != nil, "needs python3-yaml"))
  func kubernetes() async throws {
    let program = """
      import sys, yaml
      pod = yaml.safe_load(open(sys.argv[1]))["spec"]["template"]["spec"]
      container = pod["containers"][0]
      context = container["securityContext"]
      rights = context["capabilities"]
      print(sorted(rights["add"]), rights["drop"], context["privileged"], pod["hostPID"])
      print(container["args"][0], *sorted(container[p]["httpGet"]["path"] for p in ("readinessProbe", "livenessProbe")))
      """
    let python = try #require(Self.yamlPython)
    let file = Self.folder + "kubernetes/daemonset.yaml"
    let run = try withChild(python, ["-c", program, file]) { (try $0.readToEnd(), try $0.wait()) }
    #expect(run.1 == .exited(0))
    #expect(
      run.0 == """
        ['DAC_READ_SEARCH', 'SYS_ADMIN', 'SYS_PTRACE'] ['ALL'] False True
        export /-/healthy /-/ready

        """, "\(run.0)")
  }

  @Test(
    "a leaking program reaches a webhook by name and finding, with the command to run; its healthy twin does not",
    .enabled(
      if: Programs.find("prometheus") != nil && Programs.find("prometheus-alertmanager") != nil,
      "needs prometheus and prometheus-alertmanager"))
  func alert() throws {
    let run = try Self.run(["alert", Fin.path, Self.folder + "rules/fin.rules.yml"])
    #expect(run.exit == .exited(0) && run.output.hasPrefix("ok "), "\(run.output)")
  }
}
