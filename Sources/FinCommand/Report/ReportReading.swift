import FinDoctor

/// The data of a page, read back.
struct ReportReading {
  struct Found {
    var name = ""
    var severity = ""
    var sentence = ""
    var count = 0
    /// The process and the program, by which the same finding is known in another page.
    var pid: Int?
    var program = ""
  }

  /// A socket by what stays the same as long as it lives.
  struct Socket: Hashable {
    var kind = ""
    var namespace = ""
    var local = ""
    var remote = ""
    /// The owner and descriptor, where there is no peer.
    var holder = ""
  }

  /// A number of each thing that has a name: waiting clients by listener.
  typealias Counts = [String: Int]

  private(set) var taken = 0
  private(set) var host: String?
  private(set) var isRedacted = false
  private(set) var findings: [Found] = []
  /// The state of each socket, and its owner.
  private(set) var sockets: [Socket: [(state: String, owner: String)]] = [:]
  private(set) var socketCount = 0
  private(set) var waiting: Counts = [:]
  private(set) var drops: Counts = [:]
  private(set) var takenPorts: Counts = [:]
  private(set) var descriptors: Counts = [:]

  /// The reason why a file is no page, as a phrase.
  struct Fault: Error, Hashable {
    var problem: String
  }

  /// Reads a page, or ends the command with the reason why it cannot be read.
  static func page(_ path: String) throws -> ReportReading {
    let bytes = try SourceOption.bytes(of: path)
    do throws(Fault) {
      return try ReportReading(bytes)
    } catch {
      throw ExitStatus.badData.because("\(visible(path)) \(error.problem)")
    }
  }

  init(_ page: [UInt8]) throws(Fault) {
    guard let start = Self.position(of: Markup.dataBegins, in: page[...]).map({ $0 + Markup.dataBegins.utf8.count }),
      let end = Self.position(of: Markup.dataEnds, in: page[start...])
    else { throw Fault(problem: "is no page of fin report, or a part of it is missing") }
    guard let text = try? JSONText(Array(page[start..<end])) else { throw Fault(problem: "has damaged data") }
    let data = Tree(text: text, position: text.root)
    guard data["kind"]?.string == ReportData.kind else { throw Fault(problem: "is no page of fin report") }
    guard let version = data["version"]?.number, version == 1 else {
      throw Fault(problem: "is of a version that this fin does not read")
    }
    taken = data["taken"]?.number ?? 0
    host = data["origin"]?["host"]?.string
    isRedacted = data["redacted"]?.flag ?? false
    for found in data["findings"]?.elements ?? [] {
      findings.append(
        Found(
          name: "\(found["id"]?.string ?? "") \(found["name"]?.string ?? "")",
          severity: found["severity"]?.string ?? "", sentence: found["sentence"]?.string ?? "",
          count: found["count"]?.number ?? 0, pid: found["who"]?["pid"]?.number,
          program: found["who"]?["program"]?.string ?? ""))
    }
    for listener in data["listeners"]?.elements ?? [] {
      let name = "\(listener["listener"]?.string ?? "") \(listener["owner"]?.string ?? "")"
      waiting[name] = listener["waiting"]?.number
      drops[name] = listener["drops"]?.number
    }
    for budget in data["budgets"]?.elements ?? [] {
      guard let route = budget["route"]?.string, let free = budget["free"]?.number else { continue }
      takenPorts[route] = (budget["capacity"]?.number ?? free) - free
    }
    for use in data["descriptors"]?.elements ?? [] {
      if let program = use["program"]?.string { descriptors[program] = use["used"]?.number }
    }
    guard let sockets = data["sockets"], try read(sockets) else { throw Fault(problem: "has damaged columns") }
  }

  /// Reads the columns; returns false if they do not fit together.
  private mutating func read(_ data: Tree) throws(Fault) -> Bool {
    guard let count = data["count"]?.number, (0...10_000_000).contains(count) else { return false }
    let (kinds, states) = (data.texts("kinds"), data.texts("states"))
    let (owners, addresses, namespaces) = (data.texts("owners"), data.texts("addresses"), data.texts("namespaces"))
    func run(_ key: String) -> [Int] {
      let pairs = data["runs"]?[key]?.numbers ?? []
      var column: [Int] = []
      for place in stride(from: 0, to: pairs.count - 1, by: 2) {
        guard pairs[place + 1] >= 0, pairs[place + 1] <= count - column.count else { return [] }
        column += Array(repeating: pairs[place], count: pairs[place + 1])
      }
      return column
    }
    let keys = ["kind", "namespace", "state", "owner", "local", "localPort", "remote"]
    let columns = keys.map(run)
    let values = data["values"]
    let (ports, steps) = (values?["remotePort"]?.numbers ?? [], values?["descriptorSteps"]?.numbers ?? [])
    guard (columns + [ports, steps]).allSatisfy({ $0.count == count }) else { return false }
    func text(_ texts: [String], _ place: Int) -> String { texts.indices.contains(place) ? texts[place] : "" }
    var descriptor = 0
    for row in 0..<count {
      descriptor &+= steps[row]
      let owner = text(owners, columns[3][row])
      var socket = Socket(kind: text(kinds, columns[0][row]), namespace: text(namespaces, columns[1][row]))
      socket.local = "\(text(addresses, columns[4][row])) \(columns[5][row])"
      if ports[row] == 0 {
        socket.holder = "\(owner) \(descriptor)"
      } else {
        socket.remote = "\(text(addresses, columns[6][row])) \(ports[row])"
      }
      sockets[socket, default: []].append((text(states, columns[2][row]), owner))
    }
    socketCount = count
    return true
  }

  private static func position(of text: String, in bytes: ArraySlice<UInt8>) -> Int? {
    bytes.firstRange(of: Array(text.utf8))?.lowerBound
  }

  /// A value of the data.
  private struct Tree {
    let text: JSONText
    let position: Int

    subscript(key: String) -> Tree? {
      text.members(at: position)?.first { text.key(of: $0) == key }.map { Tree(text: text, position: $0.value) }
    }

    var string: String? { text.string(at: position) }
    var number: Int? { text.number(at: position) }
    var flag: Bool? { text.flag(at: position) }

    var elements: [Tree] {
      var all: [Tree] = []
      _ = text.forEachElement(at: position) { all.append(Tree(text: text, position: $0)) }
      return all
    }

    /// The whole numbers of an array; empty if an element is none.
    var numbers: [Int] {
      var all: [Int] = []
      var isWhole = true
      _ = text.forEachElement(at: position) { place in
        if let number: Int = text.number(at: place) { all.append(number) } else { isWhole = false }
      }
      return isWhole ? all : []
    }

    func texts(_ key: String) -> [String] { self[key]?.elements.map { $0.string ?? "" } ?? [] }
  }
}
