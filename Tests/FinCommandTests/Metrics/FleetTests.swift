import FinDoctor
import Peers
import TestTraits
import Testing

@testable import FinCommand

@Suite("Fleet: the rules and units fit the program", .onThreads, .timeLimit(.minutes(30)))
struct FleetTests {
  private static let folder =
    #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(4).joined(separator: "/") + "/Fleet/"

  @Test(
    "each metric that a rule or its test names is in the table, with the labels that it is asked for",
    arguments: ["rules/fin.rules.yml", "rules/fin.tests.yml"])
  func names(file: String) throws {
    let text = try #require(TextFile.read(Self.folder + file))
    let metrics = Dictionary(uniqueKeysWithValues: Metric.all.map { ($0.sampleName, $0) })
    // The names of recording rules have colons before and behind.
    let uses = text.matches(of: /(?:^|[^:\w\/])(fin_\w+)(?:\{([^}]*)\})?/).filter { use in
      !text[use.range.upperBound...].hasPrefix(":")
    }
    #expect(uses.count > 10)
    for use in uses {
      let name = String(use.output.1)
      let metric = try #require(metrics[name], "\(name)")
      for pair in (use.output.2 ?? "").matches(of: /(\w+)=~?"/) {
        let label = String(pair.output.1)
        #expect(metric.labels.contains(label) || label == "instance", "\(name) has no label \(label)")
      }
    }
  }

  @Test("each alert has tests in which it fires and in which it does not")
  func everyAlert() throws {
    let rules = try #require(TextFile.read(Self.folder + "rules/fin.rules.yml"))
    let tests = try #require(TextFile.read(Self.folder + "rules/fin.tests.yml"))
    let alerts = rules.matches(of: /alert: (\w+)/).map { String($0.output.1) }
    #expect(alerts.count > 5)
    for alert in alerts {
      #expect(tests.contains("alertname: \(alert), exp_alerts: []"), "\(alert)")
      #expect(tests.contains("alertname: \(alert)\n    exp_alerts:\n    - exp_labels"), "\(alert)")
    }
  }

  @Test(
    "promtool tests the rules",
    .enabled(if: Programs.find("promtool") != nil, "needs promtool: apt-get install prometheus"))
  func promtool() async throws {
    let check = try await Fin.run(program: "promtool", ["check", "rules", Self.folder + "rules/fin.rules.yml"])
    #expect(check.status == 0, "\(check.output) \(check.complaints)")
    let test = try await Fin.run(program: "promtool", ["test", "rules", Self.folder + "rules/fin.tests.yml"])
    #expect(test.status == 0, "\(test.output) \(test.complaints)")
  }

  @Test(
    "systemd-analyze security: at most 1.9 without owners, and 2.9 with the drop-in for them",
    .enabled(if: Programs.find("systemd-analyze") != nil, "needs systemd-analyze"))
  func exposure() async throws {
    let folder = try TemporaryFolder()
    func level() async throws -> Double? {
      let run = try await Fin.shell("systemd-analyze security --offline=true \(folder.path)/fin-export.service")
      return run.output.firstMatch(of: /exposure level for \S+: ([0-9.]+)/).flatMap { Double($0.output.1) }
    }
    // The unit names a program that need not be installed here.
    let copy =
      "sed s:/usr/bin/fin:/bin/true: \(Self.folder)systemd/fin-export.service > \(folder.path)/fin-export.service"
    #expect(try await Fin.shell(copy).status == 0)
    let small = try #require(try await level())
    #expect(small <= 1.9)
    let append = "sed -n '/^\\[Service/,$p' \(Self.folder)systemd/owners.conf >> \(folder.path)/fin-export.service"
    #expect(try await Fin.shell(append).status == 0)
    let owners = try #require(try await level())
    #expect(owners > small && owners <= 2.9)
  }

  @Test(
    "systemd-analyze security: at most 2.9 for the recorder, which sees owners",
    .enabled(if: Programs.find("systemd-analyze") != nil, "needs systemd-analyze"))
  func recorderExposure() async throws {
    let folder = try TemporaryFolder()
    let copy =
      "sed s:/usr/bin/fin:/bin/true: \(Self.folder)systemd/fin-record.service > \(folder.path)/fin-record.service"
    #expect(try await Fin.shell(copy).status == 0)
    let run = try await Fin.shell("systemd-analyze security --offline=true \(folder.path)/fin-record.service")
    let level = run.output.firstMatch(of: /exposure level for \S+: ([0-9.]+)/).flatMap { Double($0.output.1) }
    #expect(try #require(level) <= 2.9)
  }

  @Test("the help of the metrics has every metric of the table, with its labels and its help")
  func page() async throws {
    let page = try await Fin.run("help", "metrics", columns: 80)
    #expect(page.status == 0 && page.lines.allSatisfy { $0.count <= 80 || !$0.hasPrefix(" ") })
    for metric in Metric.all {
      let labels = metric.labels.isEmpty ? "" : "{\(metric.labels.joined(separator: ","))}"
      #expect(page.lines.contains { $0 == metric.sampleName + labels }, "\(metric.name)")
    }
  }
}
