import FinDoctor
import Peers
import TestTraits
import Testing

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
