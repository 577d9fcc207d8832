import FoundationEssentials
import TestTraits
import Testing

// The time limit ends a hang. It includes the time that a test waits for its turn while other tests block.
@Suite("fin lab from the command line", .onThreads, .timeLimit(.minutes(30)))
struct CommandTests {
  /// The ids of all experiments, one per claim.
  static let ids = onPlainConnections + onSecuredConnections
  #if TLS
  private static let onSecuredConnections = ["truncation", "tickets"]
  #else
  private static let onSecuredConnections: [String] = []
  #endif
  private static let onPlainConnections = [
    "two-step", "flush", "confirmed", "time-wait", "reuse-address", "port-exhaustion", "references",
    "use-after-close", "close-twice", "close-error", "shutdown-error", "scope", "lock", "blocked-accept",
    "descriptor-reuse", "states", "failed-connect", "idle", "accept-timeout", "limits", "timeouts", "reset", "leak",
    "unread-window", "peer-send-timeout", "bypass", "dup-file",
  ]

  struct Report: Decodable {
    struct Experiment: Decodable {
      struct Trial: Decodable {
        struct Fact: Decodable {
          let name: String
          let source: String
          let met: Bool?
        }
        let side: String
        let recipe: String
        let held: Bool
        let facts: [Fact]
      }
      let id: String
      let world: String
      let verdict: String
      let why: String?
      let truthShown: Bool?
      let trials: [Trial]
    }
    let version: Int
    let fin: String
    let kernel: String
    let experiments: [Experiment]
    let summary: [String: Int]

    init(_ text: String) throws {
      self = try JSONDecoder().decode(Report.self, from: Data(text.utf8))
    }
  }

  @Test("--list shows every experiment, in order")
  func list() async throws {
    let fin = try await Fin.run("lab", "--list")
    #expect(fin.status == 0)
    let listed = fin.lines.filter { $0.first != " " }.compactMap { $0.split(separator: " ").first.map(String.init) }
    #expect(listed == Self.ids)
  }

  @Test("--async --list and its JSON mark each experiment as the same in tasks or as having a variant")
  func listOfTasks() async throws {
    let words = try await Fin.run("lab", "--async", "--list").lines.filter { $0.first != " " }
      .map { $0.split(separator: " ") }
    #expect(words.map { String($0[0]) } == Self.ids)
    for line in words { #expect(line[2] == (Self.same.contains(String(line[0])) ? "same" : "twin"), "\(line)") }

    struct List: Decodable {
      struct Entry: Decodable {
        let id: String
        let async: String
      }
      let experiments: [Entry]
    }
    let list = try JSONDecoder().decode(List.self, from: Data(try await Fin.run("lab", "--list", "--json").output.utf8))
    #expect(list.experiments.filter { $0.async == "same" }.map(\.id) == Self.same)
    #expect(list.experiments.count { $0.async == "twin" } == Self.ids.count - Self.same.count)
  }

  @Test("--async checks the same facts with the same expectations, and keeps the usual recipes", arguments: ["lock"])
  func twin(id: String) async throws {
    func trials(_ arguments: String...) async throws -> [Report.Experiment.Trial] {
      try Report(try await Fin.run(["lab", id, "--json"] + arguments).output).experiments.flatMap(\.trials)
    }
    let (threads, tasks) = (try await trials(), try await trials("--async"))
    func naive(_ trials: [Report.Experiment.Trial]) -> [String] { trials.filter { $0.side == "naive" }.map(\.recipe) }
    func facts(_ trials: [Report.Experiment.Trial]) -> [String] { trials.flatMap(\.facts).map(\.name) }
    #expect(naive(threads) == naive(tasks))
    #expect(facts(threads) == facts(tasks))
    #expect(tasks.last?.recipe == "in a task: shared.close(), a task waits in shared.receive()")
  }

  @Test("--async: an experiment that exceeds the time limit fails")
  func timeLimitInTasks() async throws {
    let fin = try await Fin.run("lab", "--async", "lock", "--time-limit", "0.2")
    #expect(fin.status == 1)
    #expect(fin.output.contains("TIMED OUT"))
  }

  @Test("an unknown id: status 64, and similar ids on standard error")
  func unknown() async throws {
    let fin = try await Fin.run("lab", "flsh")
    #expect(fin.status == 64)
    #expect(fin.output.isEmpty)
    #expect(fin.complaints.contains("no experiment 'flsh'"))
    #expect(fin.complaints.contains("flush"))
  }

  @Test(
    "invalid arguments: status 64",
    arguments: [["lab", "--jobs", "0"], ["lab", "--time-limit", "0"], ["lab", "--loud"], ["lba"]])
  func senseless(arguments: [String]) async throws {
    let fin = try await Fin.run(arguments)
    #expect(fin.status == 64)
    #expect(!fin.complaints.isEmpty)
  }

  @Test("flush: the usual recipe loses bytes, Fin delivers 4,000,045 of 4,000,045")
  func flush() async throws {
    let fin = try await Fin.run("lab", "flush")
    #expect(fin.status == 0)
    #expect(fin.output.contains("4,000,045 of 4,000,045"))
    let report = try Report(try await Fin.run("lab", "flush", "--json").output)
    let flush = try #require(report.experiments.first)
    #expect(flush.verdict == "kept" && flush.truthShown == true)
    #expect(flush.trials.count { $0.side == "naive" } == 3)
    #expect(flush.trials.allSatisfy { $0.held })
  }

  @Test("output to a pipe: no escape byte, no line beyond 100 columns")
  func plain() async throws {
    let fin = try await Fin.run("lab", "two-step", "states", "dup-file")
    #expect(!fin.output.utf8.contains(0x1B))
    #expect(fin.lines.allSatisfy { $0.count <= 100 })
    #expect(!fin.output.isEmpty)
  }

  @Test("all experiments: no verdict fails, also in JSON")
  func everything() async throws {
    // The experiments run in parallel, besides all other tests, so a slow one is no failure.
    let fin = try await Fin.run("lab", "--json", "--time-limit", "120")
    try expectEverythingKept(fin)
  }

  @Test("--async, all experiments: every trial of Fin that waits runs in a task, and no verdict fails")
  func everythingInTasks() async throws {
    let fin = try await Fin.run("lab", "--async", "--json", "--time-limit", "120")
    try expectEverythingKept(fin)
    for experiment in try Report(fin.output).experiments {
      let isSame = Self.same.contains(experiment.id)
      #expect(experiment.world == (isSame ? "threads" : "tasks"), "\(experiment.id)")
      for trial in experiment.trials {
        let wanted = trial.side == "fin" && !isSame
        #expect(trial.recipe.hasPrefix("in a task: ") == wanted, "\(experiment.id): \(trial.recipe)")
      }
    }
  }

  /// The experiments in which no operation of Fin waits.
  private static let same = ["reuse-address", "leak"]

  private func expectEverythingKept(_ fin: Fin) throws {
    let report = try Report(fin.output)
    #expect(report.version == 1 && !report.fin.isEmpty)
    #expect(report.experiments.map(\.id) == Self.ids)
    for experiment in report.experiments {
      let wrong = experiment.trials.filter { $0.side == "fin" }.flatMap(\.facts).filter { $0.met == false }.map(\.name)
      #expect(["kept", "skipped"].contains(experiment.verdict), "\(experiment.id): \(experiment.why ?? "\(wrong)")")
      #expect(experiment.verdict == "skipped" || experiment.trials.contains { $0.side == "fin" }, "\(experiment.id)")
      for trial in experiment.trials { #expect(trial.facts.contains { $0.met != nil }, "\(experiment.id)") }
    }
    #expect(fin.status == 0)
    #expect(report.summary["broken"] == 0)
  }

  @Test("an experiment that exceeds the time limit is killed and fails with status 1")
  func timeLimit() async throws {
    let fin = try await Fin.run("lab", "lock", "--time-limit", "0.2")
    #expect(fin.status == 1)
    #expect(fin.output.contains("TIMED OUT"))
  }

  @Test("--help explains the exit statuses, and --version prints one line")
  func help() async throws {
    let help = try await Fin.run("--help")
    #expect(help.status == 0)
    #expect(help.output.contains("fin lab flush") && help.output.contains("64"))
    let version = try await Fin.run("--version")
    #expect(version.lines.count == 1)
  }
}
