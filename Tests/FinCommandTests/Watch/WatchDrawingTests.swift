import FinTerminal
import TestTraits
import Testing

@testable import FinCommand
@testable import FinDoctor

@Suite("The picture of fin watch, as text", .onThreads, .timeLimit(.minutes(30)))
struct WatchDrawingTests {
  struct Size: CustomTestStringConvertible {
    var columns: Int
    var rows: Int
    var testDescription: String { "\(columns)×\(rows)" }
  }

  static let sizes = [
    Size(columns: 80, rows: 24), Size(columns: 40, rows: 10), Size(columns: 200, rows: 60),
    Size(columns: 1, rows: 1), Size(columns: 12, rows: 4), Size(columns: 1000, rows: 3),
  ]

  private static let many = WatchStage.look(WatchStage.census(sockets: 1000))
  private static let strange = WatchStage.look(WatchStage.census(sockets: 100, program: WatchStage.hostile))
  private static let foreign = WatchStage.look(WatchStage.census(sockets: 100, program: WatchStage.wide))

  /// The keys that lead to each pane and each text.
  private static let views = [
    "1", "2", "3", "4", "5", "6", "1\r", "1\r\r", "1\r\r\r", "3\r", "4\r", "5\r", "6\r", "2\r", "?", "md", "y", "3y",
    "1K", "3K", "/port:1", "3/state:est\r", "3sss", "6r", " ", "3jjjjjjjjjjj", "3G", "2jj", "?jjj",
  ]

  private static let kinds = ["1", "2", "3", "4", "5", "6", "1\r", "?", "3K", "/port:1"]

  /// The picture as a terminal shows it: nothing of it is a control character, nothing is beside the screen.
  private func check(_ model: WatchModel, _ note: String) {
    let screen = WatchDrawing.draw(model)
    #expect(screen.columns == max(1, model.columns) && screen.rows == max(1, model.rows))
    var terminal = TestTerminal(columns: screen.columns, rows: screen.rows)
    terminal.receive(ScreenChange.bytes(from: nil, to: screen, hasColour: true))
    #expect(terminal.surprises == [], "\(note)")
    #expect(terminal.lines == screen.lines, "\(note)")
    for line in screen.lines { #expect(CellWidth.columns(of: line) <= screen.columns, "\(note): \(line)") }
    let scalars = screen.lines.joined().unicodeScalars
    #expect(scalars.allSatisfy { $0.value >= 0x20 && $0 != "\u{202E}" && !(0x7f..<0xa0).contains($0.value) })
  }

  @Test(
    "every pane and every text, on every size of terminal, with no socket, a thousand, and hostile and wide names",
    arguments: sizes)
  func everything(size: Size) {
    for (name, look) in [
      ("none", nil), ("empty", WatchStage.look(Census())), ("many", Self.many), ("hostile", Self.strange),
      ("wide", Self.foreign),
    ] {
      // On the other sizes, one view of each kind: a large picture takes a test long.
      for keys in size.columns <= 80 && size.rows > 4 ? Self.views : Self.kinds {
        let model = WatchStage.model(look, columns: size.columns, rows: size.rows, keys)
        check(model, "\(name), \(keys.debugDescription)")
      }
    }
  }

  @Test("a resize never breaks the picture, and keeps the choice in it")
  func resizing() {
    var model = WatchStage.model(Self.many, "3" + String(repeating: "j", count: 700))
    let key = model.cursor.key
    for (columns, rows) in [(80, 24), (40, 10), (5, 2), (1, 1), (200, 60), (80, 4), (80, 24)] {
      (model.columns, model.rows) = (columns, rows)
      model.settle()
      check(model, "\(columns)×\(rows)")
      #expect(model.cursor.key == key && model.cursor.line == 700)
      #expect((model.cursor.top..<model.cursor.top + model.room).contains(model.cursor.line))
    }
  }

  @Test("80 × 24: head, names of panes, findings as sentences with their age, states beside them, the keys below")
  func findings() throws {
    let lines = WatchStage.lines(WatchStage.model(Self.many))
    #expect(lines.count == 24)
    #expect(lines[0].hasPrefix("fin watch  ") && lines[0].contains("web-3  6.18.5") && lines[0].hasSuffix("[live 1s]"))
    for name in ["1 findings", "3 sockets 1,000", "6 programs 1"] { #expect(lines[1].contains(name)) }
    #expect(lines[2].contains(#/^\d (critical|warning)/#), "\(lines[2])")
    let finding = try #require(lines.first { $0.hasPrefix("C L1 api (pid 50)") || $0.hasPrefix("W L1 api (pid 50)") })
    #expect(finding.contains("│ "))
    #expect(lines.contains { $0.contains("│ close-wait       60") }, "\(lines)")
    #expect(lines.contains { $0.contains("│ established     940") })
    #expect(lines[23].contains("? help") && lines[23].contains("q quit"))
  }

  @Test("the lifecycle draws every state of RFC 9293 with its count, and a small terminal has them as a table")
  func lifecycle() {
    let drawing = WatchStage.lines(WatchStage.model(Self.many, "2"))
    for state in WatchLifecycle.states {
      #expect(drawing.contains { $0.contains(state.description) }, "\(state)")
    }
    #expect(drawing.contains { $0.contains("CLOSE-WAIT") && $0.contains("60") })
    let words = [
      "listen", "connect", "SYN arrives", "answered", "ACK", "close", "FIN acknowledged", "both close", "gone",
    ]
    for word in words { #expect(drawing.contains { $0.contains(word) }, "\(word)") }
    let table = WatchStage.lines(WatchStage.model(Self.many, columns: 40, rows: 24, "2"))
    for state in WatchLifecycle.states {
      #expect(table.contains { $0.hasPrefix(state.description.lowercased()) }, "\(state)")
    }
    #expect(!table.contains { $0.contains("▶") })
  }

  @Test("the tables of sockets, listeners, ports and programs have what fin list and the others show")
  func tables() {
    let sockets = WatchStage.lines(WatchStage.model(Self.many, "3"))
    #expect(sockets[2].hasPrefix("STATE") && sockets[2].hasSuffix("PROGRAM"))
    // The worst first.
    #expect(sockets[3].hasPrefix("CLOSE-WAIT") && sockets[3].contains(":8080") && sockets[3].contains("api[50] fd"))
    let programs = WatchStage.lines(WatchStage.model(Self.many, "6"))
    #expect(programs[3].hasPrefix("api[50]") && programs[3].contains("1,000") && programs[3].contains("1003/1048576"))
    #expect(WatchStage.lines(WatchStage.model(Self.many, "4"))[3] == "no listener")
    #expect(WatchStage.lines(WatchStage.model(WatchStage.look(Census()), "3"))[3] == "no socket")
  }

  @Test("listeners have their queue, and ports their use, from a record of an overflow")
  func queues() throws {
    let look = WatchStage.look(try ReportStage.record("accept-queue").census)
    let listeners = WatchStage.lines(WatchStage.model(look, "4"))
    let full = try #require(look.listeners.first { $0.overview.isFull })
    #expect(listeners.contains { $0.contains("\(full.overview.waiting)/\(full.overview.limit)") }, "\(listeners)")
    let ports = WatchStage.lines(WatchStage.model(look, "5"))
    #expect(look.budgets.isEmpty || ports[3].contains("%"), "\(ports)")
  }

  @Test("what could not be seen is counted in the head, and said behind ?")
  func hidden() {
    var census = Census()
    census.gaps.skippedNamespaces = 3
    let model = WatchStage.model(WatchStage.look(census))
    #expect(WatchStage.lines(model)[0].contains("1 hidden: ?"))
    let help = WatchStage.lines(WatchStage.model(WatchStage.look(census), "?"))
    #expect(help.contains { $0.contains("3 network namespaces could not be entered") })
    #expect(help.contains { $0.contains("shorter than the time between two looks") })
  }

  @Test("an age in a state that a socket should leave is yellow from a minute on, and red from five")
  func ages() {
    func style(_ seconds: UInt64, _ state: SocketState) -> Screen.Style {
      WatchDrawing.style(ofAge: AgeBounds(atLeast: seconds * 1000), in: state)
    }
    #expect(style(59, .closeWait) == .plain && style(60, .closeWait) == .trap && style(300, .closeWait) == .bad)
    #expect(style(86_400, .established) == .plain && style(600, .timeWait) == .plain && style(600, .finWait2) == .bad)
    let screen = WatchDrawing.draw(WatchStage.model(Self.many, "3"))
    #expect((0..<80).contains { screen[3, $0].style.colour != nil })
    let row = (0..<80).first { screen[3, $0].style.isReversed }
    #expect(row == 0)
  }

  @Test("a look that fails is said in the head and below, and the last picture stays")
  func failing() {
    var model = WatchStage.model(Self.many)
    model.take(failure: "/proc cannot be read")
    let lines = WatchStage.lines(model)
    #expect(lines[0].hasSuffix("[no look]") && lines[23].contains("/proc cannot be read"))
    #expect(lines.contains { $0.contains("L1 api (pid 50)") })
    model.take(Self.many)
    #expect(WatchStage.lines(model)[0].hasSuffix("[live 1s]"))
  }
}
