/// A program as the metrics name it: all processes of one name in one unit.
package struct ProgramLabel: Hashable, Comparable, Sendable {
  /// The name; for an interpreter, its script.
  package var program: String
  /// The unit or container.
  package var unit: String

  /// The sum of the programs that have no series of their own.
  static let other = ProgramLabel(program: "other", unit: UnitName.none)
  /// The program of sockets whose holder could not be seen, or is gone.
  static let unknown = "unknown"
  /// The machine as a whole, for a finding about no program.
  static let machine = ProgramLabel(program: UnitName.none, unit: UnitName.none)

  var labels: [String] { [program, unit] }

  package static func < (left: ProgramLabel, right: ProgramLabel) -> Bool {
    (left.program, left.unit) < (right.program, right.unit)
  }
}

/// The kinds of sockets that `fin_sockets` tells apart.
enum SocketKind: Int, CaseIterable {
  case tcp, udp, mptcp, unix

  init(_ transport: Transport) {
    self =
      switch transport {
      case .tcp: .tcp
      case .udp: .udp
      case .mptcp: .mptcp
      }
  }

  var name: String { "\(self)" }
}

/// The values of the label `state`: those of node_exporter, with three more.
enum StateName {
  /// The names, by the kernel's number.
  static let all = [
    "unknown", "established", "syn_sent", "syn_recv", "fin_wait1", "fin_wait2", "time_wait", "unconnected",
    "close_wait", "last_ack", "listen", "closing", "syn_recv", "bound", "detached", "waiting_accept",
  ]
  /// A descriptor whose socket no table lists.
  static let detached = 14
  /// A connection in an accept queue.
  static let waiting = 15
  /// The states that each program with TCP has a series of, also at 0: a leak begins there.
  static let always =
    [SocketState.established, .synSent, .finWait1, .finWait2, .closeWait, .lastAck]
    .map { Int($0.rawValue) } + [detached]
  /// The states whose age is a metric.
  static let aged: [SocketState] = [.synSent, .finWait1, .finWait2, .closeWait, .lastAck]

  static func place(of state: SocketState) -> Int {
    switch state {
    case .newSynReceived: Int(SocketState.synReceived.rawValue)
    case _ where state.rawValue <= 13: Int(state.rawValue)
    default: 0
    }
  }
}

/// The sums of one program.
struct ProgramTally {
  /// The part of a finding's series beside the program.
  struct FindingLabel: Hashable {
    var id: FindingID
    var severity: Severity
  }

  /// The number of sockets, by kind and state.
  private(set) var states = ContiguousArray<Int>(repeating: 0, count: SocketKind.allCases.count * StateName.all.count)
  /// The largest lower bound of a state's age in milliseconds, by state.
  var ages = [UInt64?](repeating: nil, count: StateName.all.count)
  var findings: [FindingLabel: Int] = [:]
  var received = 0
  var toSend = 0
  var memory = 0
  var sockets = 0
  /// The process nearest to its limit of descriptors.
  var worst: (pid: Int32, open: Int, limit: Int)?

  mutating func count(_ kind: SocketKind, _ state: Int, _ number: Int = 1) {
    states[kind.rawValue * StateName.all.count + state] += number
    sockets += number
  }

  /// Counts a row with its queues and its memory.
  mutating func count(_ socket: InetSocket) {
    count(
      SocketKind(socket.transport), socket.isWaitingForAccept ? StateName.waiting : StateName.place(of: socket.state))
    if socket.state != .listen {
      received += Int(socket.receiveQueue)
      toSend += Int(socket.sendQueue)
    }
    for part in [socket.memory.received, socket.memory.queued, socket.memory.reserved, socket.memory.backlog] {
      memory += Int(part ?? 0)
    }
  }

  subscript(kind: SocketKind, state: Int) -> Int { states[kind.rawValue * StateName.all.count + state] }

  mutating func age(_ state: Int, _ milliseconds: UInt64) { ages[state] = max(ages[state] ?? 0, milliseconds) }

  mutating func take(_ pid: Int32, open: Int, limit: Int) {
    guard limit > 0 else { return }
    if let worst, Double(worst.open) / Double(worst.limit) >= Double(open) / Double(limit) { return }
    worst = (pid, open, limit)
  }

  /// Adds the sums of another program.
  mutating func add(_ other: ProgramTally) {
    for place in states.indices { states[place] += other.states[place] }
    for (state, age) in other.ages.enumerated() { if let age { self.age(state, age) } }
    findings.merge(other.findings, uniquingKeysWith: +)
    received += other.received
    toSend += other.toSend
    memory += other.memory
    sockets += other.sockets
    if let worst = other.worst { take(worst.pid, open: worst.open, limit: worst.limit) }
  }

  /// The weight by which programs are ranked: findings first, then the number of sockets.
  var weight: Double {
    let severity = findings.keys.map { $0.severity.rawValue + 1 }.max() ?? 0
    return Double(severity) * 1e9 + Double(sockets)
  }

  /// The number of samples that this program makes.
  var sampleCount: Int { samples(ProgramLabel.other, exhaustion: .infinity).count }

  /// The samples.
  /// - Parameter exhaustion: The seconds until ``worst`` has no descriptor left; nil if it was seen only once.
  func samples(_ label: ProgramLabel, exhaustion: Double?) -> [MetricSample] {
    var all: [MetricSample] = []
    for (finding, count) in findings {
      all.append(
        MetricSample(
          .findingSockets, [finding.id.rawValue, finding.severity.description] + label.labels, .count(count)))
    }
    for kind in SocketKind.allCases {
      let counts = StateName.all.indices.map { self[kind, $0] }
      guard counts.contains(where: { $0 > 0 }) else { continue }
      for (state, count) in counts.enumerated() where count > 0 || kind == .tcp && StateName.always.contains(state) {
        all.append(MetricSample(.sockets, label.labels + [kind.name, StateName.all[state]], .count(count)))
      }
    }
    for (state, age) in ages.enumerated() {
      guard let age else { continue }
      all.append(MetricSample(.stateAge, label.labels + [StateName.all[state]], .number(Double(age) / 1000)))
    }
    let hasConnections = [SocketKind.tcp, .udp, .mptcp].contains { kind in
      StateName.all.indices.contains { self[kind, $0] > 0 }
    }
    if hasConnections {
      all.append(MetricSample(.receiveQueue, label.labels, .count(received)))
      all.append(MetricSample(.sendQueue, label.labels, .count(toSend)))
      all.append(MetricSample(.memory, label.labels, .count(memory)))
    }
    if let worst {
      all.append(MetricSample(.openDescriptors, label.labels, .count(worst.open)))
      all.append(MetricSample(.descriptorLimit, label.labels, .count(worst.limit)))
      if let exhaustion { all.append(MetricSample(.descriptorExhaustion, label.labels, .number(exhaustion))) }
    }
    return all
  }
}
