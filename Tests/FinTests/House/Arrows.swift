import TestTraits
import Testing

/// The arrows between the folders of a target, drawn from its sources: a name that one folder declares at top level and
/// another one uses. CONTRIBUTING's table of folders gives their order.
struct Arrows {
  /// The folders of `target` in the order of CONTRIBUTING's table, from the top down.
  let order: [String]
  /// An arrow that goes up: a file uses a name of a folder that stands below its own.
  let upward: [String]
  /// Folders with sources that the table does not list.
  let unlisted: [String]

  init(target: String, contributing: String, files: [(path: String, source: SwiftText)]) {
    let root = "Sources/\(target)/"
    let order = Self.folders(of: contributing, under: root)
    let places = files.filter { $0.path.hasPrefix(root) && $0.path.hasSuffix(".swift") }.map { file in
      (folder: Self.folder(of: file.path, among: order), file: file)
    }
    // Only the compiler can tell apart a name that two folders declare.
    var owners: [Substring: Set<Int>] = [:]
    for place in places {
      guard let folder = place.folder else { continue }
      for line in place.file.source.code {
        if let name = Self.declared(by: line) { owners[name, default: []].insert(folder) }
      }
    }
    var upward: Set<String> = []
    for place in places {
      guard let folder = place.folder else { continue }
      for line in place.file.source.code {
        for word in line.split(whereSeparator: { !($0.isLetter || $0.isNumber || $0 == "_") }) {
          guard let owner = owners[word], owner.count == 1, let below = owner.first, below > folder else { continue }
          upward.insert("\(place.file.path): \(word) of \(order[below])")
        }
      }
    }
    self.order = order
    self.upward = upward.sorted()
    unlisted = places.filter { $0.folder == nil }.map(\.file.path).sorted()
  }

  /// The folders under `root` that stand in the table's last column, each once, in the table's order.
  private static func folders(of contributing: String, under root: String) -> [String] {
    var found: [String] = []
    for line in contributing.split(separator: "\n") where line.hasPrefix("|") {
      for word in line.split(separator: "`") where word.hasPrefix(root) {
        let folder = String(word)
        if folder.hasSuffix("/"), !folder.contains(".docc"), !found.contains(folder) { found.append(folder) }
      }
    }
    return found
  }

  private static func folder(of path: String, among order: [String]) -> Int? {
    order.indices.filter { path.hasPrefix(order[$0]) }.max { order[$0].count < order[$1].count }
  }

  private static func declared(by line: String) -> Substring? {
    guard let first = line.first, first.isLetter || first == "@" else { return nil }
    return line.firstMatch(
      of:
        #/
        ^(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|final|indirect|nonisolated)\s+)*
        (?:struct|class|enum|protocol|actor|typealias|func)\s+(\w+)
        /#)?.output.1
  }
}

@Suite("House rules: the arrows between folders go one way", .onThreads)
struct ArrowTests {
  @Test(
    "every folder stands in CONTRIBUTING's table, and none uses a folder below it",
    arguments: ["Fin", "FinDoctor", "FinLab", "FinCommand"])
  func holds(_ target: String) throws {
    let contributing = try #require(Checkout.files.first { $0.path == "CONTRIBUTING.md" }).text
    let arrows = Arrows(target: target, contributing: contributing, files: Checkout.files.map { ($0.path, $0.source) })
    #expect(arrows.order.count > 3)
    #expect(arrows.unlisted == [])
    #expect(arrows.upward == [])
  }

  private static let table = """
    | what is first? | `Sources/Fin/Lower/`: values |
    | what uses it? | `Sources/Fin/Upper/` |
    """

  private func arrows(_ files: (String, String)...) -> Arrows {
    Arrows(target: "Fin", contributing: Self.table, files: files.map { ($0.0, SwiftText($0.1)) })
  }

  @Test("an arrow that goes up is found, with its file and name")
  func up() {
    let found = arrows(
      ("Sources/Fin/Lower/A.swift", "struct A { var b: B }\n"),
      ("Sources/Fin/Upper/B.swift", "public final class B {}\n"))
    #expect(found.order == ["Sources/Fin/Lower/", "Sources/Fin/Upper/"])
    #expect(found.upward == ["Sources/Fin/Lower/A.swift: B of Sources/Fin/Upper/"])
  }

  @Test("an arrow that goes down, a name in a comment or a string, and a nested name are not found")
  func down() {
    let found = arrows(
      ("Sources/Fin/Lower/A.swift", "struct A {}\n// B\nlet text = \"B\"\nfunc c() {}\n"),
      ("Sources/Fin/Upper/B.swift", "struct B { let a: A; struct Text {} }\n"))
    #expect(found.upward == [] && found.unlisted == [])
  }

  @Test("a folder that the table does not list is found")
  func unlisted() {
    #expect(arrows(("Sources/Fin/Other/C.swift", "struct C {}\n")).unlisted == ["Sources/Fin/Other/C.swift"])
  }
}
