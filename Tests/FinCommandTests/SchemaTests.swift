import FoundationEssentials
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand

/// A JSON value of any form.
private indirect enum JSONValue: Decodable {
  case text(String)
  case number(Double)
  case flag(Bool)
  case list([JSONValue])
  case object([String: JSONValue])

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let object = try? container.decode([String: JSONValue].self) {
      self = .object(object)
    } else if let list = try? container.decode([JSONValue].self) {
      self = .list(list)
    } else if let text = try? container.decode(String.self) {
      self = .text(text)
    } else if let flag = try? container.decode(Bool.self) {
      self = .flag(flag)
    } else {
      self = .number(try container.decode(Double.self))
    }
  }

  func isOf(type: some StringProtocol) -> Bool {
    switch (self, type) {
    case (.text, "text"), (.number, "number"), (.flag, "flag"), (.object, "object"), (_, "value"): true
    case (.list(let list), _):
      type.hasPrefix("[") && list.allSatisfy { $0.isOf(type: type.dropFirst().dropLast()) }
    default: false
    }
  }
}

/// A key as `fin help json` prints it, with the keys inside.
private struct SchemaKey {
  var name: String
  var type: String
  var isOptional: Bool
  var keys: [SchemaKey] = []

  /// Parses the page of one command.
  static func parse(_ page: String) throws -> [SchemaKey] {
    // A meaning that is continued on a line of its own has a deep margin.
    var lines = page.split(separator: "\n").dropFirst().filter { !$0.hasPrefix("                    ") }.map { line in
      (depth: (line.prefix { $0 == " " }.count - 2) / 2, words: line.split(separator: " ").prefix(2).map(String.init))
    }[...]
    func keys(_ depth: Int) throws -> [SchemaKey] {
      var found: [SchemaKey] = []
      while let line = lines.first, line.depth == depth {
        lines.removeFirst()
        try #require(line.words.count == 2, "\(line)")
        let isOptional = line.words[1].hasSuffix("?")
        let type = isOptional ? String(line.words[1].dropLast()) : line.words[1]
        found.append(
          SchemaKey(name: line.words[0], type: type, isOptional: isOptional, keys: try keys(depth + 1)))
      }
      return found
    }
    let all = try keys(0)
    try #require(lines.isEmpty, "a line with a wrong margin: \(lines)")
    return all
  }

  /// The differences between an object and its schema, in both directions.
  static func differences(_ object: [String: JSONValue], _ keys: [SchemaKey], at path: String) -> [String] {
    var wrong: [String] = []
    for name in object.keys where !keys.contains(where: { $0.name == name }) {
      wrong.append("\(path).\(name) is not in the schema")
    }
    for key in keys {
      let place = "\(path).\(key.name)"
      guard let value = object[key.name] else {
        if !key.isOptional { wrong.append("\(place) is absent") }
        continue
      }
      if !value.isOf(type: key.type) { wrong.append("\(place) is not of type \(key.type)") }
      switch value {
      case .object(let inner): wrong += differences(inner, key.keys, at: place)
      case .list(let list):
        for case .object(let inner) in list { wrong += differences(inner, key.keys, at: place) }
      default: break
      }
    }
    return wrong
  }

  var names: [String] { [name] + keys.flatMap(\.names) }
}

@Suite("fin help json says what --json prints", .onThreads, .timeLimit(.minutes(30)))
struct SchemaTests {
  static let verbs = [
    "check", "explain", "list", "ports", "listeners", "kill", "watch", "lab", "connect", "serve", "relay",
  ]

  private func schema(_ verb: String) async throws -> [SchemaKey] {
    let page = try await Fin.run("help", "json", verb, columns: 1000)
    #expect(page.status == 0)
    return try SchemaKey.parse(page.output)
  }

  /// Compares an output with a page of the help.
  static func expect(_ fin: Fin, toHave page: Fin) throws {
    let object = try JSONDecoder().decode([String: JSONValue].self, from: Data(fin.output.utf8))
    #expect(SchemaKey.differences(object, try SchemaKey.parse(page.output), at: "") == [])
  }

  private func expect(_ fin: Fin, _ verb: String) async throws {
    let object = try JSONDecoder().decode([String: JSONValue].self, from: Data(fin.output.utf8))
    #expect(SchemaKey.differences(object, try await schema(verb), at: verb) == [])
  }

  private func expect(_ words: String...) async throws { try await expect(try await Fin.run(words), words[0]) }

  @Test("the output of this machine has the keys of the schema, with their types, and no other")
  func machine() async throws {
    let listener = try PlainSocket.listening(on: "127.7.7.21")
    let client = try PlainSocket.connected(to: "127.7.7.21", port: listener.port)
    let server = try listener.accept()
    try client.send([1])
    try await expect("check", "--json", "--threshold", "info")
    for kind in ["--tcp", "--udp", "--mptcp", "--unix"] { try await expect("list", "--json", kind, "--limit", "50") }
    try await expect("explain", "--json", "\(getpid()):\(server.descriptor)")
    try await expect("explain", "--json", "\(getpid())")
    try await expect("explain", "--json", "bind", "127.7.7.21:\(listener.port)")
    try await expect("ports", "--json", "--all", "--over", "100ms")
    try await expect("listeners", "--json", "--over", "100ms")
    try await expect("kill", "--json", "--dry-run", "127.7.7.21:\(listener.port)")
    try await expect("lab", "--json", "--list")
    try await expect("lab", "--json", "two-step")
  }

  @Test("so has that of programs with problems", .needsScenes)
  func scenes() async throws {
    let leak = try Stage("fd_limit", "95", "close-wait")
    defer { leak.child.end() }
    try await expect("check", "--json", "\(leak.child.number)")
    try await expect("explain", "--json", "\(leak.child.number)")
    let budget = try Stage("port_budget", "50", "20", "5", range: "40000 40099")
    defer { budget.child.end() }
    try await expect("ports", "\(budget.child.number)", "--json")
    let queue = try Stage("accepting", "overflow", "2", "8")
    defer { queue.child.end() }
    try await expect("listeners", "\(queue.child.number)", "--json", "--over", "100ms")
    let kill = try Stage("kill")
    defer { kill.child.end() }
    let words = ["127.0.0.1:\(kill.words[0])", "--json", "--yes", "--namespace", try kill.namespace()]
    try await expect(try await Fin.run(["kill"] + words), "kill")
  }

  @Test("so have the report of a connection, on standard error, and each line of a server")
  func connections() async throws {
    let path = "@fin-schema-\(getpid())"
    let ok = try Serving("--json", "--echo")
    let program = try Serving("--json", "--exec", "sh", "-c", "exit 3")
    for words in [["127.0.0.1:\(ok.port)"], ["127.0.0.1:\(program.port)"], [path], ["localhost:1"]] {
      let fin = try await Fin.run(["connect", "--json"] + words)
      #expect(!fin.complaints.isEmpty)
      try await expect(Fin(status: fin.status, output: fin.complaints, complaints: ""), "connect")
    }
    for server in [ok, program] {
      let (status, lines) = try server.stop()
      #expect(status == .exited(0) && lines.count == 2, "\(lines)")
      for line in lines { try await expect(Fin(status: 0, output: line, complaints: ""), "serve") }
    }
    let listening = try await Fin.shell("exec timeout -s TERM 1 \"$0\" serve \(path) --echo --json")
    #expect(listening.lines.count == 2)
    for line in listening.lines { try await expect(Fin(status: 0, output: String(line), complaints: ""), "serve") }
  }

  @Test("every key of a schema is one that the code writes", arguments: verbs)
  func written(verb: String) async throws {
    let root = #filePath.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
    var code = ""
    for folder in ["FinCommand", "FinLab"] {
      for path in try FileManager.default.subpathsOfDirectory(atPath: "\(root)/Sources/\(folder)") {
        guard path.hasSuffix(".swift"), !path.hasSuffix("Schema.swift") else { continue }
        code += try String(contentsOfFile: "\(root)/Sources/\(folder)/\(path)", encoding: .utf8)
      }
    }
    for name in try await schema(verb).flatMap(\.names) {
      // The laboratory's keys are the names of properties.
      let isWritten = code.contains("\"\(name)\"") || verb == "lab" && code.contains(name)
      #expect(isWritten, "\(name)")
    }
  }

  @Test("every output begins with the same head", arguments: verbs)
  func head(verb: String) async throws {
    let names = try await schema(verb).prefix(4).map(\.name)
    #expect(Array(names.prefix(2)) == ["version", "fin"])
    let takesNoCensus = ["lab", "connect", "serve", "relay"].contains(verb)
    #expect(takesNoCensus || names == ["version", "fin", "taken", "hidden"])
  }

  @Test("the schemas of all commands stand on one page, in 80 columns")
  func all() async throws {
    let page = try await Fin.run("help", "json", columns: 80)
    #expect(page.status == 0 && page.lines.allSatisfy { $0.count <= 80 })
    for verb in Self.verbs { #expect(page.output.contains("fin \(verb) --json prints one object")) }
  }
}
