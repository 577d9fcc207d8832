import FinTerminal
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand
@testable import FinDoctor

@Suite("fin watch --at: the keys of a look of the history", .onThreads, .timeLimit(.minutes(30)))
struct WatchPastModelTests {
  private static let then = WatchStage.census([1: .listen, 2: .closeWait, 3: .established])

  private func past(_ census: Census = then, host: String = "web-3") -> WatchPast {
    var taking = WatchTaking(WatchChoice())
    var look = taking.look(at: census, [], isPast: true)
    look.hidden = ["this is 02:13:00, between the looks at 02:12:50 and 02:13:00"]
    return WatchPast(
      look: look, machine: .init(host: host, kernel: "6.1.0"), words: "--at 2026-11-29T02:13:00.250Z")
  }

  private func model(_ look: WatchPast?, _ keys: String = "") -> WatchModel {
    var model = WatchStage.model(nil)
    model.beginInThePast()
    if let look { model.take(past: look) }
    WatchStage.press(keys, on: &model)
    return model
  }

  private func has(_ model: WatchModel, _ text: String) -> Bool {
    WatchStage.lines(model).contains { $0.contains(text) }
  }

  @Test("the picture has the day and the machine of the look, and says that it is the past")
  func picture() {
    #expect(has(model(nil), "[looking]"))
    let model = model(past(host: "db-1"), "3")
    #expect(WatchStage.lines(model)[0].hasPrefix("fin watch  1970-01-01 00:00:00 UTC  db-1"))
    #expect(WatchStage.lines(model)[0].hasSuffix("[past]") && has(model, "← → other looks  b now"))
    #expect(has(model, "LISTEN"))
    #expect(has(self.model(past(), "2"), "A look of the history has no rates."))
    #expect(has(self.model(past(), "?"), "between the looks at 02:12:50 and 02:13:00"))
  }

  @Test("← and → are the looks before and after in a pane, and back and further in a text")
  func arrows() {
    var model = model(past(), "3")
    #expect(WatchStage.press("\u{1B}[D\u{1B}[C", on: &model) == [.step(.before), .step(.after)])
    #expect(WatchStage.press("\r", on: &model) == [.look] && model.overlay != nil)
    #expect(WatchStage.press("\u{1B}[D", on: &model) == [.nothing] && model.overlay == nil)
    // In the present they are as ever.
    var live = WatchStage.model(WatchStage.look(Self.then), "3")
    #expect(WatchStage.press("\u{1B}[D\u{1B}[C", on: &live) == [.nothing, .look] && live.overlay != nil)
  }

  @Test("a look of the present does not replace the one of the history, and b goes there and back")
  func between() {
    var model = model(past(), "3")
    let now = WatchStage.look(WatchStage.census(sockets: 70))
    model.take(now)
    #expect(model.look?.rows.count == 3)
    #expect(WatchStage.press("b", on: &model) == [.look] && model.look?.rows.count == 70 && has(model, "[live 1s]"))
    // An answer that comes late stays in the background.
    model.take(past: past(WatchStage.census([8: .listen])))
    #expect(model.look?.rows.count == 70)
    #expect(WatchStage.press("b", on: &model) == [.nothing] && model.look?.rows.count == 1 && has(model, "[past]"))
    var early = self.model(past(), "b")
    #expect(early.look == nil && has(early, "looking …"))
    early.take(now)
    #expect(early.look?.rows.count == 70)
  }

  @Test("b stays in the history of another machine, and has no meaning without --at")
  func otherMachine() {
    let other = model(past(host: "db-1"), "b")
    #expect(other.isPast && other.message == "the history is of db-1, and this machine is web-3")
    let live = WatchStage.model(WatchStage.look(Self.then), "b")
    #expect(!live.isPast && live.message?.contains("fin watch --at") == true)
    #expect(!model(nil, "b").isPast || model(nil, "b").look == nil)
  }

  @Test("K ends nothing in the past, Space freezes nothing, and y names the moment")
  func limits() {
    let ending = model(past(), "3jK")
    #expect(ending.input == nil && ending.message?.hasPrefix("this is the past") == true)
    #expect(model(past(), " ").message?.hasPrefix("a look of the history stands still") == true)
    #expect(
      model(past(), "6y").overlayLines.contains { $0.hasSuffix("--at 2026-11-29T02:13:00.250Z") })
  }

  @Test("the difference from a mark says how much earlier or later the look is, also across a start of the machine")
  func difference() {
    var taking = WatchTaking(WatchChoice())
    var later = Self.then
    later.when = Census.Moment(monotonic: 1, wall: 7_200_000_000_000)
    var model = model(past(), "m")
    WatchStage.press("b", on: &model)
    model.take(taking.look(at: later, []))
    WatchStage.press("d", on: &model)
    #expect(model.overlayLines.first == "from the mark at 1970-01-01 00:00:00 UTC to this look, 2 h later:")
    var back = WatchStage.model(taking.look(at: later, []), "m")
    back.beginInThePast()
    back.take(past: past())
    WatchStage.press("d", on: &back)
    #expect(back.overlayLines.first?.hasSuffix("to this look, 2 h earlier:") == true, "\(back.overlayLines)")
  }
}

@Suite("fin watch --at shows looks of a history", .needsRecorder, .onThreads, .timeLimit(.minutes(30)))
struct WatchPastTests {
  /// 2026-11-29 23:59:30 UTC: the third look is in the file of the next day.
  private static let begin: Int64 = 1_795_996_770_000

  /// Writes looks, 20 s after each other, each with one connection more in CLOSE-WAIT.
  private func history(_ count: Int, from begin: Int64, host: String) throws -> HistoryPlaceOnDisk {
    try WrittenHistory.of((0..<count).map { WatchStage.census(sockets: 60 + $0) }, from: begin, host: host)
  }

  @Test("one look after the other, forward and back, also from one file to the next, up to both ends")
  func steps() throws {
    let place = try history(4, from: Self.begin, host: "db-1")
    #expect(place.names.count { $0.hasSuffix(".fin") } == 2, "\(place.names)")
    let choice = WatchChoice(threshold: .info)
    var looks = WatchPastLooks(
      HistoryFolder(place.path), isNamed: true, Census.Options(), namespace: nil, choice)
    var taking = WatchTaking(choice)
    let first = try looks.look(at: Self.begin + 25_000, &taking)
    #expect(first.look.rows.count == 61 && first.machine.host == "db-1" && first.look.flows == nil && first.look.isPast)
    #expect(first.words == "--at 2026-11-29T23:59:50.000Z --directory \(place.path)")
    #expect(first.look.hidden.contains { $0.contains("between the looks at ") }, "\(first.look.hidden)")
    var counts: [Int] = []
    while let look = try looks.look(.after, &taking) { counts.append(look.look.rows.count) }
    #expect(counts == [62, 63])
    counts = []
    while let look = try looks.look(.before, &taking) {
      counts.append(look.look.rows.count)
      #expect(look.look.flows == nil)
    }
    #expect(counts == [62, 61, 60])
    // The same finding has the same number in each of them.
    let known = try #require(first.look.findings.first { $0.finding.id.rawValue == "L1" })
    let again = try #require(try looks.look(.after, &taking))
    #expect(again.look.findings.contains { $0.number == known.number && $0.finding.id == known.finding.id })
    let subject = try #require(known.subject)
    #expect(looks.lines(about: subject, columns: 80).contains { $0.contains("CLOSE-WAIT") })
    #expect(try looks.subject()?.origin.isPast == true)
    // The next look of the present is compared with none of the history.
    #expect(taking.look(at: WatchStage.census(sockets: 5), []).flows == nil)
    #expect(throws: HistoryFault.self) { try looks.look(at: Self.begin - 1, &taking) }
  }

  @Test(
    "on a terminal: the look, the one before, the ends, the life of a socket, the present and back",
    .enabled(if: Programs.find("setsid") != nil, "needs setsid"))
  func terminal() throws {
    let place = try history(3, from: Self.begin, host: ReportOrigin.thisMachine().host ?? "")
    let terminal = try WatchedTerminal(
      "--own-namespace", "--at", "2026-11-30T00:00:10Z", "--directory", place.path, columns: 100)
    try terminal.see("a look of the history") { $0.lines[0].hasSuffix("[past]") && $0.lines[1].contains("sockets 62") }
    for (key, text) in [
      ("\u{1B}[D", "sockets 61"), ("\u{1B}[D", "sockets 60"), ("\u{1B}[D", "this is the first look of the history"),
      ("\u{1B}[C", "sockets 61"), ("3\r", "The peer has finished"), ("\u{1B}", "STATE"),
      ("b", "[live |looks are slow]"), ("b", "[past]"),
    ] {
      try terminal.type(key)
      try terminal.see(text) { terminal in
        terminal.lines.contains { line in text.split(separator: "|").contains { line.contains($0) } }
      }
    }
    #expect(terminal.screen.surprises == [])
    try terminal.type("q")
    #expect(try terminal.child.wait() == .exited(0) && terminal.isRestored())
  }

  @Test(
    "no history, or no look at the time: the terminal is as it was, with the sentence and the status",
    .enabled(if: Programs.find("setsid") != nil, "needs setsid"))
  func failing() throws {
    let none = try WatchedTerminal("--at", "02:13", "--directory", "/no/such/folder", columns: 200)
    #expect(try none.child.wait() == .exited(66))
    try none.see(text: "fin record writes one")
    #expect(try none.isRestored())
    let place = try history(1, from: Self.begin, host: "db-1")
    let early = try WatchedTerminal("--at", "2020-01-01", "--directory", place.path, columns: 200)
    #expect(try early.child.wait() == .exited(69))
    try early.see(text: "no look so early; it reaches from ")
    #expect(try early.isRestored())
  }

  @Test("--at is for the picture, and --directory for --at")
  func refused() async throws {
    for words in [["--at", "02:13", "--lines"], ["--at", "now", "--json"], ["--directory", "x"], ["--at", "soon"]] {
      #expect(try await Fin.run(["watch"] + words).status == 64, "\(words)")
    }
  }
}
