import TestTraits
import Testing

@testable import FinCommand

@Suite("The help of fin", .onThreads, .timeLimit(.minutes(30)))
struct HelpTests {
  static let verbs = [
    "check", "explain", "list", "ports", "listeners", "kill", "watch", "census", "report", "record", "diff", "export",
    "rights", "connect", "serve", "relay", "lab", "lifecycle",
  ]

  @Test("-h fits a screen, with usage and examples before the options; --help has all of it and more", arguments: verbs)
  func lengths(verb: String) async throws {
    let short = try await Fin.run(verb, "-h", columns: 80)
    let long = try await Fin.run(verb, "--help", columns: 80)
    #expect(short.status == 0 && long.status == 0 && short.complaints.isEmpty)
    #expect(short.output.split(separator: "\n", omittingEmptySubsequences: false).count <= 51)
    #expect(long.lines.count > short.lines.count)
    for fin in [short, long] {
      let usage = try #require(fin.lines.firstIndex { $0.hasPrefix("Usage: fin \(verb)") })
      let examples = try #require(fin.lines.firstIndex { $0 == "Examples:" })
      let options = try #require(fin.lines.firstIndex { $0 == "Options:" })
      #expect(usage < 5 && usage < examples && examples < options)
      #expect(fin.lines.allSatisfy { $0.count <= 80 }, "\(fin.lines.filter { $0.count > 80 })")
    }
    #expect(long.lines.contains("Exit status:") && !long.output.contains("atLeastMilliseconds"))
    #expect(try await Fin.run("help", verb, columns: 80).output == long.output)
  }

  @Test("every option of a command is in its short help", arguments: [("list", "--no-bpf"), ("check", "--threshold")])
  func options(verb: String, option: String) async throws {
    #expect(try await Fin.run(verb, "-h").output.contains(option))
  }

  @Test("fin alone, fin -h and fin help list the commands")
  func root() async throws {
    let alone = try await Fin.run()
    #expect(alone.status == 0)
    #expect(try await Fin.run("-h").output == alone.output)
    let long = try await Fin.run("help")
    #expect(try await Fin.run("--help").output == long.output && long.lines.count > alone.lines.count)
    for verb in Self.verbs { #expect(alone.lines.contains { $0.hasPrefix("  \(verb) ") }, "\(verb)") }
  }

  @Test("a help option behind -- belongs to the command that is run")
  func separated() async throws {
    let fin = try await Fin.run("check", "--leaks", "--", "no-such-command-anywhere", "--help")
    #expect(fin.status == 69)
    let serve = try await Fin.run("serve", "127.0.0.1:0", "--exec", "no-such-command-anywhere", "--help")
    #expect(serve.status == 69 && serve.complaints.contains("no-such-command-anywhere"))
    #expect(try await Fin.run("serve", "-h", "--exec", "cat").output.hasPrefix("Serve clients"))
  }

  @Test(
    "a mistyped word: status 64, the nearest word and all of them",
    arguments: [
      (["chek"], "check", "listeners"), (["lst", "--json"], "list", "explain"),
      (["conect", ":1"], "connect", "serve"), (["serv", ":1"], "serve", "connect"),
      (["help", "chek"], "check", "json"),
      (["help", "json", "prots"], "ports", "explain"), (["list", "--state", "bogus"], "bound", "close-wait"),
      (["list", "--state", "clos-wait"], "close-wait", "time-wait"),
      (["list", "--fields", "state,remot"], "remote", "cookie"),
      (["check", "--only", "L99"], "L1", "close-wait-known"),
    ])
  func mistyped(words: [String], nearest: String, other: String) async throws {
    let fin = try await Fin.run(words)
    #expect(fin.status == 64 && fin.output.isEmpty)
    #expect(fin.complaints.contains("did you mean ") && fin.complaints.contains(other), "\(fin.complaints)")
    if words.last != "L99", words.last != "bogus" {
      #expect(fin.complaints.contains("did you mean \(nearest)?"), "\(fin.complaints)")
    }
    let hidden = try await Fin.run("\u{1B}[31m")
    #expect(hidden.status == 64 && !hidden.complaints.utf8.contains(0x1B))
  }

  @Test(
    "former names of options keep working, also with =", arguments: [["--top", "3"], ["--top=3"], ["--limit", "3"]])
  func renamed(words: [String]) async throws {
    for verb in ["ports", "listeners"] {
      #expect(try await Fin.run([verb, "--own-namespace"] + words).status == 0)
    }
    #expect(try await Fin.run("ports", "--own-namespace", "--to", "10.0.0.0/8").status == 0)
    #expect(try await Fin.run("listeners", "--to", "10.0.0.0/8").status == 64)
  }

  @Test("the first sentence of an option's text, with its default")
  func firstSentence() {
    #expect(HelpPage.firstSentence("Do not ask.") == "Do not ask.")
    #expect(HelpPage.firstSentence("One. Two. (default: 3)") == "One. (default: 3)")
    #expect(HelpPage.firstSentence("One: 1.5 or 2") == "One: 1.5 or 2")
  }
}
