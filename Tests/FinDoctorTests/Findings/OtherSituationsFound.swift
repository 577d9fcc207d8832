import Peers
import TestTraits
import Testing

@testable import FinDoctor

@Suite(
  "Findings: situations of real programs that only look like another one",
  .needsScenes, .onThreads, .timeLimit(.minutes(30))
)
struct OtherSituationsFound {
  @Test("a program that takes the answer and the end in one recv: no sentence says that a call returned 0")
  func taken() throws {
    try Scene.with("situations", "taken", "3") { scene in
      let finding = try scene.findings().only(.closeWaitKnown)
      #expect(finding.count == 3 && finding["Recv-Q"] == "0")
      #expect(finding.sentence.contains("it read all that was sent, and did not close"), "\(finding.sentence)")
      #expect(finding.why?.contains("or it took the end of file together with the last data") == true)
      let census = try scene.census()
      let place = try #require(census.sockets.firstIndex { $0.state == .closeWait })
      let text = SocketExplanation(of: .inet(place), in: census).events.map(\.text).joined(separator: "; ")
      #expect(text.contains("together with the last data") && !text.contains("it knows"), "\(text)")
    }
  }

  @Test("peers that have finished sending and still receive: a half-close, and not certain")
  func half() throws {
    try Scene.with("situations", "half", "3") { scene in
      let finding = try scene.findings().only(.closeWaitKnown)
      #expect(finding.sentence.contains("whose peers have finished sending and still receive"), "\(finding.sentence)")
      #expect(!finding.sentence.contains("closed") && finding.confidence != .certain)
      #expect(finding.facts.contains { $0.fact == .otherEnd && $0.value?.contains("in FIN-WAIT-2") == true })
    }
  }

  @Test("two processes with SO_REUSEPORT, one of them stopped: the clients wait for that one, and its state is named")
  func reuseport() throws {
    try Scene.with("situations", "reuseport") { scene in
      let stopped = Int32(try scene.number(1))
      let finding = try scene.awaitFinding(.acceptStalled, of: stopped)
      #expect(finding["waiting"] == "1, limit 64" && finding.count == 1)
      #expect(finding.why?.contains("is stopped by a signal (state T)") == true, "\(finding.why ?? "")")
      #expect(try scene.findings().allSatisfy { $0.id != .acceptStalled }, "the healthy one is not blamed")
    }
  }

  @Test("an event loop that waits for room or for the peer is named, and not blamed", arguments: ["room", "end"])
  func loop(mode: String) throws {
    try Scene.with("situations", "loop", "3", mode) { scene in
      let finding = try scene.awaitFinding(mode == "room" ? .peerZeroWindow : .finWait2Held)
      let why = try #require(finding.why)
      #expect(why.contains("watches them for EPOLLIN|EPOLLOUT|EPOLLRDHUP|EPOLLET: no event is due"), "\(why)")
    }
  }

  @Test(
    "a packet filter before a listener with room: the queue is not said to be full",
    .enabled(if: Programs.find("nft") != nil, "needs nft"))
  func filtered() throws {
    try Scene.with("situations", "filtered", "3") { scene in
      let finding = try scene.awaitFinding(.connectStuck) { $0.count == 3 }
      #expect(finding.why?.contains("room in its queue (0 of ") == true, "\(finding.why ?? "")")
      #expect(finding.why?.contains("a packet filter") == true && finding.confidence.word == "likely")
    }
  }

  @Test(
    "nginx with both workers stopped: the workers and not only the master are asked, and their state is the cause",
    .enabled(if: Programs.find("nginx") != nil, "needs nginx"))
  func nginx() throws {
    try Scene.with("situations", "nginx") { scene in
      let pids = try (1...3).map { Int32(try scene.number($0)) }
      let finding = try scene.awaitFinding(.acceptStalled, of: pids[0])
      let why = try #require(finding.why)
      #expect(!why.contains("No epoll set"), "\(why)")
      #expect(why.contains("nginx (pid \(pids[1]))") && why.contains("nginx (pid \(pids[2]))"), "\(why)")
      #expect(why.contains("are stopped by a signal (state T)"), "\(why)")
      var census = try scene.census()
      census.watch(ListenerOverview.processesToWatch(in: census))
      let panel = try #require(ListenerOverview.all(in: census).first { $0.waiting > 0 })
      #expect(panel.acceptors.count { $0.isHalted } == 2 && panel.halted.allSatisfy { why.contains($0) })
    }
  }
}
