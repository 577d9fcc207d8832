import FinBase

@testable import FinDoctor

/// Numbers that depend on a seed alone (SplitMix64).
struct SeededNumbers: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 &+ 1 }

  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var value = state
    value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
    value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
    return value ^ value >> 31
  }

  mutating func number(_ most: UInt64) -> UInt64 { UInt64.random(in: 0...most, using: &self) }
  mutating func flag() -> Bool { next() & 1 == 0 }
}

extension NetworkAddress {
  /// Whether a redaction keeps it.
  var isKept: Bool {
    if let v4 = asIPv4 { return v4 >> 24 == 0 || v4 >> 24 == 127 || v4 >> 16 == 0xa9fe || v4 >> 29 == 7 }
    return bits.high == 0 || isLinkLocal || bits.high >> 56 == 0xff
  }
}

extension CensusRecord {
  /// A record of some programs and sockets, with random values that fit together as far as the model demands it.
  static func random(_ random: inout SeededNumbers) -> CensusRecord {
    var record = CensusRecord()
    var other = Namespace(inode: 7, name: "secret net", isOwn: false)
    other.limits.ephemeralPorts = 32768...60999
    other.limits.finTimeout = .seconds(Int64(random.number(100)))
    other.limits.receiveBuffer = 212_992
    other.interfaces = ["secret1": 3]
    other.counters = Counters(["TcpExt.ListenDrops": Int64(random.number(9)), "sockstat.TCP.tw": -1])
    record.census.namespaces = [Namespace(inode: 5), other]
    record.retryLimits = [TCPRetryLimits(), TCPRetryLimits()]
    record.retryLimits[1].dataRetries = Int(random.number(15))
    var holders: ContiguousArray<Holder> = []
    var processes: ContiguousArray<HoldingProcess> = []
    for pid in 100..<104 as Range<Int32> {
      var program = Program(pid: pid, name: "secret-\(pid % 3)", user: UInt32(random.number(3)))
      program.commandLine = "secret --password secret\\x1b"
      program.executable = random.flag() ? "/opt/secret/\(pid)" : nil
      program.age = random.flag() ? .nanoseconds(Int64(random.number(1 << 40))) : nil
      program.started = random.flag() ? random.number(1 << 40) : nil
      program.parent = random.flag() ? 1 : nil
      program.group = random.flag() ? 100 : nil
      program.fileName = "secret-file"
      program.descriptorLimit = random.flag() ? 1024 : nil
      program.unit = random.flag() ? "secret.service" : nil
      record.census.programs[pid] = program
      processes.append(
        HoldingProcess(
          pid: pid, user: program.user, descriptorCount: random.flag() ? UInt32(random.number(1100)) : nil,
          isReadable: random.flag()))
      record.census.watchers[pid] = Watchers(
        interests: [
          .init(epoll: 4, descriptor: 9, events: UInt32(random.number(0x2001)), inode: UInt32(random.number(40)))
        ],
        blocked: [.init(thread: pid, call: "recvfrom", descriptor: Int32(random.number(20)))], isComplete: random.flag()
      )
    }
    record.languages[100] = .python
    record.census.watchers[101]?.state = ProcessState(letter: UInt8(ascii: "T"))
    record.census.watchers[102]?.unanswered = [.threads]
    record.census.watchers[102]?.cut = ["epoll set 4 of process 102 is longer than 1 MiB"]
    for place in 0..<30 {
      let socket = InetSocket.random(&random, cookie: UInt64(place + 1))
      record.census.sockets.append(socket)
      if socket.inode != 0 {
        let holder = Holder(
          inode: socket.inode, pid: 100 + Int32(random.number(3)), descriptor: Int32(random.number(1 << 20)))
        holders.append(holder)
        if random.flag() { record.flags[holder] = 0o2004002 }
      }
    }
    record.census.holders = Holders(
      sockets: holders, processes: processes, epolls: [Holder(inode: 0, pid: 100, descriptor: 4)])
    for name in [[], Array("/run/secret".utf8), [0, 255, 1], [0] + Array("secret".utf8)] as [[UInt8]] {
      var socket = UnixSocket()
      (socket.cookie, socket.inode) = (random.number(1 << 40) + 1, UInt32(random.number(1 << 30)) + 1)
      socket.state = random.flag() ? .listen : .established
      socket.peer = random.flag() ? UInt32(random.number(9)) : nil
      socket.user = random.flag() ? 1000 : nil
      let start = UInt32(record.census.unixNames.count)
      record.census.unixNames += name
      socket.name = start..<UInt32(record.census.unixNames.count)
      if random.flag() {
        let first = UInt32(record.census.unixWaiting.count)
        record.census.unixWaiting += [7, 8]
        socket.waiting = first..<first + 2
      }
      record.census.unixSockets.append(socket)
    }
    record.census.detached = [DetachedSocket(inode: 999, pid: 101, descriptor: 6, transport: .mptcp, isIPv6: true)]
    record.census.cgroups[3] = Cgroup(path: Array("/system.slice/secret.service".utf8))
    var ledger = ProgramLedger(when: 10_000_000_000)
    var published = PublishedSocket(file: "Secret/secret.swift", line: 7, phase: .connected)
    (published.opened, published.input, published.intent) = (5, .forever, [.idle])
    ledger.sockets[3] = published
    record.census.ledgers[102] = ledger
    record.census.gaps.unreadableProcesses = [1000: 3, 0: 2]
    (record.census.gaps.unseenHolders, record.census.gaps.hidesProcesses) = (Int(random.number(9)), random.flag())
    record.census.gaps.unanswered = [101: [.sockets, .epollSets], 102: [.executable]]
    record.census.gaps.unasked = [102]
    (record.census.gaps.socketsWithoutDetails, record.census.gaps.lockedSockets) = (2, [1003, 1004])
    record.census.gaps.cutReadings = ["process 103 has 9999 threads: only 4096 of them were read"]
    record.census.gaps.uncountedEnds = Int(random.number(3))
    record.census.gaps.unreadLedgers = ["the ledger of secret is damaged"]
    record.census.keepers = [
      12: .ring(pid: 100), 13: .message(Holder(inode: 14, pid: 101, descriptor: 5)), 15: .kernel, 16: .unclear,
      17: .interface(name: "secret0", kind: "vxlan"), 18: .unseen,
    ]
    // Some of the random rows without a holder get one of them.
    for place in record.census.sockets.indices where record.census.sockets[place].inode == 0 && random.flag() {
      record.census.sockets[place].inode = 12 + UInt32(random.number(6))
    }
    record.census.otherSockets = [OtherSocket(holder: Holder(inode: 77, pid: 101, descriptor: 7), kind: "PACKET")]
    record.passingBefore = random.flag() ? [1, 1 << 63 | 5] : nil
    record.census.when = Census.Moment(monotonic: random.next() >> 1, wall: Int64(random.next() >> 2))
    return record
  }
}

extension InetSocket {
  fileprivate static func random(_ random: inout SeededNumbers, cookie: UInt64) -> InetSocket {
    var socket = InetSocket()
    socket.cookie = cookie
    socket.transport = [.tcp, .tcp, .tcp, .udp, .mptcp][Int(random.number(4))]
    socket.state = SocketState(rawValue: UInt8(random.number(14)))
    socket.isIPv6 = random.flag()
    func address() -> AddressBits {
      let v4 = random.flag() ? 0x7f00_0001 : random.number(0xffff_ffff)
      if !socket.isIPv6 { return AddressBits(low: v4) }
      return random.flag()
        ? AddressBits(low: 0xffff_0000_0000 | v4) : AddressBits(high: random.next(), low: random.next())
    }
    (socket.localBits, socket.remoteBits) = (address(), address())
    (socket.localPort, socket.remotePort) = (UInt16(random.number(0xffff)), UInt16(random.number(0xffff)))
    socket.namespace = UInt16(random.number(1))
    socket.inode = random.flag() ? UInt32(1000 + cookie) : 0
    socket.user = UInt32(random.number(1) * 1000)
    (socket.receiveQueue, socket.sendQueue) = (UInt32(random.number(3)), UInt32(random.number(70_000)))
    socket.timer = SocketTimer(rawValue: UInt8(random.number(5)))
    socket.expires = UInt32(random.number(60_000))
    socket.retransmits = UInt8(random.number(6))
    socket.interface = UInt32(random.number(2))
    socket.cgroup = random.flag() ? 3 : nil
    socket.options = random.flag() ? UInt16(random.number(0x1ff)) : nil
    socket.shutdown = random.flag() ? UInt8(random.number(3)) : nil
    socket.isIPv6Only = random.flag() ? random.flag() : nil
    if random.flag() {
      socket.memory.received = UInt32(random.number(1 << 20))
      if random.flag() { socket.memory.drops = UInt32(random.number(9)) }
    }
    if socket.transport == .mptcp {
      if random.flag() { socket.info.setMultipathField(12, UInt32(random.number(99))) }
      if random.flag() { socket.info.setMultipathField(92, UInt32(random.number(99_000))) }
    } else if random.flag() {
      // A kernel provides all fields up to one.
      socket.info.lastDataSent = UInt32(random.number(9_000_000))
      socket.info.lastDataReceived = UInt32(random.number(9_000_000))
      socket.info.lastAcknowledgementReceived = UInt32(random.number(9_000_000))
      if random.flag() { socket.info.bytesReceived = random.number(1 << 40) }
      socket.info.hasNoTimeOfReceipt = socket.transport == .tcp && random.flag()
      if random.flag() { socket.info.totalTimeoutTime = UInt32(random.number(9000)) }
    }
    return socket
  }
}
