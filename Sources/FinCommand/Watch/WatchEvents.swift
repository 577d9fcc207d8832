import FinDoctor

/// A change of a finding from one look to the next.
struct WatchEvent: Sendable {
  /// The kinds of change. The raw values are the words of `--lines` and `--json`.
  enum Kind: String, CaseIterable, Sendable {
    /// It was there in the first look.
    case stands
    case began
    /// Its severity rose, or its count has doubled since it was last printed.
    case worsened
    case ended
  }

  var kind: Kind
  var finding: Finding
  /// Findings that explain each other share it.
  var chain: Int
}

/// Follows findings from look to look, and gives each a number that stays.
///
/// A finding has no name of its own: its sentence, its count and its sockets change. It is the same one as before if
/// the kind and the program are the same, and it has a socket, a local port or a peer in common with it.
struct WatchEvents: Sendable {
  private struct Known {
    var number: Int
    var finding: Finding
    var chain: Int
    var anchors: Set<Anchor>
    /// The severity and the count when it was last printed.
    var printed: (severity: Severity, count: Int)
  }

  /// A thing that two findings may have in common.
  enum Anchor: Hashable, Sendable {
    case socket(UInt64)
    case localPort(UInt16)
    case peer(NetworkAddress, UInt16)
    case remotePort(UInt16)
  }

  private struct Kind: Hashable {
    var id: FindingID
    var pid: Int32?
    var unit: String?
    var user: UInt32?

    init(_ finding: Finding) {
      (id, pid) = (finding.id, finding.who?.pid)
      (unit, user) = pid == nil ? (finding.who?.unit, finding.who?.user) : (nil, nil)
    }
  }

  private var known: [Known] = []
  private var last = 0
  private var isFirst = true

  /// The most rows that are looked at for each finding.
  private static let mostRows = 256

  /// Numbers the findings of the next look, and returns what has changed.
  mutating func follow(_ findings: inout [WatchFinding], _ rows: [WatchRow]) -> [WatchEvent] {
    var rest = Dictionary(grouping: known) { Kind($0.finding) }
    var next: [Known] = []
    var events: [WatchEvent] = []
    for place in findings.indices {
      let current = findings[place]
      let anchors = Self.anchors(of: current, rows)
      let alike = rest[Kind(current.finding)] ?? []
      let scores = alike.map { before in
        before.anchors.isEmpty && anchors.isEmpty ? 1 : before.anchors.intersection(anchors).count
      }
      var one: Known
      if let best = scores.indices.max(by: { scores[$0] < scores[$1] }), scores[best] > 0 {
        one = alike[best]
        rest[Kind(current.finding)]?.remove(at: best)
        if current.finding.severity > one.printed.severity || current.finding.count >= one.printed.count * 2 {
          events.append(WatchEvent(kind: .worsened, finding: current.finding, chain: current.chain))
          one.printed = (current.finding.severity, max(1, current.finding.count))
        }
      } else {
        last += 1
        one = Known(
          number: last, finding: current.finding, chain: current.chain, anchors: [],
          printed: (current.finding.severity, max(1, current.finding.count)))
        events.append(
          WatchEvent(kind: isFirst ? .stands : .began, finding: current.finding, chain: current.chain))
      }
      (one.finding, one.chain, one.anchors) = (current.finding, current.chain, anchors)
      findings[place].number = one.number
      next.append(one)
    }
    let left = Set(next.map(\.number))
    for old in known where !left.contains(old.number) {
      events.append(WatchEvent(kind: .ended, finding: old.finding, chain: old.chain))
    }
    (known, isFirst) = (next, false)
    return events
  }

  private static func anchors(of finding: WatchFinding, _ rows: [WatchRow]) -> Set<Anchor> {
    let members = finding.members.prefix(mostRows).map { rows[Int($0)] }
    var anchors = Set(members.map { Anchor.socket($0.isDetached ? UInt64($0.descriptor) : $0.identity) })
    guard let first = members.first else { return anchors }
    // A port that connect chose is in common with no other socket: it only counts if all have it.
    if members.allSatisfy({ $0.localPort == first.localPort }), first.localPort != 0 {
      anchors.insert(.localPort(first.localPort))
    }
    if members.allSatisfy({ $0.remotePort == first.remotePort }), first.remotePort != 0 {
      anchors.insert(.remotePort(first.remotePort))
      if members.allSatisfy({ $0.remote == first.remote }) { anchors.insert(.peer(first.remote, first.remotePort)) }
    }
    return anchors
  }
}
