import Peers
import TestTraits
import Testing

@testable import Fin

/// The list of FromPython.md: every name of Python's socket module, with a word and a reason.
private struct PythonList {
  struct Row {
    let names: [String]
    let word: String
    let text: String
  }

  let rows: [Row]

  init() throws {
    let article = try #require(Checkout.files.first { $0.path == "Sources/Fin/Fin.docc/FromPython.md" }).text
    let list = try #require(article.components(after: "## Every name of the module\n"))
    rows = list.split(separator: "\n").filter { $0.hasPrefix("| `") }.map { line in
      let cells = line.dropFirst().dropLast().split(separator: "|", maxSplits: 2).map { String($0).withoutSpaces }
      let names = cells[0].split(separator: "`").enumerated().filter { $0.offset % 2 == 0 }.map { String($0.element) }
      return Row(names: names, word: cells[1], text: cells.count > 2 ? cells[2] : "")
    }
  }
}

extension String {
  /// The text from behind a heading to the next heading of the same level.
  fileprivate func components(after heading: String) -> String? {
    guard let start = firstRange(of: heading) else { return nil }
    let rest = self[start.upperBound...]
    return String(rest.firstRange(of: "\n## ").map { rest[..<$0.lowerBound] } ?? rest)
  }

  fileprivate var withoutSpaces: String {
    var text = self[...]
    while text.first == " " { text.removeFirst() }
    while text.last == " " { text.removeLast() }
    return String(text)
  }
}

@Suite("Each name of Python's socket module stands in the article, with its counterpart or a reason", .onThreads)
struct EveryPythonName {
  @Test("each name has one row, and each row says yes, elsewhere or no, and where or why not")
  func wellFormed() throws {
    let list = try PythonList()
    var seen: Set<String> = []
    for row in list.rows {
      #expect(["yes", "elsewhere", "no"].contains(row.word), "\(row.names): \(row.word)")
      #expect(row.text.count > 3, "\(row.names) has no reason")
      #expect(!row.names.isEmpty)
      for name in row.names {
        #expect(seen.insert(name).inserted, "\(name) has two rows")
        #expect(name.wholeMatch(of: /[A-Za-z][A-Za-z0-9_]*/) != nil, "\(name)")
      }
    }
    #expect(list.rows.count > 50 && seen.count > 400)
  }

  @Test(
    "every public name of Python's own module, and of its socket objects, has a row",
    .needsProgram("python3"), arguments: ["socket", "socket.socket"])
  func complete(object: String) throws {
    let program = try #require(Programs.find("python3"))
    let script = "import socket; print(*[n for n in dir(\(object)) if not n.startswith('_')])"
    let names = try withChild(program, ["-c", script]) { try $0.readToEnd(within: .seconds(60)) }
      .split(whereSeparator: \.isWhitespace).map(String.init)
    #expect(names.count > 30)
    let listed = Set(try PythonList().rows.flatMap(\.names))
    #expect(names.filter { !listed.contains($0) } == [])
  }
}
