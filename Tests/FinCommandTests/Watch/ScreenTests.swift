import TestTraits
import Testing

@testable import FinTerminal

@Suite("A picture of cells, and the bytes that show it", .onThreads, .timeLimit(.minutes(30)))
struct ScreenTests {
  /// A source of numbers that gives the same ones in each run.
  private struct Numbers: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state ^ state >> 29
    }
  }

  private static let letters = ["a", "b", "世", "é", "e\u{301}", "😀", " ", "─", "한", "…"]
  private static let styles: [Screen.Style] = [.plain, .bad, .trap, .quiet, .heading, Screen.Style(.cyan).reversed]

  private func scribble(_ screen: inout Screen, _ numbers: inout Numbers, times: Int) {
    for _ in 0..<times {
      let text = (0..<Int.random(in: 0...9, using: &numbers)).map { _ in
        Self.letters.randomElement(using: &numbers) ?? ""
      }
      screen.put(
        text.joined(), Int.random(in: 0..<screen.rows, using: &numbers),
        Int.random(in: 0..<screen.columns, using: &numbers), Self.styles.randomElement(using: &numbers) ?? .plain)
    }
  }

  private func expect(_ terminal: TestTerminal, toShow screen: Screen, _ note: String) {
    for row in 0..<screen.rows {
      for column in 0..<screen.columns {
        let (cell, shown) = (screen[row, column], terminal.cells[row][column])
        guard cell.text == shown.text else {
          Issue.record("\(note): \(row), \(column): \(cell.text) and not \(shown.text)")
          return
        }
        if cell.text != " " || cell.style.isReversed {
          #expect(shown.codes.contains(7) == cell.style.isReversed && shown.codes.contains(1) == cell.style.isBold)
          #expect(cell.style.colour.map { shown.codes.contains(Int($0.rawValue)) } != false)
        }
      }
    }
    #expect(terminal.surprises == [] && !terminal.modes.contains(2026))
  }

  @Test("whatever stood there, the difference of two pictures leads from one to the other", arguments: 1...40)
  func difference(seed: UInt64) {
    var numbers = Numbers(state: seed)
    let columns = Int.random(in: 1...30, using: &numbers)
    let rows = Int.random(in: 1...5, using: &numbers)
    var terminal = TestTerminal(columns: columns, rows: rows)
    terminal.receive(ScreenChange.beginning.utf8)
    var before: Screen?
    var screen = Screen(columns: columns, rows: rows)
    for step in 0..<12 {
      if Bool.random(using: &numbers) { screen = Screen(columns: columns, rows: rows) }
      scribble(&screen, &numbers, times: Int.random(in: 0...6, using: &numbers))
      terminal.receive(ScreenChange.bytes(from: before, to: screen, hasColour: true))
      expect(terminal, toShow: screen, "seed \(seed), step \(step)")
      before = screen
    }
  }

  @Test("an unchanged picture costs no byte, and one changed cell only a few")
  func small() {
    var screen = Screen(columns: 200, rows: 60)
    for row in 0..<60 { screen.put(String(repeating: "x", count: 200), row, 0) }
    #expect(ScreenChange.bytes(from: screen, to: screen, hasColour: true) == [])
    var other = screen
    other.put("y", 30, 100)
    let bytes = ScreenChange.bytes(from: screen, to: other, hasColour: true)
    #expect(bytes.count < 50 && String(decoding: bytes, as: UTF8.self).contains("\u{1B}[31;101Hy"))
  }

  @Test("another size is a new picture")
  func resized() {
    let before = Screen(columns: 10, rows: 2)
    var after = Screen(columns: 4, rows: 3)
    after.put("abcd", 2, 0)
    var terminal = TestTerminal(columns: 4, rows: 3)
    terminal.receive(Array("rest".utf8))
    terminal.receive(ScreenChange.bytes(from: before, to: after, hasColour: true))
    #expect(terminal.lines == ["", "", "abcd"])
  }

  @Test("without colour, bold and reversed text remain")
  func plain() {
    var screen = Screen(columns: 5, rows: 1)
    screen.put("abc", 0, 0, Screen.Style.bad.reversed)
    let text = String(decoding: ScreenChange.bytes(from: nil, to: screen, hasColour: false), as: UTF8.self)
    #expect(text.contains("\u{1B}[0;1;7mabc") && !text.contains("31"))
    #expect(String(decoding: ScreenChange.bytes(from: nil, to: screen, hasColour: true), as: UTF8.self).contains("31"))
  }

  @Test("no text gets a control sequence onto the terminal")
  func hostile() {
    let texts = [
      "\u{1B}[2J", "\u{1B}]0;title\u{7}", "\u{9B}31m", "a\nb\r\t\u{8}\u{7F}", "\u{90}q\u{9C}", "\u{202E}abc",
      "\u{2028}", "\u{FEFF}", "x\u{0}y",
    ]
    for text in texts {
      var screen = Screen(columns: 20, rows: 1)
      screen.put(text, 0, 0)
      var terminal = TestTerminal(columns: 20, rows: 1)
      let bytes = ScreenChange.bytes(from: nil, to: screen, hasColour: true)
      terminal.receive(bytes)
      #expect(terminal.surprises == [], "\(text.debugDescription)")
      #expect(!terminal.lines[0].unicodeScalars.contains { $0.properties.generalCategory == .format })
      #expect(bytes.count { $0 == 0x1b } <= 7)
    }
  }

  @Test("a name with a thousand marks takes one cell, and only two of them")
  func marks() {
    var screen = Screen(columns: 10, rows: 1)
    screen.put("a" + String(repeating: "\u{301}", count: 1000) + "b", 0, 0)
    #expect(screen.cells[0].text.unicodeScalars.count == 3 && screen.cells[1].text == "b")
    screen.put("\u{301}c", 0, 5)
    #expect(screen.cells[5].text == "c")
  }

  @Test("text that does not fit ends in …, also before half of a wide character")
  func cut() {
    var screen = Screen(columns: 8, rows: 3)
    screen.put("abcdefghij", 0, 0)
    screen.put("世界接続世", 1, 0)
    screen.put("abc", 2, 6)
    #expect(screen.lines == ["abcdefg…", "世界接 …", "      a…"])
    screen.put("12345", 2, endingAt: 6, from: 3)
    #expect(screen.lines[2] == "   12…a…")
    screen.put("z", 1, 1)
    #expect(screen.lines[1] == " z界接 …")
    #expect(screen.put("x", -1, 0) == 0 && screen.put("x", 3, 0) == 0 && screen.put("x", 0, 8) == 8)
  }

  @Test("wide characters and marks have the widths of Unicode")
  func widths() {
    let one: [Unicode.Scalar] = ["a", "é", "Ω", "─", "…", "א", "▶", "☎"]
    let two: [Unicode.Scalar] = ["世", "한", "ア", "！", "😀", "🚀", "⌚", "𠀀"]
    #expect(one.allSatisfy { CellWidth.columns(of: $0) == 1 })
    #expect(two.allSatisfy { CellWidth.columns(of: $0) == 2 })
    #expect(CellWidth.columns(of: "\u{301}") == 0 && CellWidth.columns(of: "\u{200B}") == 0)
    #expect(CellWidth.columns(of: "a世é") == 4)
  }
}

@Suite("Keys from bytes", .onThreads, .timeLimit(.minutes(30)))
struct KeyReaderTests {
  private func keys(_ text: String) -> [Key] {
    var reader = KeyReader()
    return reader.keys(in: text.utf8)
  }

  @Test("letters, arrows of both modes, and other keys")
  func all() {
    #expect(keys("aK?/ ") == [.character("a"), .character("K"), .character("?"), .character("/"), .character(" ")])
    #expect(keys("\u{1B}[A\u{1B}[B\u{1B}OC\u{1B}OD") == [.up, .down, .right, .left])
    #expect(keys("\u{1B}[5~\u{1B}[6~\u{1B}[H\u{1B}OF") == [.pageUp, .pageDown, .home, .end])
    #expect(keys("\u{1B}[1~\u{1B}[4~") == [.home, .end])
    #expect(keys("\r\n\t\u{7F}\u{8}") == [.enter, .enter, .tab, .backspace, .backspace])
    #expect(keys("\u{3}\u{1A}\u{C}") == [.control("c"), .control("z"), .control("l")])
    #expect(keys("é世") == [.character("é"), .character("世")])
    #expect(keys("\u{1B}[1;5A") == [.up])
  }

  @Test("a key whose bytes come one by one is one key")
  func pieces() {
    for text in ["\u{1B}[A", "\u{1B}[6~", "世", "\u{1B}OB"] {
      var reader = KeyReader()
      var found: [Key] = []
      for byte in text.utf8.dropLast() {
        found += reader.keys(in: [byte])
        #expect(found.isEmpty && reader.isWithin)
      }
      found += reader.keys(in: [text.utf8.last ?? 0])
      #expect(found.count == 1 && !reader.isWithin, "\(text.debugDescription)")
    }
  }

  @Test("an ESC alone is the key of that name once nothing follows it")
  func escape() {
    var reader = KeyReader()
    #expect(reader.keys(in: [0x1b]) == [] && reader.isWithin)
    #expect(reader.flush() == [.escape] && !reader.isWithin && reader.flush() == [])
    #expect(keys("\u{1B}\u{1B}[A") == [.escape, .up])
    // A slow machine reads both keys at once.
    #expect(keys("\u{1B}2") == [.escape, .character("2")] && keys("\u{1B}\r") == [.escape, .enter])
  }

  @Test("a sequence that is no key is left out as a whole: none of its letters is a key")
  func sequences() {
    #expect(keys("\u{1B}[?1;2cq") == [.character("q")])
    #expect(keys("\u{1B}[200~q\u{1B}[201~") == [.character("q")])
    #expect(keys("\u{1B}[<0;10;10Mj") == [.character("j")])
    #expect(keys("\u{1B}]j") == [.character("j")])
    #expect(keys("\u{1B}[\u{3}") == [.control("c")])
    var reader = KeyReader()
    #expect(reader.keys(in: [0xff, 0xc0, 0x80, 0x61]) == [.character("a")])
    #expect(reader.keys(in: [0x1b, 0x5b] + Array(repeating: 0x31, count: 100)) == [] && !reader.isWithin)
  }
}
