import TestTraits
import Testing

@testable import FinDoctor

@Suite("Metrics: the samples of one census after the other", .onThreads)
struct MetricsHistoryTests {
  private func leaking(_ count: Int = 30) -> MetricStage {
    var stage = MetricStage()
    stage.add(48_121, "api", cgroup: "/system.slice/api.service", open: 100)
    stage.add(48_122, "twin", cgroup: "/system.slice/twin.service")
    stage.add(.listen, of: 48_121) { ($0.receiveQueue, $0.sendQueue, $0.memory.drops) = (3, 16, 7) }
    stage.add(.closeWait, count, of: 48_121) {
      $0.info.lastAcknowledgementReceived = 660_000
      $0.info.lastDataReceived = 700_000
    }
    stage.add(.established, 5, of: 48_122, port: 9090) { $0.receiveQueue = 6 }
    return stage
  }

  @Test("a leaking program has its finding, its states and its age; its healthy twin has no finding")
  func leak() {
    var history = MetricsHistory()
    let samples = history.samples(leaking())
    let found = samples.filter { $0.metric == .findingSockets && $0.label("finding") == "L1" }
    #expect(found.map(\.value) == [.count(30)] && found.first?.label("program") == "api")
    #expect(found.first?.label("unit") == "api.service")
    #expect(!samples.contains { $0.metric == .findingSockets && $0.label("program") == "twin" })
    #expect(samples.value(.sockets, ["program": "api", "kind": "tcp", "state": "close_wait"]) == 30)
    #expect(samples.value(.sockets, ["program": "twin", "kind": "tcp", "state": "established"]) == 5)
    #expect(samples.value(.sockets, ["program": "twin", "kind": "tcp", "state": "close_wait"]) == 0)
    let age = samples.value(.stateAge, ["program": "api", "state": "close_wait"]) ?? 0
    #expect(age > 600 && age <= 660)
    #expect(samples.value(.receiveQueue, ["program": "twin"]) == 30)
    #expect(samples.value(.listenerQueue, ["listener": "127.0.0.1:8080"]) == 3)
    #expect(samples.value(.listenerLimit, ["listener": "127.0.0.1:8080"]) == 16)
    #expect(samples.value(.listenerDropped, ["listener": "127.0.0.1:8080"]) == 7)
    #expect(samples.value(.openDescriptors, ["program": "api"]) == 100)
    #expect(samples.value(.memoryLimit) == Double(3 * ThisProcess.pageSize))
    #expect(samples.value(.namespaceEvents, ["netns": "own", "event": "OutRsts"]) == 7)
  }

  @Test("no process, peer's port, cookie or inode is in a label")
  func noNumbers() {
    var history = MetricsHistory()
    let text = String(decoding: Exposition.text.text(history.samples(leaking()), isOfExporter: false), as: UTF8.self)
    for number in ["48121", "48122", "900700", "70000", "4000", "4026531000"] { #expect(!text.contains(number)) }
  }

  @Test("a series that went is at 0 for an hour, and then gone; one about a limit goes at once")
  func afterlife() {
    var history = MetricsHistory()
    _ = history.samples(leaking(), at: 1000)
    let empty = MetricStage()
    let later = history.samples(empty, at: 1000 + 3599)
    #expect(later.value(.findingSockets, ["finding": "L1"]) == 0)
    #expect(later.value(.sockets, ["program": "api", "state": "close_wait"]) == 0)
    #expect(later.value(.listenerDropped, ["program": "api"]) == 7)
    #expect(later.value(.descriptorLimit, ["program": "api"]) == nil)
    let latest = history.samples(empty, at: 1000 + 3601)
    #expect(!latest.contains { $0.label("program") == "api" })
  }

  @Test("a counter never falls: a listener that began again adds to what was dropped before")
  func restarts() {
    var history = MetricsHistory()
    var stage = leaking()
    func dropped() -> Double? { history.samples(stage).value(.listenerDropped, ["program": "api"]) }
    #expect(dropped() == 7)
    stage.sockets[0].memory.drops = 9
    #expect(dropped() == 9)
    stage.sockets[0].cookie += 1_000_000
    stage.sockets[0].memory.drops = 2
    #expect(dropped() == 11)
    stage.sockets.remove(at: 0)
    #expect(dropped() == 11)
  }

  @Test("a connection in TIME-WAIT belongs to the program that an earlier census saw with it")
  func timeWait() {
    var history = MetricsHistory()
    var stage = leaking()
    let place = stage.add(.established, of: 48_122, port: 9090)
    _ = history.samples(stage, at: 1000)
    stage.sockets[place].state = .timeWait
    stage.sockets[place].inode = 0
    stage.add(.timeWait, of: nil, port: 9091)
    for time in [UInt64(1015), 1030] {
      let samples = history.samples(stage, at: time)
      #expect(samples.value(.sockets, ["program": "twin", "state": "time_wait"]) == 1)
      #expect(samples.value(.sockets, ["program": "unknown", "state": "time_wait"]) == 1)
    }
  }

  @Test("the time until no descriptor is left: none after one look, infinite without growth, then by the growth")
  func exhaustion() {
    var history = MetricsHistory()
    var stage = leaking()
    func left(_ time: UInt64, _ open: UInt32) -> Double? {
      stage.processes[48_121]?.descriptorCount = open
      return history.samples(stage, at: time).value(.descriptorExhaustion, ["program": "api"])
    }
    #expect(left(1000, 100) == nil)
    #expect(left(1015, 100) == .infinity)
    // 150 more in 30 s: 774 are left.
    #expect(left(1030, 250).map { abs($0 - 774 / 5) < 0.001 } == true)
  }

  @Test("programs over the limit are summed, those with findings have their own series, and equals do not take turns")
  func folding() {
    var limits = MetricLimits()
    limits.programs = 3
    var history = MetricsHistory(limits)
    var stage = leaking()
    for number in 0..<6 {
      stage.add(Int32(50_000 + number), "p\(number)")
      stage.add(.established, 10 + number, of: Int32(50_000 + number), port: UInt16(9100 + number))
    }
    func own(_ samples: [MetricSample]) -> Set<String> {
      Set(samples.filter { $0.metric == .receiveQueue }.compactMap { $0.label("program") })
    }
    var samples = history.samples(stage)
    #expect(own(samples) == ["api", "p5", "p4", "other"])
    let others = samples.value(.sockets, ["program": "other", "kind": "tcp", "state": "established"])
    #expect(others == Double(5 + 10 + 11 + 12 + 13))
    #expect(samples.value(.folded, ["what": "programs"]) == 5)
    // p3 grows past p4 by less than a tenth, and then by more.
    var fresh = MetricsHistory(limits)
    stage.add(.established, 2, of: 50_003, port: 9103)
    samples = history.samples(stage)
    #expect(samples.value(.openDescriptors, ["program": "p4"]) != nil)
    #expect(fresh.samples(stage).value(.openDescriptors, ["program": "p3"]) != nil)
    stage.add(.established, 5, of: 50_003, port: 9103)
    samples = history.samples(stage)
    #expect(samples.value(.openDescriptors, ["program": "p3"]) != nil)
  }
}
