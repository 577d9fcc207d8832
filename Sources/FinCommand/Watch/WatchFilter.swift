import FinDoctor

/// A filter as it is typed: words with spaces between them, all of which must hold.
///
/// `port:8080`, `program:api`, `state:close-wait`, `peer:10.0.`, `age>5m`, `age<10s`; any other word is looked for in
/// the line.
struct WatchFilter: Equatable, Sendable {
  var ports: [UInt16] = []
  var programs: [String] = []
  var states: [String] = []
  var peers: [String] = []
  /// The least lower bound of the age, in milliseconds.
  var atLeast: UInt64?
  /// The greatest lower bound of the age, in milliseconds.
  var atMost: UInt64?
  var words: [String] = []

  var isEmpty: Bool { self == WatchFilter() }

  /// The reason why a word is none of a filter.
  struct Problem: Error, Equatable { var sentence: String }

  init() {}

  init(_ text: String) throws(Problem) {
    for word in text.split(separator: " ").map(String.init) { try add(word) }
  }

  private mutating func add(_ word: String) throws(Problem) {
    func value(_ key: String) -> String? {
      word.lowercased().hasPrefix(key) ? String(word.dropFirst(key.count)).lowercased() : nil
    }
    if let port = value("port:") {
      guard let number = UInt16(port), number > 0 else {
        throw Problem(sentence: "port: needs a number from 1 to 65535")
      }
      ports.append(number)
    } else if let program = value("program:") {
      programs.append(program)
    } else if let state = value("state:") {
      let plain = Self.plain(state)
      guard Self.names.contains(where: { $0.hasPrefix(plain) }), !plain.isEmpty else {
        throw Problem(sentence: "there is no state that begins with \(state)")
      }
      states.append(plain)
    } else if let peer = value("peer:") {
      peers.append(peer)
    } else if let age = value("age>") {
      atLeast = try Self.time(age)
    } else if let age = value("age<") {
      atMost = try Self.time(age)
    } else {
      words.append(word.lowercased())
    }
  }

  private static func time(_ text: String) throws(Problem) -> UInt64 {
    guard let span = TimeSpan(argument: text) else { throw Problem(sentence: "age needs a time: age>5m, age<10s") }
    return UInt64(span.milliseconds)
  }

  private static let names = SocketState.named.map { plain($0.description.lowercased()) } + ["detached"]

  private static func plain(_ text: String) -> String { text.lowercased().filter { $0 != "-" && $0 != "_" } }

  private func isOld(_ since: AgeBounds?) -> Bool {
    if atLeast == nil, atMost == nil { return true }
    guard let since, since != .unknown else { return false }
    return since.lower >= atLeast ?? 0 && since.lower <= atMost ?? .max
  }

  private func contains(_ texts: [String]) -> Bool {
    words.allSatisfy { word in texts.contains { $0.lowercased().contains(word) } }
  }

  private func names(_ programs: [String]) -> Bool {
    self.programs.isEmpty || self.programs.contains { wanted in programs.contains { $0.lowercased().contains(wanted) } }
  }

  func allows(_ row: WatchRow, in look: WatchLook) -> Bool {
    if !ports.isEmpty, !ports.contains(row.localPort), !ports.contains(row.remotePort) { return false }
    if !states.isEmpty {
      // UDP sockets borrow the numbers of two states.
      guard row.hasState || row.isDetached else { return false }
      let name = Self.plain(row.stateName)
      guard states.contains(where: { name.hasPrefix($0) }) else { return false }
    }
    guard isOld(row.since) else { return false }
    if !peers.isEmpty {
      guard row.remotePort != 0 else { return false }
      let peer = row.remote.with(port: row.remotePort)
      guard peers.contains(where: { peer.hasPrefix($0) || "\(row.remote)".hasPrefix($0) }) else { return false }
    }
    if !programs.isEmpty || !words.isEmpty {
      let program = look.programs[row.pid]
      guard names([look.label(row.pid), program?.script ?? ""]) else { return false }
      if words.isEmpty { return true }
      return contains([
        row.stateName, row.local.with(port: row.localPort), row.remote.with(port: row.remotePort), look.label(row.pid),
        program?.script ?? "", "\(row.transport)",
      ])
    }
    return true
  }

  func allows(_ finding: WatchFinding, in look: WatchLook) -> Bool {
    let who = finding.finding.who
    guard names([who?.name ?? "", who?.unit ?? ""]), isOld(finding.finding.since) else { return false }
    if !ports.isEmpty || !states.isEmpty || !peers.isEmpty {
      var own = self
      (own.programs, own.words, own.atLeast, own.atMost) = ([], [], nil, nil)
      guard finding.members.contains(where: { own.allows(look.rows[Int($0)], in: look) }) else { return false }
    }
    return contains(["\(finding.finding.id)", finding.finding.sentence, who?.name ?? ""])
  }

  func allows(_ listener: WatchListener) -> Bool {
    if !ports.isEmpty, !ports.contains(listener.port) { return false }
    if !states.isEmpty, !states.contains(where: { "listen".hasPrefix($0) }) { return false }
    if !peers.isEmpty { return false }
    return names([listener.owner]) && isOld(listener.overview.oldest) && contains([listener.name, listener.owner])
  }

  func allows(_ budget: WatchBudget, in look: WatchLook) -> Bool {
    let route = budget.budget.route
    if !ports.isEmpty, !ports.contains(route.port) { return false }
    if !states.isEmpty || atLeast != nil || atMost != nil { return false }
    let peer = route.destination.with(port: route.port)
    if !peers.isEmpty, !peers.contains(where: { peer.hasPrefix($0) || "\(route.destination)".hasPrefix($0) }) {
      return false
    }
    let users = (budget.budget.users + budget.budget.binders).map { look.label($0.pid) }
    return names(users) && contains([budget.name, budget.user])
  }

  func allows(_ tally: WatchTally, in look: WatchLook) -> Bool {
    let texts = [tally.name, look.programs[tally.pid]?.script ?? ""]
    guard names(texts), contains(texts) else { return false }
    if ports.isEmpty, states.isEmpty, peers.isEmpty, atLeast == nil, atMost == nil { return true }
    var own = self
    (own.programs, own.words) = ([], [])
    return look.rows.contains { $0.pid == tally.pid && own.allows($0, in: look) }
  }
}
