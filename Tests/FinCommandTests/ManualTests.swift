import ArgumentParser
import Peers
import TestTraits
import Testing

@testable import FinCommand

@Suite("The manual pages of fin", .onThreads, .timeLimit(.minutes(30)))
struct ManualTests {
  static let pages = [[]] + FinCommand.documented.compactMap { $0.configuration.commandName }.map { [$0] }

  @Test(
    "mandoc has nothing to warn of, and shows every option, example and exit status",
    .enabled(if: Programs.find("mandoc") != nil, "needs mandoc"), arguments: pages)
  func lint(page: [String]) async throws {
    let source = try await Fin.run(["help", "manual"] + page)
    #expect(source.status == 0 && source.output.hasPrefix(".TH FIN"))
    let lint = try await Fin.shell("'\(Fin.path)' help manual \(page.joined()) | mandoc -T lint -W warning 2>&1")
    #expect(lint.output == "", "\(lint.output)")
    let shown = try await Fin.shell("'\(Fin.path)' help manual \(page.joined()) | mandoc -T utf8 -O width=200 | col -b")
    let help = try await Fin.run((page.isEmpty ? [] : page) + ["--help"], columns: 400)
    let written = Set(shown.output.split { $0.isWhitespace })
    let missing = help.output.split { $0.isWhitespace }.filter { word in
      // Headings are written in capitals there.
      !word.hasSuffix(":") && !written.contains(word)
    }
    // The page of fin as a whole names each command as its page: fin-check(1).
    #expect(missing.count <= FinCommand.documented.count, "\(missing)")
    for heading in ["NAME", "SYNOPSIS", "DESCRIPTION", "EXAMPLES", "EXIT STATUS", "SEE ALSO"] {
      #expect(shown.lines.contains { $0.hasPrefix(heading) }, "\(heading)")
    }
    let options = help.output.matches(of: /(?m)^  (?:-h, )?(--[a-z0-9-]+)/).map { $0.1 }
    for option in options { #expect(shown.output.contains(option), "\(option)") }
  }

  @Test("a page that there is not: status 64, and the nearest")
  func unknown() async throws {
    let fin = try await Fin.run("help", "manual", "chek")
    #expect(fin.status == 64 && fin.complaints.contains("did you mean check?"), "\(fin)")
  }

  @Test("text that troff would take for a request or an escape is text")
  func escapes() {
    var page = Roff(title: "a", description: "B.")
    page.text(".so /etc/passwd")
    page.text("'br")
    page.text("a\\fB-b")
    #expect(page.source.hasSuffix("\\&.so /etc/passwd\n\\&'br\na\\efB\\-b\n"), "\(page.source)")
  }
}

@Suite("Shells complete what fin takes", .onThreads, .timeLimit(.minutes(30)))
struct CompletionTests {
  /// The words that bash offers for the last of these.
  private static func offers(_ words: String...) async throws -> [Substring] {
    let list = words.map { "'\($0)'" }.joined(separator: " ")
    let line = words.joined(separator: " ")
    let script = """
      source <("$0" --generate-completion-script bash) && COMP_WORDS=(\(list)) COMP_CWORD=\(words.count - 1)
      COMP_LINE='\(line)' COMP_POINT=\(line.count) && _fin fin '\(words.last ?? "")' '\(words.dropLast().last ?? "")'
      printf '%s\\n' "${COMPREPLY[@]}"
      """
    let run = try await Fin.run(program: "bash", ["-c", script, Fin.path])
    #expect(run.status == 0, "\(run)")
    return run.lines.map { $0.split(separator: " ").first ?? "" }
  }

  @Test("findings, states and commands by their names", .enabled(if: Programs.find("bash") != nil, "needs bash"))
  func names() async throws {
    #expect(try await Self.offers("fin", "chec").contains("check"))
    #expect(try await Self.offers("fin", "check", "--only", "clos").contains("close-wait-known"))
    #expect(try await Self.offers("fin", "list", "--state", "clo").contains("close-wait"))
  }

  @Test(
    "programs with sockets, and their ports",
    .enabled(if: Programs.find("bash") != nil && Programs.find("python3") != nil, "needs bash and python3"))
  func machine() async throws {
    let script = """
      import socket, sys
      s = socket.create_server(("127.0.0.1", 0))
      print(s.getsockname()[1], flush=True)
      sys.stdin.read()
      """
    let child = try Child.spawn(try #require(Programs.find("python3")), ["-c", script])
    defer { child.end() }
    let port = try #require(try child.readLine())
    #expect(try await Self.offers("fin", "list", "--port", String(port.prefix(3))).contains(port[...]))
    #expect(try await Self.offers("fin", "list", "pyth").contains { $0.hasPrefix("python") })
  }
}
