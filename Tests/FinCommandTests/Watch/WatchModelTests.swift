import FinTerminal
import TestTraits
import Testing

@testable import FinCommand
@testable import FinDoctor

@Suite("The keys of fin watch", .onThreads, .timeLimit(.minutes(30)))
struct WatchModelTests {
  private static let many = WatchStage.look(WatchStage.census(sockets: 1000))

  private func effects(_ keys: String, _ look: WatchLook? = many) -> [WatchEffect] {
    var model = WatchStage.model(look)
    return WatchStage.press(keys, on: &model)
  }

  private func has(_ model: WatchModel, _ text: String) -> Bool {
    WatchStage.lines(model).contains { $0.contains(text) }
  }

  @Test("1 to 6 and Tab show the panes")
  func panes() {
    for pane in WatchPane.allCases { #expect(WatchStage.model(Self.many, "\(pane.rawValue)").pane == pane) }
    var model = WatchStage.model(Self.many)
    for pane in WatchPane.allCases.dropFirst() + [.findings] {
      WatchStage.press("\t", on: &model)
      #expect(model.pane == pane)
    }
    WatchStage.press("7890", on: &model)
    #expect(model.pane == .findings)
  }

  @Test("arrows, j and k, pages, the first and the last line")
  func moving() {
    var model = WatchStage.model(Self.many, "3")
    func expect(_ keys: String, _ line: Int) {
      WatchStage.press(keys, on: &model)
      #expect(model.cursor.line == line, "\(keys.debugDescription)")
      #expect((model.cursor.top..<model.cursor.top + model.room).contains(line))
    }
    expect("jj\u{1B}[B", 3)
    expect("k\u{1B}[A\u{1B}OA", 0)
    expect("k", 0)
    expect("\u{1B}[6~", model.room)
    expect("G", 999)
    expect("j", 999)
    expect("\u{1B}[5~", 999 - model.room)
    expect("\u{1B}[H", 0)
  }

  @Test("the chosen line stays with its socket when others come before it, and with its place when it is gone")
  func following() {
    var taking = WatchTaking(WatchChoice())
    let states = Dictionary(uniqueKeysWithValues: (10..<40).map { (UInt64($0), SocketState.closeWait) })
    var model = WatchStage.model(taking.look(at: WatchStage.census(states), []), "3jjjj")
    let chosen = model.cursor.key
    #expect(chosen == .subject(.socket(14)))
    model.take(
      taking.look(at: WatchStage.census(states.merging([1: .closeWait, 2: .closeWait]) { $1 }), []))
    #expect(model.cursor.key == chosen && model.cursor.line == 6)
    var rest = states
    rest[14] = nil
    model.take(taking.look(at: WatchStage.census(rest), []))
    #expect(model.cursor.line == 6 && model.cursor.key == .subject(.socket(17)))
    model.take(taking.look(at: WatchStage.census([3: .closeWait]), []))
    #expect(model.cursor.line == 0 && model.cursor.key == .subject(.socket(3)))
  }

  @Test("Enter on a finding: evidence, then the fix, then the life of its oldest socket; Esc goes back, step by step")
  func entering() throws {
    var model = WatchStage.model(Self.many)
    let finding = try #require(Self.many.findings.first).finding
    #expect(WatchStage.press("\r", on: &model) == [.nothing])
    #expect(has(model, "\(finding.id): evidence") && has(model, "confidence") && has(model, "evidence      "))
    WatchStage.press("\r", on: &model)
    #expect(has(model, ": fix") && has(model, "change") && has(model, "with Fin") && model.wanted == nil)
    #expect(WatchStage.press("\r", on: &model) == [.look])
    let subject = try #require(model.wanted)
    #expect(has(model, "looking …"))
    model.take(explanation: ["CLOSE-WAIT  api", "life"], of: .socket(999_999))
    #expect(has(model, "looking …"))
    model.take(explanation: ["CLOSE-WAIT  api", "life"], of: subject)
    #expect(has(model, "CLOSE-WAIT  api"))
    WatchStage.press("\u{1B}", on: &model)
    #expect(has(model, ": fix"))
    WatchStage.press("\u{1B}\u{1B}", on: &model)
    #expect(model.overlay == nil && model.wanted == nil)
  }

  @Test("Enter on a socket asks for its life at once; on a state or a program, it shows their sockets")
  func others() {
    var model = WatchStage.model(Self.many, "3")
    #expect(WatchStage.press("\r", on: &model) == [.look] && model.wanted != nil)
    let place = Self.many.states.firstIndex { $0.name == "CLOSE-WAIT" } ?? 0
    let state = WatchStage.model(Self.many, "2" + String(repeating: "j", count: place) + "\r")
    #expect(state.pane == .sockets && state.lines.count == 60 && state.filterText == "state:close-wait")
    let program = WatchStage.model(Self.many, "6\r")
    #expect(program.pane == .sockets && program.lines.count == 1000 && program.filterText == "program:[50]")
  }

  @Test("/ filters, and an empty filter or Esc shows all again")
  func filtering() {
    var model = WatchStage.model(Self.many, "3/state:close-wait\r")
    #expect(model.lines.count == 60 && has(model, "filter state:close-wait"))
    WatchStage.press("\u{1B}", on: &model)
    #expect(model.lines.count == 1000)
    WatchStage.press("/port:8081\r", on: &model)
    #expect(model.lines.isEmpty && has(model, "nothing fits the filter port:8081"))
    // The next filter begins with the last one; Ctrl-U empties it.
    WatchStage.press("/\u{15}\r", on: &model)
    #expect(model.lines.count == 1000)
    WatchStage.press("/qjk8\u{7F}", on: &model)
    #expect(model.input == .filter("qjk") && has(model, "/qjk"))
    WatchStage.press("\u{1B}", on: &model)
    #expect(model.input == nil && model.filter.isEmpty)
    WatchStage.press("/age>long\r", on: &model)
    #expect(model.filter.isEmpty && has(model, "age needs a time"))
  }

  @Test("s sorts by the next quantity, and r reverses")
  func sorting() {
    var model = WatchStage.model(Self.many, "3s")
    func ages() -> [UInt64] { model.lines.map { Self.many.rows[$0].since.lower } }
    #expect(model.sort == .age && ages() == ages().sorted(by: >) && has(model, "sorted by age"))
    WatchStage.press("r", on: &model)
    #expect(ages() == ages().sorted(by: <) && has(model, "sort:age reversed"))
    for pane in WatchPane.allCases where !pane.sorts.isEmpty {
      var model = WatchStage.model(Self.many, "\(pane.rawValue)")
      let count = model.lines.count
      for sort in pane.sorts.dropFirst() + pane.sorts.prefix(1) {
        WatchStage.press("s", on: &model)
        #expect(model.sort == sort && model.lines.count == count)
      }
    }
  }

  @Test("Space freezes the picture: looks go on, and the newest is shown afterwards")
  func freezing() {
    var model = WatchStage.model(Self.many, " ")
    #expect(has(model, "[frozen]"))
    model.take(WatchStage.look(WatchStage.census(sockets: 70)))
    #expect(model.look?.rows.count == 1000 && model.newest?.rows.count == 70)
    WatchStage.press(" ", on: &model)
    #expect(model.look?.rows.count == 70 && has(model, "[live 1s]"))
  }

  @Test("m marks a look, and d shows the findings and sockets that came and ended since")
  func difference() {
    var taking = WatchTaking(WatchChoice())
    func look(_ census: Census) -> WatchLook { taking.look(at: census, Diagnosis.findings(in: census)) }
    var model = WatchStage.model(look(WatchStage.census(sockets: 30)), "d")
    #expect(model.message == "there is no mark: m sets it")
    WatchStage.press("m", on: &model)
    model.take(look(WatchStage.census(sockets: 45)))
    model.take(look(WatchStage.census([1: .closeWait, 2: .established, 77: .listen])))
    WatchStage.press("d", on: &model)
    let lines = model.overlayLines.joined(separator: "\n")
    #expect(lines.contains("ended: ") && lines.contains("L1 close-wait-known"), "\(lines)")
    #expect(lines.contains("CLOSE-WAIT 30 to 1 (-29)") && lines.contains("LISTEN 0 to 1 (+1)"))
    #expect(lines.contains("sockets that came: 1\n  1 LISTEN of -"))
    #expect(lines.contains("sockets that ended: 28\n  28 CLOSE-WAIT of api[50]"))
    WatchStage.press("d", on: &model)
    #expect(model.overlay == nil)
  }

  @Test("K lists the sockets of a line, and ends them only if their number was typed")
  func ending() throws {
    let row = WatchStage.model(Self.many, "3K")
    #expect(row.input == .count("") && has(row, "Type 1 and Enter to end this socket"))
    #expect(has(row, "compares the cookie"))
    #expect(effects("3K1\r").last == .end([try target(of: row)]))
    for wrong in ["3K2\r", "3K\r", "3K01x\r", "3Ky\r"] {
      #expect(effects(wrong).allSatisfy { $0 == .nothing }, "\(wrong)")
    }
    var left = WatchStage.model(Self.many, "3K1")
    WatchStage.press("\u{1B}", on: &left)
    #expect(left.input == nil && left.overlay == nil && WatchStage.press("\r", on: &left) == [.look])
    // All sockets of a finding, from its line and from its text.
    for keys in ["1K60\r", "1\rK60\r"] {
      guard case .end(let targets) = effects(keys).last else {
        Issue.record("\(keys.debugDescription) ends nothing")
        continue
      }
      #expect(Set(targets.map(\.cookie)) == Set(1...60))
    }
    #expect(effects("1K6\r").allSatisfy { $0 == .nothing })
    #expect(effects("6K").last == .nothing && effects("2K").last == .nothing)
  }

  private func target(of model: WatchModel) throws -> WatchTarget {
    guard case .ending(let targets) = model.overlay else { throw Missing() }
    return try #require(targets.first)
  }

  private struct Missing: Error {}

  @Test("a listener, an MPTCP connection and a descriptor in no table are not ended")
  func spared() {
    var census = WatchStage.census([1: .listen])
    var path = InetSocket()
    (path.cookie, path.transport, path.remotePort) = (2, .mptcp, 5)
    census.sockets.append(path)
    var model = WatchStage.model(WatchStage.look(census), "3K")
    #expect(model.input == nil && model.message?.contains("cannot be ended") == true || model.message != nil)
    WatchStage.press("jK", on: &model)
    #expect(model.input == nil && model.message?.hasPrefix("nothing here can be ended") == true)
  }

  @Test("w writes a report, ? shows help, q quits, Ctrl-C interrupts, Ctrl-Z stops, Ctrl-L draws again")
  func rest() {
    #expect(effects("w") == [.report] && effects("q") == [.quit] && effects("\u{3}") == [.interrupt])
    #expect(effects("\u{1A}") == [.stop] && effects("\u{C}") == [.redraw])
    // Also while a filter is typed.
    #expect(effects("/q\u{3}").last == .interrupt && effects("/q").last == .nothing)
    #expect(effects("?q").last == .quit && effects("1\rq").last == .quit)
    var help = WatchStage.model(Self.many, "?")
    for key in ["1 - 6", "Enter", "Space", "m  d", "K", "w", "y", "? q"] {
      #expect(help.overlayLines.contains { $0.hasPrefix(key) }, "\(key)")
    }
    WatchStage.press("?", on: &help)
    #expect(help.overlay == nil)
  }

  @Test("y shows the command that shows the same, and the program's own")
  func command() {
    #expect(WatchStage.model(Self.many, "1y").overlayLines.contains("  fin check 50 --only L1"))
    let socket = WatchStage.model(Self.many, "3y").overlayLines
    #expect(socket.contains { $0.hasPrefix("  fin explain 50:") } && socket.contains("  api --serve"))
    #expect(WatchStage.model(Self.many, "6y").overlayLines.contains("  fin list 50"))
    #expect(WatchStage.model(Self.many, "2y").overlayLines.contains("  fin list --state listen"))
  }

  @Test("before the first look, no key does harm")
  func early() {
    for key in "123456jkgGsr md?yKw/\r\t" {
      let model = WatchStage.model(nil, "\(key)")
      #expect(model.look == nil && WatchStage.lines(model).count == 24)
    }
  }
}

@Suite("The filter of fin watch", .onThreads, .timeLimit(.minutes(30)))
struct WatchFilterTests {
  private static let look = WatchStage.look(WatchStage.census(sockets: 300))

  private func count(_ text: String) throws -> Int {
    let filter = try WatchFilter(text)
    return Self.look.rows.count { filter.allows($0, in: Self.look) }
  }

  @Test("each word selects what it says")
  func words() throws {
    #expect(try count("") == 300)
    #expect(try count("state:close-wait") == 60 && count("state:closew") == 60 && count("state:CLOSE_WAIT") == 60)
    #expect(try count("state:estab") == 240 && count("state:listen") == 0)
    #expect(try count("port:8080") == 300 && count("port:8081") == 0)
    let row = Self.look.rows[7]
    #expect(try count("port:\(row.remotePort)") >= 1)
    #expect(try count("peer:\(row.remote)") == Self.look.rows.count { $0.remote == row.remote })
    #expect(try count("peer:192.168.") == 300 && count("peer:10.") == 0)
    #expect(try count("program:api") == 300 && count("program:API") == 300 && count("program:nginx") == 0)
    let old = Self.look.rows.count { $0.since.lower >= 300_000 }
    #expect(try count("age>5m") == old && old > 0 && old < 300)
    #expect(try count("age<5m") == Self.look.rows.count { $0.since != .unknown && $0.since.lower <= 300_000 })
    #expect(try count("close-wait") == 60 && count("api close-wait") == 60 && count("api nothing") == 0)
    #expect(try count("state:close-wait port:8080 program:api age>1ms") <= 60)
  }

  @Test("it selects findings by their programs, ages and sockets")
  func findings() throws {
    func count(_ text: String) throws -> Int {
      let filter = try WatchFilter(text)
      return Self.look.findings.count { filter.allows($0, in: Self.look) }
    }
    let all = Self.look.findings.count
    #expect(try all > 0 && count("program:api") == all && count("program:x") == 0)
    #expect(try count("state:close-wait") >= 1 && count("state:last-ack") == 0 && count("l1") == 1)
  }

  @Test(
    "a word that is no filter is refused with the reason",
    arguments: ["port:0", "port:x", "port:99999", "state:", "state:open", "age>", "age>5y", "age<-1"])
  func refused(text: String) {
    #expect(throws: WatchFilter.Problem.self) { try WatchFilter(text) }
  }
}
