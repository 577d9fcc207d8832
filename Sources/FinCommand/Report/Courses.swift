import FinDoctor

/// The numbers that looks have in common, look by look: what grew is seen in them.
struct Courses: Sendable {
  /// A thing that each look counts.
  enum Quantity: Hashable, Sendable {
    /// The sockets of a program in a state.
    case sockets(ReportPeriod.Process, SocketState)
    case descriptors(ReportPeriod.Process)
    /// The clients that wait in the accept queue of a listener, by its identity.
    case waiting(UInt64)
    /// The connection attempts that a listener dropped.
    case drops(UInt64)
    /// The local ports of connections to a port of other machines, or of this one.
    case ports(UInt16)
    /// The sockets, or whatever else it counts, of a finding.
    case finding(ReportPeriod.FindingKey)
    case peer(NetworkAddress)

    /// Whether the value at the first look that has it is where it began, and not what it grew by.
    fileprivate var beginsWithItself: Bool {
      switch self {
      case .descriptors, .drops: true
      case .sockets, .waiting, .ports, .finding, .peer: false
      }
    }

    fileprivate var isPeer: Bool { if case .peer = self { true } else { false } }
  }

  /// The values of a quantity at the looks.
  struct Course: Hashable, Sendable {
    fileprivate(set) var values: [Int32]
    fileprivate(set) var neverFell = true

    var first: Int { values.first.map { Int($0) } ?? 0 }
    var last: Int { values.last.map { Int($0) } ?? 0 }
    var growth: Int { last - first }

    /// The values for a drawing: the last of each stretch of looks.
    func values(atMost count: Int) -> [Int] {
      guard values.count > count else { return values.map { Int($0) } }
      return (1...count).map { Int(values[$0 * values.count / count - 1]) }
    }
  }

  /// The most quantities that are followed; those that appear later are left out and counted.
  static let most = 20_000

  private(set) var all: [Quantity: Course] = [:]
  private(set) var leftOut = 0
  private var looks = 0

  /// Takes the counts of a look.
  mutating func take(_ counts: [Quantity: Int]) {
    // Peers are many, and come last.
    for arePeers in [false, true] {
      for quantity in counts.keys where all[quantity] == nil && quantity.isPeer == arePeers {
        guard all.count < Self.most else {
          leftOut += 1
          continue
        }
        // A program that has just begun has not grown to what it has, and a counter began with its listener.
        let before = quantity.beginsWithItself ? Int32(clamping: counts[quantity] ?? 0) : 0
        all[quantity] = Course(values: Array(repeating: before, count: looks))
      }
    }
    for quantity in all.keys {
      let value = Int32(clamping: counts[quantity] ?? 0)
      if let before = all[quantity]?.values.last, before > value { all[quantity]?.neverFell = false }
      all[quantity]?.values.append(value)
    }
    looks += 1
  }

  /// The quantities that are larger at the last look than at the first: those that never fell first, then by growth.
  var grown: [(quantity: Quantity, course: Course)] {
    all.filter { $0.value.growth > 0 }.map { ($0.key, $0.value) }.sorted { left, right in
      let (l, r) = (left.1, right.1)
      if l.neverFell != r.neverFell { return l.neverFell }
      return l.growth == r.growth ? "\(left.0)" < "\(right.0)" : l.growth > r.growth
    }
  }

  /// The counts of a census.
  static func counts(of census: Census, _ findings: [Finding]) -> [Quantity: Int] {
    var counts: [Quantity: Int] = [:]
    var processes: [Int32: ReportPeriod.Process] = [:]
    func process(_ pid: Int32) -> ReportPeriod.Process {
      if let known = processes[pid] { return known }
      let process = ReportPeriod.Process(pid: pid, started: census.programs[pid]?.started ?? 0)
      processes[pid] = process
      return process
    }
    for socket in census.sockets where socket.transport != .udp {
      if socket.remotePort != 0 { counts[.peer(socket.remoteAddress), default: 0] += 1 }
      guard let holder = census.holders.first(of: socket.inode) else { continue }
      counts[.sockets(process(holder.pid), socket.state), default: 0] += 1
    }
    for process in census.holders.processes {
      guard let count = process.descriptorCount, let program = census.programs[process.pid] else { continue }
      let started = program.started ?? 0
      counts[.descriptors(.init(pid: process.pid, started: started))] = Int(count)
    }
    for overview in ListenerOverview.all(in: census) {
      let identity: UInt64 =
        switch overview.place {
        case .inet(let place): census.sockets[place].identity
        case .unix(let place): census.unixSockets[place].cookie
        }
      counts[.waiting(identity)] = overview.waiting
      if let drops = overview.drops { counts[.drops(identity)] = drops }
    }
    for budget in PortBudget.all(in: census) where !budget.route.isAnyOther {
      counts[.ports(budget.route.port), default: 0] += budget.connected + budget.resting
    }
    for finding in findings {
      counts[.finding(.init(id: finding.id, pid: finding.who?.pid)), default: 0] += finding.count
    }
    return counts
  }
}
