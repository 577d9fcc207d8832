import FoundationEssentials
import Peers
import TestTraits
import Testing

/// One socket as `ss -tanoei` prints it.
struct SSLine: Equatable {
  var state: String
  var receiveQueue: UInt64
  var sendQueue: UInt64
  var local: String
  var remote: String
  var inode: UInt64 = 0
  var user: UInt64 = 0
  var cookie = ""
  var timer: String?
  var timerCount: UInt64 = 0
  /// Counters such as `bytes_sent:10`.
  var counts: [String: UInt64] = [:]
  /// The time left of the timer. It changes between two outputs, so it is not compared for equality here.
  @Uncompared var milliseconds: UInt64 = 0

  @propertyWrapper
  struct Uncompared: Equatable {
    var wrappedValue: UInt64
    static func == (left: Self, right: Self) -> Bool { true }
  }

  init?(_ line: Substring) {
    let words = line.split(whereSeparator: \.isWhitespace)
    guard words.count >= 5, let receive = UInt64(words[1]), let send = UInt64(words[2]) else { return nil }
    state = String(words[0])
    (receiveQueue, sendQueue) = (receive, send)
    (local, remote) = (String(words[3]), String(words[4]))
    for word in words.dropFirst(5) {
      let parts = word.split(separator: ":", maxSplits: 1)
      guard parts.count == 2 else { continue }
      switch parts[0] {
      case "ino": inode = UInt64(parts[1]) ?? .max
      case "uid": user = UInt64(parts[1]) ?? .max
      case "sk": cookie = String(parts[1])
      case "timer": take(timer: parts[1].dropFirst().dropLast())
      case "bytes_sent", "bytes_acked", "bytes_received", "bytes_retrans", "segs_out", "segs_in", "notsent", "unacked",
        "backoff":
        counts[String(parts[0])] = UInt64(parts[1])
      default: break
      }
    }
  }

  /// Parses `keepalive,4min59sec,0` or `on,1.040ms,2`: a fraction of a second is written `.040ms`.
  private mutating func take(timer text: Substring) {
    let parts = text.split(separator: ",")
    timer = String(parts[0])
    timerCount = parts.count > 2 ? UInt64(parts[2]) ?? .max : .max
    var rest = parts.count > 1 ? parts[1] : ""
    func number(before unit: String) -> UInt64? {
      guard let range = rest.firstRange(of: unit), let value = UInt64(rest[..<range.lowerBound]) else { return nil }
      rest = rest[range.upperBound...]
      return value
    }
    milliseconds = 0
    if let minutes = number(before: "min") { milliseconds += minutes * 60_000 }
    if let seconds = number(before: "sec") ?? number(before: ".") { milliseconds += seconds * 1000 }
    if let fraction = number(before: "ms") { milliseconds += fraction }
  }
}

/// One socket as `fin list --json` prints it.
struct ListedLine: Decodable {
  struct Timer: Decodable {
    let name: String
    let milliseconds: UInt64
    let count: UInt64
  }
  struct Holder: Decodable {
    let pid: Int
    let fd: Int
    let program: String?
  }
  let kind: String
  let family: Int?
  let state: String
  let localAddress: String?
  let localPort: Int?
  let remoteAddress: String?
  let remotePort: Int?
  let receiveQueue: UInt64?
  let sendQueue: UInt64?
  let timer: Timer?
  let inode: UInt64
  let cookie: String?
  let user: UInt64?
  let tcp: [String: UInt64]?
  struct MPTCPSubflows: Decodable {
    let token: String
    let paths: Int
  }
  let mptcp: MPTCPSubflows?
  let pathOf: String?
  let waitingForAccept: Bool?
  let holders: [Holder]
  let formerHolder: Holder?

  struct Whole: Decodable {
    let version: Int
    let hidden: [String]
    let sockets: [ListedLine]
  }

  static func read(_ text: String) throws -> Whole { try JSONDecoder().decode(Whole.self, from: Data(text.utf8)) }
}

@Suite("fin list agrees with ss on every socket", .onThreads, .timeLimit(.minutes(30)))
struct ListAgainstSS {
  private static let states = ["ESTAB": "ESTABLISHED", "SYN-RECV": "SYN-RECEIVED"]

  /// An address and port as `ss` prints them.
  private static func name(_ address: String?, _ port: Int?, isDual: Bool) -> String {
    let port = port == 0 ? "*" : "\(port ?? -1)"
    guard let address else { return "" }
    if isDual && address == "::" { return "*:\(port)" }
    return address.contains(":") ? "[\(address)]:\(port)" : "\(address):\(port)"
  }

  @Test(
    "states, queues, addresses, inodes, cookies, users, timers and counters of a mixed scene, field by field",
    .enabled(if: Privileges.canMakeNamespaces, "needs a network namespace"),
    .enabled(if: Programs.find("ss") != nil, "needs ss"),
    .enabled(if: Programs.find("python3") != nil, "needs python3"))
  func agreement() throws {
    let namespace = try NetworkNamespace()
    try Scene.stand(in: namespace) {
      var compared: [String: Set<String>] = [:]
      // Timers fire between two outputs. Only sockets for which `ss` printed the same before and after are compared;
      // the loop repeats until every socket was.
      try eventually(within: .seconds(300), "every socket was compared") {
        let before = try ss()
        let fin = try ListedLine.read(
          Scene.output(of: Fin.path, "list", "--json", "--tcp", "--own-namespace"))
        let after = try ss()
        #expect(fin.version == 1)
        let rows = fin.sockets.filter { $0.state != "BOUND" && $0.state != "DETACHED" }
        #expect(Set(rows.map { $0.cookie ?? "" }).count == rows.count)
        if before.keys == after.keys { #expect(Set(rows.map { $0.cookie ?? "" }) == Set(before.keys)) }
        for row in rows {
          guard let cookie = row.cookie, let first = before[cookie], let last = after[cookie] else { continue }
          if first == last { compared[row.state, default: []].formUnion(compare(row, first, last) ? [cookie] : []) }
        }
        let done = compared.values.reduce(into: Set<String>()) { $0.formUnion($1) }
        return before.keys == after.keys && done.isSuperset(of: before.keys)
      }
      let wanted: Set = [
        "LISTEN", "ESTABLISHED", "CLOSE-WAIT", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT", "SYN-SENT",
      ]
      #expect(wanted.isSubset(of: compared.keys), "\(compared.mapValues(\.count))")
    }
  }

  @Test(
    "MPTCP sockets agree with ss -M field by field, and their subflows with ss -t",
    .enabled(if: Privileges.canMakeNamespaces, "needs a network namespace"),
    .enabled(if: Programs.find("ss") != nil, "needs ss"),
    .enabled(if: Programs.find("python3") != nil, "needs python3"))
  func multipath() throws {
    let namespace = try NetworkNamespace()
    try Scene.standMultipath(in: namespace) {
      // Accepted connections have the cookie of their listener, so sockets are identified by state and addresses.
      func ends(_ line: SSLine) -> String { "\(line.state) \(line.local) \(line.remote)" }
      func ss(_ option: String) throws -> [String: SSLine] {
        let text = try Scene.output(of: Programs.find("ss") ?? "ss", option)
        return Dictionary(
          uniqueKeysWithValues: text.split(separator: "\n").compactMap { SSLine($0) }.map { (ends($0), $0) })
      }
      for (option, kind) in [("-ManoeH", "mptcp"), ("-tanoeiOH", "tcp")] {
        // The kernel processes the end of an MPTCP side asynchronously.
        let wanted: Set =
          kind == "tcp" ? ["LISTEN", "ESTABLISHED"] : ["LISTEN", "ESTABLISHED", "CLOSE-WAIT", "FIN-WAIT-2"]
        try eventually(within: .seconds(300), "every \(kind) socket was compared") {
          let before = try ss(option)
          let fin = try ListedLine.read(
            Scene.output(of: Fin.path, "list", "--json", "--\(kind)", "--own-namespace"))
          let after = try ss(option)
          #expect(fin.sockets.allSatisfy { $0.kind == kind }, "\(fin.sockets.map(\.kind))")
          let rows = fin.sockets.filter { $0.state != "BOUND" && $0.state != "DETACHED" }
          guard before == after, rows.count == before.count, wanted.isSubset(of: rows.map(\.state)) else {
            return false
          }
          for row in rows {
            let short = Self.states.first { $0.value == row.state }?.key ?? row.state
            let name =
              "\(short) \(Self.name(row.localAddress, row.localPort, isDual: false)) "
              + Self.name(row.remoteAddress, row.remotePort, isDual: false)
            guard let line = before[name] else {
              Issue.record("ss has no \(name)")
              continue
            }
            #expect(row.cookie == line.cookie, "\(name)")
            _ = compare(row, line, line)
          }
          return true
        }
      }
      let all = try ListedLine.read(Scene.output(of: Fin.path, "list", "--json", "--own-namespace"))
      let tokens = Set(all.sockets.compactMap(\.mptcp?.token))
      let paths = all.sockets.filter { $0.pathOf != nil }
      #expect(paths.count >= 4 && paths.allSatisfy { $0.kind == "tcp" && tokens.contains($0.pathOf ?? "") })
    }
  }

  private func ss() throws -> [String: SSLine] {
    let text = try Scene.output(of: Programs.find("ss") ?? "ss", "-tanoeiOH")
    return Dictionary(
      uniqueKeysWithValues: text.split(separator: "\n").compactMap { SSLine($0) }.map { ($0.cookie, $0) })
  }

  private func compare(_ row: ListedLine, _ first: SSLine, _ last: SSLine) -> Bool {
    let place: Comment = "\(row.state) \(first.local) \(first.remote)"
    #expect(row.state == Self.states[first.state] ?? first.state, place)
    #expect(row.receiveQueue == first.receiveQueue && row.sendQueue == first.sendQueue, place)
    let isDual = row.family == 6 && first.local.hasPrefix("*")
    #expect(Self.name(row.localAddress, row.localPort, isDual: isDual) == first.local, place)
    #expect(Self.name(row.remoteAddress, row.remotePort, isDual: isDual) == first.remote, place)
    #expect(row.inode == first.inode && row.user == first.user, place)
    #expect(row.timer?.name == first.timer, place)
    if let timer = row.timer {
      #expect(timer.count == first.timerCount, place)
      // `ss` omits fractions: of a second above 9 s, of a minute above 9 min. A timer may have been rearmed.
      let slack: UInt64 = first.milliseconds > 600_000 ? 61_000 : 1100
      #expect(timer.milliseconds <= max(first.milliseconds, last.milliseconds) + slack, place)
      #expect(timer.milliseconds + slack >= min(first.milliseconds, last.milliseconds), place)
    }
    let names = [
      "bytes_sent": "bytesSent", "bytes_acked": "bytesAcknowledged", "bytes_received": "bytesReceived",
      "bytes_retrans": "bytesRetransmitted", "segs_out": "segmentsSent", "segs_in": "segmentsReceived",
      "notsent": "bytesNotSent", "unacked": "unacknowledgedSegments", "backoff": "backoff",
    ]
    if row.state != "LISTEN" {
      for (theirs, ours) in names where row.tcp != nil || first.counts[theirs] != nil {
        #expect(row.tcp?[ours] ?? 0 == first.counts[theirs] ?? 0, "\(place): \(theirs)")
      }
    }
    return true
  }
}
