import FinDoctor
import Peers
import TestTraits
import Testing

@Suite("The port budget agrees with the kernel", .needsScenes, .onThreads, .timeLimit(.minutes(30)))
struct PortBudgetScenes {
  /// A network namespace with a hundred ephemeral ports.
  private func network(reuse: String = "0") throws -> NetworkNamespace {
    let network = try NetworkNamespace()
    try network.setSysctl("net/ipv4/ip_local_port_range", "40000 40099")
    try network.setSysctl("net/ipv4/tcp_tw_reuse", reuse)
    return network
  }

  private func budget(_ scene: Scene, to port: UInt16? = 7000, since earlier: Census? = nil) throws -> PortBudget {
    try #require(
      PortBudget.all(in: scene.census(), since: earlier).first {
        port == nil ? $0.route.isAnyOther : $0.route.port == port
      })
  }

  /// Sends the program a command and returns its answer: a count, and the reason why it stopped.
  private func wish(_ words: String, _ scene: Scene) throws -> String {
    try scene.program.write(words + "\n")
    return try #require(try scene.program.readLine(within: .seconds(60)))
  }

  @Test(
    "connected, TIME-WAIT and bound ports are counted exactly, and connect succeeds as often as predicted",
    arguments: [(20, 15, 5), (0, 40, 0), (60, 0, 39), (1, 0, 99)])
  func exact(connected: Int, resting: Int, bound: Int) throws {
    try Scene.with("port_budget", "\(connected)", "\(resting)", "\(bound)", in: network()) { scene in
      guard connected + resting > 0 else { return }
      let budget = try budget(scene)
      #expect(budget.connected == connected && budget.resting == resting && budget.bound == bound)
      #expect(budget.boundHere == bound && budget.capacity == 100 && budget.reusable == 0)
      #expect(budget.free == 100 - connected - resting - bound)
      #expect(budget.users.first?.pid == (connected > 0 ? scene.pid : nil))
      #expect(bound == 0 || budget.binders == [.init(pid: scene.pid, ports: bound)])
      #expect(try wish("fill", scene) == "\(budget.free) EADDRNOTAVAIL")
      let full = try self.budget(scene)
      #expect(full.free == 0 && full.share == 1 && full.remedies().contains(.portsExhausted))
    }
  }

  @Test("a port bound before connect is unavailable for every other destination")
  func bindFirst() throws {
    try Scene.with("port_budget", "30", "0", "0", "bind-first", in: network()) { scene in
      let here = try budget(scene)
      #expect(here.connected == 30 && here.bound == 0 && here.free == 70)
      let other = try budget(scene, to: nil)
      #expect(other.bound == 30 && other.boundProbably == 30 && other.free == 70)
      #expect(other.remedies() == [.bindBeforeConnect])
      #expect(try wish("fill other", scene) == "70 EADDRNOTAVAIL")
    }
    // Ports that connect chose stay available for other destinations.
    try Scene.with("port_budget", "30", "0", "0", in: network()) { (scene) throws in
      #expect(try wish("fill other", scene) == "100 EADDRNOTAVAIL")
      #expect(try budget(scene, to: 7001).connected == 100)
      #expect(try budget(scene).free == 70)
    }
  }

  @Test("a reserved port is not available")
  func reserved() throws {
    let network = try network()
    try network.setSysctl("net/ipv4/ip_local_reserved_ports", "40050-40059,40070")
    try Scene.with("port_budget", "10", "0", "0", in: network) { scene in
      let budget = try budget(scene)
      #expect(budget.capacity == 89 && budget.free == 79)
      #expect(try wish("fill", scene) == "79 EADDRNOTAVAIL")
    }
  }

  @Test("with tcp_tw_reuse, ports in TIME-WAIT for a second are counted as reusable, and connect gets them")
  func reuse() throws {
    try Scene.with("port_budget", "10", "30", "0", in: network(reuse: "2")) { scene in
      try eventually(within: .seconds(30), "30 that may be used again") { try self.budget(scene).reusable == 30 }
      let budget = try budget(scene)
      #expect(budget.resting == 30 && budget.free == 60)
      #expect(try wish("fill", scene) == "90 EADDRNOTAVAIL")
    }
  }

  @Test("two censuses: every connect between them is counted, also those already in TIME-WAIT")
  func pace() throws {
    try Scene.with("port_budget", "5", "5", "0", in: network()) { scene in
      let earlier = try scene.census()
      #expect(try wish("hold 10", scene) == "10 -")
      #expect(try wish("churn 6", scene) == "6 -")
      let budget = try budget(scene, since: earlier)
      let pace = try #require(budget.pace)
      #expect(pace.opened == 16 && pace.openedAtMost == 16 && pace.growth == 16)
      // 74 ports are left, and 16 were taken in that time.
      let seconds = Double(pace.interval / .milliseconds(1)) / 1000
      let exhaustion = try #require(pace.exhaustion)
      let expected = UInt64(74 / 16 * seconds * 1000)
      #expect(exhaustion.lower <= expected && expected <= exhaustion.upper, "\(exhaustion) \(expected)")
    }
  }
}
