import Testing

@testable import FinDoctor

/// A census for the metrics, built row by row.
struct MetricStage {
  var sockets: [InetSocket] = []
  var holders: [Holder] = []
  var programs: [Int32: Program] = [:]
  var processes: [Int32: HoldingProcess] = [:]
  private var next: UInt32 = 700_001

  /// Adds a program in a cgroup, with its numbers of descriptors.
  mutating func add(
    _ pid: Int32, _ name: String, cgroup: String? = nil, open: UInt32 = 20, limit: UInt64 = 1024
  ) {
    var program = Program(pid: pid, name: name)
    program.cgroupPath = cgroup
    program.descriptorLimit = limit
    programs[pid] = program
    processes[pid] = HoldingProcess(pid: pid, descriptorCount: open)
  }

  /// Adds sockets of a program, and returns the first one's place.
  @discardableResult
  mutating func add(
    _ state: SocketState, _ count: Int = 1, of pid: Int32?, port: UInt16 = 8080,
    _ change: (inout InetSocket) -> Void = { _ in }
  ) -> Int {
    let place = sockets.count
    for number in 0..<count {
      var socket = Stage.row(state, pid == nil ? 0 : next, local: port, remote: UInt16(40_000 + number % 20_000))
      socket.cookie = 900_000_000 + UInt64(next)
      change(&socket)
      sockets.append(socket)
      if let pid { holders.append(Holder(inode: next, pid: pid, descriptor: Int32(number + 3))) }
      next += 1
    }
    return place
  }

  /// The census, at a time in seconds.
  func census(at seconds: UInt64 = 1000) -> Census {
    var namespace = Namespace(inode: 4_026_531_000)
    namespace.limits.ephemeralPorts = 32768...60999
    namespace.limits.orphans = 65536
    namespace.limits.memoryPages = [1, 2, 3]
    namespace.counters = Counters(["TcpExt.ListenDrops": 5, "Tcp.OutRsts": 7])
    return Census(
      sockets: ContiguousArray(sockets),
      holders: Holders(
        sockets: ContiguousArray(holders),
        processes: ContiguousArray(processes.values.sorted { $0.pid < $1.pid })), programs: programs,
      namespaces: [namespace], when: Census.Moment(monotonic: seconds * 1_000_000_000))
  }
}

extension [MetricSample] {
  /// The value of the only sample with these labels; nil if there is none.
  func value(_ metric: Metric, _ labels: [String: String] = [:]) -> Double? {
    let found = filter { sample in sample.metric == metric && labels.allSatisfy { sample.label($0.key) == $0.value } }
    if found.count > 1 { Issue.record("\(found.count) samples of \(metric.name) have \(labels)") }
    return found.first?.value.number
  }
}

extension MetricsHistory {
  /// The samples of a staged census, with the findings that a diagnosis makes.
  mutating func samples(_ stage: MetricStage, at seconds: UInt64 = 1000) -> [MetricSample] {
    let census = stage.census(at: seconds)
    return samples(of: Look(census, findings: Diagnosis.findings(in: census)))
  }
}
