import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand

@Suite(
  "fin watch on a terminal",
  .enabled(if: Programs.find("setsid") != nil, "needs setsid, to make a terminal the controlling one"),
  .onThreads, .timeLimit(.minutes(30)))
struct WatchTerminalTests {
  @Test("a picture, each pane by its key, and q: status 0, and the terminal is as it was")
  func panes() throws {
    let terminal = try WatchedTerminal("--own-namespace")
    try terminal.seePicture()
    #expect(terminal.lines[0].hasPrefix("fin watch  ") && terminal.lines.count == 24)
    #expect(terminal.screen.modes == [1049] && terminal.screen.surprises == [])
    for (key, text) in [
      ("2", "ESTABLISHED"), ("3", "STATE"), ("4", "LISTENER"), ("5", "ROUTE"), ("6", "PROGRAM"), ("1", "│ STATE"),
      ("?", "what could not be seen|Nothing is hidden|What this look could not see"), ("\u{1B}", "│ STATE"),
      (" ", "[frozen]"), (" ", "[live |looks are slow]"), ("/zzz", "/zzz"), ("\r", "filter zzz"),
    ] {
      try terminal.type(key)
      try terminal.see(text) { terminal in
        terminal.lines.contains { line in text.split(separator: "|").contains { line.contains($0) } }
      }
    }
    try terminal.type("q")
    #expect(try terminal.child.wait() == .exited(0))
    #expect(try terminal.isRestored() && terminal.screen.surprises == [])
  }

  @Test(
    "every way out gives the terminal back, and ends as that signal ends a program",
    arguments: [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGSEGV, SIGILL, SIGABRT, SIGTRAP])
  func signals(number: CInt) throws {
    let terminal = try WatchedTerminal("--own-namespace", "--every", "10s")
    try terminal.seePicture()
    #expect(try !terminal.isRestored())
    kill(terminal.number, number)
    // setsid says that it was a signal.
    // Of a program that left a core, with 0x80.
    #expect(try [.exited(number), .exited(number | 0x80)].contains(terminal.child.wait()))
    #expect(try terminal.isRestored())
  }

  @Test("Ctrl-C too, also while a filter is typed")
  func interrupt() throws {
    let terminal = try WatchedTerminal("--own-namespace")
    try terminal.seePicture()
    try terminal.type("/abc\u{3}")
    #expect(try terminal.child.wait() == .exited(SIGINT))
    #expect(try terminal.isRestored())
  }

  @Test("an error before the first picture gives the terminal back, with its sentence")
  func failing() throws {
    let terminal = try WatchedTerminal("--namespace", "no-such-one")
    #expect(try terminal.child.wait() == .exited(69))
    try terminal.see(text: "no visible network namespace is called no-such-one")
    #expect(try terminal.isRestored())
  }

  @Test("a terminal that is gone ends the program")
  func hangUp() throws {
    let terminal = try WatchedTerminal("--own-namespace", "--every", "10s")
    try terminal.seePicture()
    terminal.hangUp()
    // By SIGHUP, or by the error of the terminal, whichever comes first.
    #expect(try [.exited(SIGHUP), .exited(74)].contains(terminal.child.wait()))
  }

  @Test("a resize draws the picture anew, and SIGCONT too")
  func resize() throws {
    let terminal = try WatchedTerminal("--own-namespace", "--every", "1min")
    try terminal.see(text: "[live 60s]")
    for (columns, rows) in [(40, 10), (200, 60), (20, 5), (80, 24)] {
      terminal.resize(columns: columns, rows: rows)
      try terminal.see("\(columns)×\(rows)") {
        $0.lines[0].hasPrefix("fin watch") && $0.lines[0].hasSuffix("[live 60s]") && !$0.lines[rows - 1].isEmpty
      }
      #expect(terminal.screen.surprises == [])
    }
    terminal.resize(columns: 80, rows: 23)
    try terminal.see("a smaller one") { !$0.lines[22].isEmpty }
    kill(terminal.number, SIGCONT)
    try terminal.type("q")
    #expect(try terminal.child.wait() == .exited(0) && terminal.isRestored())
  }

  private static let hasPyte: Bool = {
    guard let python = Programs.find("python3") else { return false }
    let question = "import importlib.util, sys; sys.exit(importlib.util.find_spec('pyte') is None)"
    return (try? withChild(python, ["-c", question]) { try $0.wait() }) == .exited(0)
  }()

  @Test(
    "pyte, a terminal that is not Fin's, shows each pane and key, another size, and every way out",
    .enabled(if: hasPyte, "needs pyte: python3 -m pip install pyte"))
  func pyte() async throws {
    let root = #filePath.split(separator: "/").dropLast(4).map { "/" + $0 }.joined()
    let run = try await Fin.shell("FIN=\"$0\" exec python3 -B '\(root)/Tests/watch' --quick 2>&1")
    #expect(run.status == 0, "\(run.output)")
  }

  @Test("NO_COLOR is heeded")
  func colours() async throws {
    let terminal = try WatchedTerminal("--own-namespace", "--no-color", "--threshold", "info")
    try terminal.seePicture()
    try terminal.type("2")
    try terminal.see(text: "ESTABLISHED")
    #expect(terminal.screen.cells.allSatisfy { $0.allSatisfy { $0.codes.isDisjoint(with: 30...37) } })
    #expect(terminal.screen.cells.contains { $0.contains { $0.codes.contains(7) } })
  }

  @Test(
    "the name of a program sends no control sequence",
    .enabled(if: Programs.find("python3") != nil && Privileges.canMakeNamespaces, "needs python3, as root"))
  func hostile() throws {
    let network = try NetworkNamespace()
    let script = """
      import socket, sys
      name = b"\\x1b[2J\\x9b31m\\x1b]0;x"
      open("/proc/self/comm", "wb").write(name)
      s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen()
      u = socket.socket(socket.AF_UNIX); u.bind(b"\\0\\x1b[2J\\x1b]0;evil\\x07"); u.listen()
      print("ready", flush=True); sys.stdin.read()
      """
    let python = Programs.find("python3") ?? ""
    let other = try network.run { try Child.spawn(python, ["-c", script, "\u{1B}[2J\u{1B}]0;arg\u{7}"]) }
    defer { other.end() }
    #expect(try other.readLine() == "ready")
    let terminal = try WatchedTerminal("--own-namespace", "\(other.number)", in: network)
    try terminal.seePicture()
    for (key, text) in [
      ("3", "LISTEN"), ("4", "unix"), ("6", "x1b"), ("y", "x1b[2J"), ("\u{1B}", "SOCKETS"), ("3", "LISTEN"),
      ("\r", "held by"),
    ] {
      try terminal.type(key)
      try terminal.see(text: text)
    }
    #expect(terminal.screen.surprises == [])
    try terminal.type("q")
    #expect(try terminal.child.wait() == .exited(0) && terminal.isRestored())
  }

  @Test(
    "K and the typed count end a connection; with another count it goes on",
    .enabled(if: Privileges.canMakeNamespaces, "needs the right to make network namespaces: run as root"))
  func ending() throws {
    let network = try NetworkNamespace()
    let listener = try network.run { try PlainSocket.listening(on: "127.0.0.1") }
    let port = listener.port
    let client = try network.run { try PlainSocket.connected(to: "127.0.0.1", port: port) }
    let server = try listener.accept()
    let terminal = try WatchedTerminal("--own-namespace", "--every", "200ms", in: network)
    try terminal.seePicture()
    try terminal.type("3/state:established port:\(port)\r")
    try terminal.see(text: "ESTABLISHED")
    try terminal.type("K2\r")
    try terminal.see(text: "nothing was ended: the number is 1")
    try client.send([7])
    #expect(try server.receive() == [7])
    try terminal.type("K1\r")
    try terminal.see(text: "destroyed")
    #expect(client.awaitEnd() != 0 || server.awaitEnd() != 0)
    try terminal.type("\u{1B}")
    try terminal.see(text: "nothing fits the filter")
    try terminal.type("q")
    #expect(try terminal.child.wait() == .exited(0))
  }
}

@Suite("fin watch without a terminal", .onThreads, .timeLimit(.minutes(30)))
struct WatchLinesTests {
  @Test("without --lines or --json it is an error that names them")
  func noTerminal() async throws {
    let fin = try await Fin.run("watch", "--own-namespace")
    #expect(fin.status == 64 && fin.output.isEmpty)
    #expect(fin.complaints.contains("--lines") && fin.complaints.contains("--json"), "\(fin.complaints)")
    #expect(try await Fin.run("watch", "--lines", "--json").status == 64)
    #expect(try await Fin.run("watch", "--lines", "--every", "10ms").status == 64)
    #expect(try await Fin.run("watch", "--lines", "--namespace", "no-such-one").status == 69)
    #expect(try await Fin.run("watch", "--json", "--mute", "/no/such/file").status == 66)
  }

  @Test("--lines: a finding stands, worsens, ends, a line each with its time", .needsScenes)
  func lines() throws {
    let leak = try Stage("fd_limit", "95", "close-wait")
    defer { leak.child.end() }
    let watch = try Talker(["watch", "--lines", "--every", "200ms", "--no-bpf", "\(leak.child.number)"])
    let line = try #require(try watch.child.readLine())
    let form = #/^20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC  stands    (warning |critical)  L\d [a-z-]+  .*\(pid/#
    #expect(line.contains(form), "\(line)")
    leak.child.end()
    var seen: [String] = []
    while let line = try watch.child.readLine() {
      seen.append(line)
      if line.contains("  ended     "), line.contains("L4 fd-limit") { break }
    }
    #expect(seen.allSatisfy { $0.contains(#/ UTC  (stands|worsened|ended|began) /#) }, "\(seen)")
    watch.child.signal(SIGTERM)
    #expect(try watch.child.wait() == .signalled(SIGTERM))
  }

  @Test("--json: an object a line, as fin help json says", .needsScenes)
  func json() async throws {
    let leak = try Stage("fd_limit", "95", "close-wait")
    defer { leak.child.end() }
    let watch = try Talker(["watch", "--json", "--every", "200ms", "\(leak.child.number)"])
    let page = try await Fin.run("help", "json", "watch", columns: 1000)
    #expect(page.output.hasPrefix("fin watch --json prints one object a line"))
    for kind in ["watches", "stands"] {
      let line = try #require(try watch.child.readLine())
      #expect(line.contains("\"event\":\"\(kind)\""), "\(line)")
      try SchemaTests.expect(Fin(status: 0, output: line, complaints: ""), toHave: page)
    }
    leak.child.end()
    while let line = try watch.child.readLine() {
      try SchemaTests.expect(Fin(status: 0, output: line, complaints: ""), toHave: page)
      if line.contains("\"event\":\"ended\"") { break }
    }
  }

  @Test("a reader that is gone ends it, also when nothing changes", .needsScenes)
  func deadPipe() async throws {
    let leak = try Stage("fd_limit", "95", "close-wait")
    defer { leak.child.end() }
    // This finding is there from the first look on and does not change, so that nothing is written later.
    let words = "watch \(leak.child.number) --json --every 200ms --only fd-limit"
    let fin = try await Fin.shell("(trap '' PIPE; \"$0\" \(words); echo \"status $?\" >&2) | head -n 1")
    #expect(fin.lines.count == 1 && fin.complaints.contains("status 74"), "\(fin)")
    let usual = try await Fin.shell("(\"$0\" \(words); echo \"status $?\" >&2) | head -n 1")
    #expect(usual.complaints.contains("status 141"), "\(usual)")
  }
}
