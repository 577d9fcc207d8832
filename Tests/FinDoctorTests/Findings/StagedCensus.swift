import Testing

@testable import FinDoctor

/// A census and options in which every fact of a claim can be read, so that a finding makes that claim.
struct StagedCensus: Sendable, CustomTestStringConvertible {
  /// The rule's code and the name of its claim.
  var id: FindingID
  var claim: String
  var census: Census
  var options = Diagnosis.Options()
  /// Whether the finding is one of a program that has ended, or of a bind.
  var judge: @Sendable (Census, Diagnosis.Options) -> [Finding] = { Diagnosis.findings(in: $0, $1) }

  var testDescription: String { "\(id.rawValue) \(claim)" }

  /// The finding that makes the claim.
  var finding: Finding? { judge(census, options).first { $0.id == id && $0.claim.name == claim } }

  init(
    _ id: FindingID, _ claim: String, _ sockets: [InetSocket], change: (inout StagedCensus) -> Void = { _ in }
  ) {
    (self.id, self.claim) = (id, claim)
    census = Stage.census(sockets)
    change(&self)
  }
}

/// Parts of staged censuses.
enum Stage {
  /// The process of the program that is judged, and that of the program at the other ends.
  static let (program, peer): (Int32, Int32) = (50, 60)

  /// A row of a connection from 127.0.0.1, or of a listener there. An even inode belongs to the peer's program.
  static func row(
    _ state: SocketState, _ inode: UInt32, local: UInt16 = 80, remote: UInt16 = 50_000,
    _ change: (inout InetSocket) -> Void = { _ in }
  ) -> InetSocket {
    var socket = InetSocket()
    (socket.state, socket.inode, socket.cookie) = (state, inode, UInt64(inode) + 1000)
    (socket.localBits, socket.remoteBits) = (AddressBits(low: 0x7f00_0001), AddressBits(low: 0x7f00_0001))
    (socket.localPort, socket.remotePort, socket.shutdown) = (local, remote, 0)
    if state == .listen { (socket.remoteBits, socket.remotePort) = (AddressBits(), 0) }
    (socket.info.lastDataSent, socket.info.lastDataReceived) = (100_000, 100_000)
    socket.info.lastAcknowledgementReceived = 100_000
    change(&socket)
    return socket
  }

  static func listener(waiting: UInt32 = 3, limit: UInt32 = 16, _ change: (inout InetSocket) -> Void = { _ in })
    -> InetSocket
  {
    row(.listen, 7) {
      ($0.receiveQueue, $0.sendQueue, $0.memory.drops) = (waiting, limit, 0)
      change(&$0)
    }
  }

  /// A client that waits in the queue of ``listener(waiting:limit:_:)``.
  static func client(_ remote: UInt16) -> InetSocket {
    row(.established, 0, remote: remote) { $0.info.bytesReceived = 0 }
  }

  static func census(_ sockets: [InetSocket]) -> Census {
    let held = sockets.filter { $0.inode != 0 }
    let holders = held.map {
      Holder(inode: $0.inode, pid: $0.inode.isMultiple(of: 2) ? peer : program, descriptor: Int32($0.inode))
    }
    var namespace = Namespace(inode: 1)
    namespace.limits.ephemeralPorts = 50_000...50_099
    namespace.counters = Counters(["TcpExt.ListenOverflows": 5])
    var programs: [Int32: Program] = [:]
    var watchers: [Int32: Watchers] = [:]
    for (pid, name) in [(program, "api"), (peer, "client")] {
      programs[pid] = Program(pid: pid, name: name)
      programs[pid]?.descriptorLimit = 1024
      watchers[pid] = Watchers(state: ProcessState(letter: UInt8(ascii: "S")))
    }
    return Census(
      sockets: ContiguousArray(sockets),
      holders: Holders(
        sockets: ContiguousArray(holders),
        processes: ContiguousArray([program, peer].map { HoldingProcess(pid: $0, descriptorCount: 20) })),
      programs: programs, watchers: watchers, namespaces: [namespace], when: Census.Moment(monotonic: 10_000_000_000))
  }

  /// A Unix socket of the program.
  static func unix(_ inode: UInt32, _ state: SocketState, _ change: (inout UnixSocket) -> Void) -> UnixSocket {
    var socket = UnixSocket()
    (socket.inode, socket.state, socket.cookie) = (inode, state, UInt64(inode))
    change(&socket)
    return socket
  }

  /// Holders of these inodes by process, with these numbers of descriptors.
  static func holders(_ all: [(UInt32, Int32)], counts: [Int32: UInt32] = [:]) -> Holders {
    Holders(
      sockets: ContiguousArray(all.map { Holder(inode: $0.0, pid: $0.1, descriptor: Int32($0.0)) }),
      processes: ContiguousArray(
        Set(all.map(\.1)).map { HoldingProcess(pid: $0, descriptorCount: counts[$0] ?? 20) }))
  }
}
