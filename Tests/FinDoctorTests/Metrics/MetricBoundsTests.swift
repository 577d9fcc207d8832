import Glibc
import TestTraits
import Testing

@testable import FinDoctor

@Suite("Metrics: the number of samples is bounded", .timeLimit(.minutes(30)), .onThreads)
struct MetricBoundsTests {
  /// A census of many programs that have sockets in every state, with listeners and leaks.
  private func crowd(_ programs: Int, _ sockets: Int) -> MetricStage {
    var stage = MetricStage()
    let states: [SocketState] = [.established, .closeWait, .finWait2, .synSent, .lastAck, .finWait1, .bound, .closing]
    for number in 0..<programs {
      let pid = Int32(10_000 + number)
      stage.add(pid, "program-\(number)", cgroup: "/system.slice/unit-\(number).service", open: 900)
      let port = UInt16(1024 + number % 30_000)
      stage.add(.listen, of: pid, port: port) { ($0.receiveQueue, $0.sendQueue, $0.memory.drops) = (9, 8, 3) }
      for place in 0..<(sockets / programs - 1) {
        stage.add(.established, of: pid, port: port) {
          $0.state = states[(place + number) % states.count]
          $0.remotePort = UInt16(1024 + (place * 7 + number) % 60_000)
        }
      }
    }
    return stage
  }

  private func check(_ samples: [MetricSample], _ limits: MetricLimits) {
    #expect(samples.count <= limits.samples)
    #expect(Set(samples.map(\.series)).count == samples.count)
  }

  /// `FIN_METRIC_PROGRAMS` sets another number of programs, such as 10,000.
  @Test("2,000 programs with 20,000 sockets: at most 4,000 samples, now and when all of them are replaced")
  func worst() {
    let limits = MetricLimits()
    var history = MetricsHistory(limits)
    let programs = unsafe getenv("FIN_METRIC_PROGRAMS").flatMap { unsafe Int(String(cString: $0)) } ?? 2000
    var census = crowd(programs, 10 * programs).census()
    let findings = Diagnosis.findings(in: census)
    #expect(census.sockets.count == 10 * programs && findings.count > programs)
    let samples = history.samples(of: .init(census, findings: findings))
    check(samples, limits)
    for metric in Metric.all {
      let count = samples.count { $0.metric == metric }
      #expect(count <= metric.bound.most(limits), "\(metric.name): \(count)")
    }
    // Nothing is lost: the sum over all programs is that of the census.
    let sum = samples.filter { $0.metric == .sockets }.reduce(0) { $0 + $1.value.number }
    #expect(sum == 10 * Double(programs))
    for pid in census.programs.keys { census.programs[pid]?.name += "-new" }
    census.when.monotonic += 15_000_000_000
    check(history.samples(of: .init(census, findings: [])), limits)
  }

  @Test("a typical host, of 25 programs with 170 sockets: at most 500 samples")
  func typical() {
    var history = MetricsHistory()
    var stage = MetricStage()
    for number in 0..<25 {
      let pid = Int32(10_000 + number)
      stage.add(pid, "program-\(number)", cgroup: "/system.slice/unit-\(number).service")
      // Every second one is a server; the others have Unix sockets alone, which make fewer samples.
      if number.isMultiple(of: 2) {
        stage.add(.listen, of: pid, port: UInt16(8000 + number)) { ($0.sendQueue, $0.memory.drops) = (128, 0) }
        stage.add(.established, 12, of: pid, port: UInt16(8000 + number))
      }
    }
    var census = stage.census()
    for number in 0..<25 {
      var socket = UnixSocket()
      (socket.inode, socket.state, socket.cookie) = (UInt32(100 + number), .established, UInt64(100 + number))
      census.unixSockets.append(socket)
    }
    census.holders = Holders(
      sockets: census.holders.entries
        + (0..<25).map { Holder(inode: UInt32(100 + $0), pid: Int32(10_000 + $0), descriptor: 3) },
      processes: census.holders.processes)
    let samples = history.samples(of: .init(census))
    #expect(samples.count > 200 && samples.count <= 500, "\(samples.count)")
  }
}
