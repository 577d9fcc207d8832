import FinBase
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinDoctor

@Suite(
  "Sockets without a descriptor: the kernel, a message or a ring is named, and what changes it",
  .needsScenes, .onThreads, .timeLimit(.minutes(30))
)
struct KeepersFound {
  @Test(
    "L6: a listener, a UDP socket, a Unix socket and a bound socket in a message that was not received",
    arguments: ["listener", "udp", "unix", "bound"])
  func message(mode: String) throws {
    try Scene.with("no_descriptor", mode) { scene in
      let census = try scene.census()
      let descriptor = Int32(try scene.number(2))
      let receiver = try #require(
        census.holders.entries.first { $0.pid == scene.pid && $0.descriptor == descriptor })
      #expect(census.keeper(of: UInt32(try scene.number(0))) == .message(receiver))
      #expect(census.gaps.unseenHolders == 0)
      let finding = try scene.allFindings().only(.noDescriptor)
      #expect(finding.who?.pid == scene.pid && finding.who?.descriptors == [receiver.descriptor])
      let noun = ["listener": "listener", "udp": "UDP socket", "unix": "Unix socket"][mode] ?? "socket"
      #expect(finding.sentence.hasPrefix("1 \(noun) is open"), "\(finding.sentence)")
      #expect(finding.fix.code.hasPrefix("Receive the message"))
      guard mode != "unix" else { return }
      let request = BindRequest(
        NetworkAddress(127, 0, 0, 1), port: UInt16(try scene.number(1)), transport: mode == "udp" ? .udp : .tcp)
      let blocked = try Diagnosis.bindBlocked(in: census, request).only(.bindBlocked)
      #expect(blocked.who?.pid == scene.pid && blocked.fix.code == finding.fix.code)
      #expect(blocked.sentence.contains("is held by a message with descriptors (SCM_RIGHTS)"))
      #expect(blocked.confidence.word != "certain")
    }
  }

  @Test("with messages at two sockets none is named: the kernel does not tell whose message has which socket")
  func severalReceivers() throws {
    try Scene.with("no_descriptor", "several") { scene in
      let keeper = try scene.census().keeper(of: UInt32(try scene.number(0)))
      #expect(keeper == .unclear || keeper == .unseen, "\(String(describing: keeper))")
    }
  }

  @Test("a message that is received between the two looks, or that comes there, holds nothing; a failure is a gap")
  func passing() {
    let receivers = (1...5).map { number in
      Census.Waiting(
        receiver: Holder(inode: UInt32(number), pid: 7, descriptor: Int32(number)), namespace: UInt16(number % 2),
        count: .max)
    }
    // The descriptors in the messages of each receiver, at the first look and at the second.
    func waiting(_ counts: [[Int]], failing: KernelError? = nil) -> (found: [UInt16: [Census.Waiting]], isWhole: Bool) {
      var asked: [[Int32]] = []
      let (found, isWhole) = Census().messagesWithDescriptors(at: receivers) { holders, note in
        asked.append(holders.map(\.descriptor))
        for (place, holder) in holders.enumerated() {
          let count = counts[Int(holder.descriptor) - 1][asked.count - 1]
          var answer = HelperAnswer(bytes: Array("pos:\t0\nflags:\t02\nino:\t9\nscm_fds: \(count)\n".utf8))
          if let failing, holder.descriptor == 2 { answer = HelperAnswer(failure: failing) }
          note(place, answer)
        }
      }
      // The second look asks those that had a message at the first one.
      let waited = (1...5).filter { counts[$0 - 1][0] > 0 && (failing == nil || $0 != 2) }.map(Int32.init)
      #expect(asked == [Array(1...5), waited])
      return (found, isWhole)
    }
    // One that stays, one that was passing, one that becomes fewer, one that came later, one without any.
    let (found, isWhole) = waiting([[3, 3], [2, 0], [5, 1], [0, 4], [0, 0]])
    #expect(found.mapValues { $0.map(\.receiver.descriptor) } == [1: [1, 3]] && isWhole)
    #expect(found[1]?.map(\.count) == [3, 1], "the fewer of both")
    for failure in [KernelError.silent, KernelError(code: EACCES)] {
      let seen = waiting(Array(repeating: [1, 1], count: 5), failing: failure)
      #expect(seen.found.values.flatMap { $0 }.count == 4 && !seen.isWhole)
    }
    // A process that has ended holds nothing.
    #expect(waiting(Array(repeating: [1, 1], count: 5), failing: KernelError(code: ENOENT)).isWhole)
  }

  @Test("L6: the port of a vxlan interface is the kernel's, for information only, and no gap of the census")
  func tunnel() throws {
    let scene: Scene
    do {
      scene = try Scene.begin("no_descriptor", ["vxlan"])
    } catch let error as RigError where error.attempt.contains("missing vxlan") {
      return
    }
    defer { scene.end() }
    // A process that could not be read may hold another socket of that port.
    let finding = try scene.allFindings(.leaks) {
      ($0.gaps.unreadableProcesses, $0.gaps.hidesProcesses) = ([:], false)
    }.only(.noDescriptor)
    let blind = try scene.allFindings(.leaks) { $0.gaps.unreadableProcesses[0] = 1 }.only(.noDescriptor)
    #expect(blind.confidence.word == "likely")
    #expect(finding.severity == .info && finding.who == nil && finding.confidence == .certain)
    #expect(finding.sentence.contains("held by the kernel, for the vxlan interface fin0"))
    let census = try scene.census()
    #expect(census.gaps.unseenHolders == 0)
    let request = BindRequest(NetworkAddress(0, 0, 0, 0), port: 4789, transport: .udp)
    let blocked = try Diagnosis.bindBlocked(in: census, request).only(.bindBlocked)
    #expect(blocked.fix.code.contains("ip link delete fin0") && blocked.who == nil)
  }

  @Test("a socket whose holder was not seen is a gap and no finding; what the kernel holds is no gap")
  func unseen() {
    var listener = InetSocket()
    (listener.state, listener.localPort, listener.inode, listener.user) = (.listen, 80, 7, 1000)
    var census = Census(sockets: [listener])
    census.keepers = [7: .unseen]
    #expect(!Diagnosis.findings(in: census).ids.contains(.noDescriptor))
    let request = BindRequest(NetworkAddress(127, 0, 0, 1), port: 80)
    let blocked = Diagnosis.bindBlocked(in: census, request).first
    #expect(blocked?.sentence.contains("a program of user 1000 listens") == true)
    census.keepers = [7: .kernel]
    let found = Diagnosis.findings(in: census).filter { $0.id == .noDescriptor }
    #expect(found.count == 1 && found.first?.confidence.word == "likely")
    #expect(found.first?.fix.code.contains("a service of the kernel") == true)
    var gaps = CensusGaps()
    #expect(gaps.sentences.isEmpty)
    gaps.unseenHolders = 2
    #expect(gaps.sentences == ["2 sockets are held by processes that could not be seen"])
  }
}
