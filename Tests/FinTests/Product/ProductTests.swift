import Glibc
import Peers
import TestTraits
import Testing

@testable import Fin

/// A parsed row of a table of ``ProductTable``.
struct ProductRow: CustomTestStringConvertible, Sendable {
  let verb: String
  let phase: String
  /// The column and the word in it.
  let cells: [(column: String, word: String)]

  var testDescription: String { "\(verb), \(phase)" }

  static func rows(_ table: String, keys: Int = 2) -> [ProductRow] {
    let lines = table.split(separator: "\n").map { line in
      line.dropFirst().dropLast().split(separator: "|").map { String($0.drop { $0 == " " }.trimmed) }
    }
    return lines.dropFirst(2).map { line in
      ProductRow(
        verb: line[0], phase: keys == 2 ? line[1] : "-",
        cells: zip(lines[0][keys...], line[keys...]).map { ($0, $1) })
    }
  }
}

extension Substring {
  fileprivate var trimmed: Substring {
    var text = self
    while text.last == " " { text.removeLast() }
    return text
  }
}

@Suite("Every verb, in every phase and family, in threads and in tasks, does what the tables say", .onThreads)
struct Product {
  /// Compares a cell with the observed behaviour.
  private func expect(
    _ table: String, _ row: ProductRow, _ column: String, _ how: String, _ word: String, _ seen: () throws -> String
  ) throws {
    let seen = try seen()
    if seen != word {
      Issue.record("SEEN \(table) | \(row.verb) | \(row.phase) | \(column) | \(how) | \(seen) | and not \(word)")
    }
  }

  private func phase(_ name: String) throws -> Phase {
    guard let phase = Phase.allCases.first(where: { $0.description == name }) else {
      throw RigError("no phase \(name)")
    }
    return phase
  }

  @Test("the verbs of a stream do what the table says", arguments: ProductRow.rows(ProductTable.streams))
  func streams(row: ProductRow) throws {
    let phase = try phase(row.phase)
    for (column, word) in row.cells where word != "–" {
      for family in ProductFamily.of(column: column) {
        for world in ServingWorld.allCases {
          try expect("streams", row, column, "\(family) \(world)", word) {
            try StreamVerb(name: row.verb).outcome(family, phase, world)
          }
        }
      }
    }
  }

  @Test("the verbs of a listener do what the table says", arguments: ProductRow.rows(ProductTable.listeners))
  func listeners(row: ProductRow) throws {
    let phase = try phase(row.phase)
    for (column, word) in row.cells where word != "–" {
      for family in ProductFamily.of(column: column) {
        for world in ServingWorld.allCases {
          try expect("listeners", row, column, "\(family) \(world)", word) {
            try ListenerVerb(name: row.verb).outcome(family, phase, world)
          }
        }
      }
    }
  }

  @Test("the verbs of a datagram socket do what the table says", arguments: ProductRow.rows(ProductTable.datagrams))
  func datagrams(row: ProductRow) throws {
    for (column, word) in row.cells where word != "–" {
      let families: [ProductFamily] = column == "UDP" ? [.tcp4, .tcp6] : [.unix]
      for family in families {
        for world in ServingWorld.allCases {
          try expect("datagrams", row, column, "\(family) \(world)", word) {
            try DatagramVerb(name: row.verb).outcome(family, DatagramVerb.State(rawValue: row.phase)!, world)
          }
        }
      }
    }
  }

  @Test(
    "the verbs of a socket that is neither connected nor listening do what the table says",
    arguments: ProductRow.rows(ProductTable.sockets))
  func sockets(row: ProductRow) throws {
    for (column, word) in row.cells where word != "–" {
      for family in ProductFamily.of(column: column) {
        try expect("sockets", row, column, "\(family)", word) {
          try SocketVerb.outcome(row.verb, family, isBound: row.phase == "bound")
        }
      }
    }
  }

  @Test("adopting a descriptor does what the table says", arguments: ProductRow.rows(ProductTable.adopting, keys: 1))
  func adopting(row: ProductRow) throws {
    for (column, word) in row.cells where word != "–" && (ProductFamily.hasMPTCP || !row.verb.hasPrefix("MPTCP")) {
      let who = column.split(separator: ".").first.map(String.init) ?? ""
      try expect("adopting", row, who, "kernel", word) { try AdoptVerb.outcome(who, row.verb) }
    }
  }

  @Test(
    "the article shows the tables of verbs, and the overview links to it",
    arguments: [
      ProductTable.streams, ProductTable.listeners, ProductTable.datagrams, ProductTable.sockets, ProductTable.adopting,
    ])
  func article(table: String) throws {
    let article = try #require(Checkout.files.first { $0.path == "Sources/Fin/Fin.docc/Families.md" })
    #expect(article.text.contains(table))
    let overview = try #require(Checkout.files.first { $0.path == "Sources/Fin/Fin.docc/Fin.md" })
    #expect(overview.text.contains("<doc:Families>"))
  }
}
