import FinBase

@testable import FinDoctor

extension StagedCensus {
  /// A stage for every claim of every rule.
  static let all: [StagedCensus] = leaks + kept + halves + windowsAndPeers + ports + accepting + generations + machine

  private static let leaks: [StagedCensus] = [
    // The other end is gone from the table of the loopback, so that its program has closed it.
    StagedCensus(.closeWaitKnown, "kept after the peer closed", [Stage.row(.closeWait, 1)]),
    StagedCensus(
      .closeWaitKnown, "kept after the peer finished",
      [Stage.row(.closeWait, 1), Stage.row(.finWait2, 2, local: 50_000, remote: 80)]),
    StagedCensus(
      .closeWaitKnown, "answers after the peer finished",
      [Stage.row(.closeWait, 1) { ($0.info.lastDataSent, $0.info.bytesSent) = (100, 50) }]),
    StagedCensus(.closeWaitUnseen, "end of file unread", [Stage.row(.closeWait, 1) { $0.receiveQueue = 1 }]),
    StagedCensus(.detached, "no connection", []) {
      $0.census.detached = [DetachedSocket(inode: 99, pid: Stage.program, descriptor: 9)]
    },
    StagedCensus(.descriptorLimit, "near the limit", [Stage.row(.established, 1)]) {
      $0.census.programs[Stage.program]?.descriptorLimit = 21
    },
    StagedCensus(.inherited, "held by two programs", [Stage.row(.established, 1)]) {
      $0.census.holders = Stage.holders([(1, Stage.program), (1, Stage.peer)])
    },
    StagedCensus(.inherited, "kept by a child", [Stage.row(.established, 1)]) {
      $0.census.holders = Stage.holders([(1, Stage.program), (1, Stage.peer)])
      $0.judge = { leftovers($0, $1, holders: Stage.holders([(1, Stage.peer)])) }
    },
    StagedCensus(.closedUnread, "closed with data unread", [Stage.listener()]) {
      $0.options.earlier = Census(when: Census.Moment(monotonic: 1_000_000_000))
      $0.options.closed = ClosedUnread([Stage.row(.established, 0) { $0.receiveQueue = 101 }])
    },
    StagedCensus(.closedUnread, "reset at the end", [Stage.row(.established, 1) { $0.receiveQueue = 101 }]) {
      $0.judge = { leftovers($0, $1, holders: Stage.holders([])) }
    },
  ]

  /// The findings about the program, whose last census this is, with these holders after its end.
  private static func leftovers(_ census: Census, _ options: Diagnosis.Options, holders: Holders) -> [Finding] {
    var after = census
    after.holders = holders
    for index in after.sockets.indices where after.holders.first(of: after.sockets[index].inode) == nil {
      after.sockets[index].inode = 0
    }
    return Diagnosis.leftovers(of: Stage.program, atEnd: census, after: after, children: [Stage.peer], options)
  }

  /// A connection without a descriptor and a bind to its address, for each kind of keeper.
  private static let kept: [StagedCensus] = [
    ("held by a ring", Keeper.ring(pid: Stage.program)),
    ("held for an interface", .interface(name: "vx0", kind: "vxlan")),
    ("held by a message", .message(Holder(inode: 11, pid: Stage.program, descriptor: 11))),
    ("held by the kernel", .kernel), ("held by the kernel or a message", .unclear),
  ].flatMap { claim, keeper in
    func keep(_ stage: inout StagedCensus) {
      stage.census.holders = Stage.holders([])
      stage.census.keepers = [1: keeper]
      stage.options.passingBefore = Diagnosis.passing(in: stage.census)
    }
    var blocked = bind(.established, claim)
    keep(&blocked)
    return [StagedCensus(.noDescriptor, claim, [Stage.row(.established, 1)], change: keep), blocked]
  }

  private static let halves: [StagedCensus] = [
    StagedCensus(.finWait2Held, "waits for the peer", [Stage.row(.finWait2, 1)]) {
      var published = PublishedSocket(file: "a/b.swift", line: 3, phase: .sendFinished)
      published.input = .forever
      var ledger = ProgramLedger(when: 1)
      ledger.sockets[1] = published
      $0.census.ledgers[Stage.program] = ledger
    },
    StagedCensus(
      .orphans, "not taken",
      [
        Stage.row(.finWait1, 0) {
          ($0.timer, $0.sendQueue, $0.info.sendWindow, $0.info.probes) = (.persist, 1001, 0, 0)
        }
      ]),
    StagedCensus(
      .orphans, "left to deliver", [Stage.row(.finWait1, 1) { ($0.sendQueue, $0.timer) = (1001, .retransmit) }]
    ) { $0.judge = { leftovers($0, $1, holders: Stage.holders([])) } },
  ]

  private static let windowsAndPeers: [StagedCensus] = [
    StagedCensus(
      .peerZeroWindow, "window closed",
      [
        Stage.row(.established, 1) {
          ($0.timer, $0.sendQueue, $0.info.sendWindow, $0.info.probes) = (.persist, 9, 0, 0)
        },
        Stage.row(.established, 2, local: 50_000, remote: 80) { $0.receiveQueue = 7000 },
      ]),
    StagedCensus(
      .peerZeroWindow, "window closed, no answer",
      [
        Stage.row(.established, 1) {
          ($0.timer, $0.sendQueue, $0.info.sendWindow, $0.info.probes) = (.persist, 9, 0, 3)
        }
      ]),
    StagedCensus(
      .unread, "leaves data unread",
      [Stage.row(.established, 1) { ($0.receiveQueue, $0.info.receiveWindow) = (7000, 0) }]),
    StagedCensus(
      .unacknowledged, "no acknowledgement",
      [
        Stage.row(.established, 1) {
          ($0.timer, $0.retransmits, $0.sendQueue, $0.info.sendWindow) = (.retransmit, 4, 10, 5000)
        }
      ]),
    StagedCensus(
      .idleWithoutKeepalive, "idle without a probe",
      [
        Stage.row(.established, 1) {
          $0.remoteBits = AddressBits(low: 0x0a00_0001)
          ($0.info.lastDataSent, $0.info.lastDataReceived) = (4_000_000, 4_000_000)
        }
      ]),
    StagedCensus(
      .keepaliveFailing, "probes unanswered",
      [Stage.row(.established, 1) { ($0.timer, $0.info.probes) = (.keepalive, 2) }]),
    StagedCensus(
      .keepaliveFailing, "one probe unanswered",
      [Stage.row(.established, 1) { ($0.timer, $0.info.probes) = (.keepalive, 1) }]),
    StagedCensus(.connectStuck, "no answer", [attempt { $0.remoteBits = AddressBits(low: 0x0a00_0001) }]),
    StagedCensus(.connectStuck, "listener is full", [attempt(), Stage.listener(waiting: 17)]),
    StagedCensus(
      .connectStuck, "one listener is full",
      [attempt(), Stage.listener(waiting: 17), Stage.row(.listen, 9) { $0.sendQueue = 16 }]),
    StagedCensus(.connectStuck, "listener has room", [attempt(), Stage.listener(waiting: 0)]) {
      $0.census.namespaces[0].counters = Counters(["TcpExt.ListenOverflows": 0])
    },
    StagedCensus(.selfConnected, "connected to itself", [Stage.row(.established, 1, local: 50_000)]),
  ]

  /// An attempt to connect to ``Stage/listener(waiting:limit:_:)``.
  private static func attempt(_ change: (inout InetSocket) -> Void = { _ in }) -> InetSocket {
    Stage.row(.synSent, 2, local: 50_000, remote: 80) {
      ($0.timer, $0.retransmits, $0.info.totalTimeoutTime) = (.retransmit, 3, 7000)
      $0.info.retransmitTimeout = 8_000_000
      change(&$0)
    }
  }

  private static let ports: [StagedCensus] = [
    StagedCensus(
      .portsExhausted, "few ports left",
      (0..<70).map { number in
        Stage.row(.established, UInt32(2 * number + 1), local: 50_000 + UInt16(number), remote: 443)
      }
    ),
    StagedCensus(
      .bindBeforeConnect, "ports were bound",
      (0..<20).map { number in
        Stage.row(.established, UInt32(2 * number + 1), local: 50_001 + UInt16(2 * number), remote: 443) {
          $0.options = 0
        }
      }),
    StagedCensus(
      .timeWaitChurn, "resting after connect",
      (0..<10).map { number in
        Stage.row(.timeWait, 0, local: 50_000 + UInt16(number), remote: 443) { $0.timer = .timeWait }
      }
    ),
    StagedCensus(
      .timeWaitChurn, "resting after accept",
      [Stage.listener(waiting: 0)]
        + (0..<10).map { number in Stage.row(.timeWait, 0, remote: 50_000 + UInt16(number)) { $0.timer = .timeWait } }),
    bind(.listen, "listener in the way"), bind(.bound, "socket in the way"), bind(.timeWait, "entry in the way"),
  ]

  private static func bind(_ state: SocketState, _ claim: String) -> StagedCensus {
    StagedCensus(.bindBlocked, claim, [Stage.row(state, state == .timeWait ? 0 : 1)]) {
      $0.judge = {
        Diagnosis.bindBlocked(in: $0, BindRequest(NetworkAddress(127, 0, 0, 1), port: 80, transport: .tcp), $1)
      }
    }
  }

  private static let accepting: [StagedCensus] = [
    StagedCensus(.acceptOverflow, "queue is full", [Stage.listener(waiting: 17)]),
    StagedCensus(.acceptOverflow, "queue was full", [Stage.listener(waiting: 0) { $0.memory.drops = 4 }]) {
      $0.options.earlier = Stage.census([Stage.listener(waiting: 0)])
      $0.options.earlier?.namespaces[0].counters = Counters(["TcpExt.ListenOverflows": 1])
    },
    StagedCensus(.acceptOverflow, "dropped for another reason", [Stage.listener(waiting: 0) { $0.memory.drops = 4 }]) {
      $0.options.earlier = Stage.census([Stage.listener(waiting: 0)])
    },
    StagedCensus(.acceptOverflow, "dropped", [Stage.listener(waiting: 0) { $0.memory.drops = 4 }]) {
      $0.census.namespaces[0].counters = Counters()
    },
    StagedCensus(.acceptStalled, "clients wait", [Stage.listener(waiting: 1), Stage.client(50_000)]),
    StagedCensus(
      .synBacklog, "handshakes unfinished",
      [Stage.listener(waiting: 0)]
        + (0..<12).map { number in
          Stage.row(.synReceived, 0, remote: 50_000 + UInt16(number)) { ($0.timer, $0.retransmits) = (.retransmit, 2) }
        }),
    StagedCensus(.acceptWithoutDescriptors, "no descriptor left", [Stage.listener()]) {
      $0.census.programs[Stage.program]?.descriptorLimit = 20
    },
  ]

  private static let generations: [StagedCensus] = [
    StagedCensus(.neverAccepts, "left without accept", [Stage.listener(waiting: 0)]) {
      $0.census.programs[Stage.program]?.age = .seconds(60)
      $0.census.programs[Stage.program]?.parent = 1
      $0.census.programs[Stage.program]?.group = 40
    },
    StagedCensus(
      .oldGeneration, "from before a reload", [Stage.listener(waiting: 0), Stage.row(.established, 2)]
    ) {
      for (pid, age) in [(Stage.peer, 1000), (Stage.program, 60)] {
        $0.census.programs[pid]?.age = .seconds(age)
        $0.census.programs[pid]?.parent = 1
        $0.census.programs[pid]?.executable = "/usr/sbin/api"
      }
    },
  ]

  /// A UDP socket that dropped datagrams, with this much in its buffer of 1000 bytes.
  private static func datagrams(dropped: UInt32, held: UInt32) -> InetSocket {
    Stage.row(.closed, 1) {
      $0.transport = .udp
      ($0.memory.received, $0.memory.receiveLimit, $0.memory.drops) = (held, 1000, dropped)
    }
  }

  private static let machine: [StagedCensus] = [
    StagedCensus(.datagramDrops, "drops at a full buffer", [datagrams(dropped: 9, held: 990)]) {
      $0.options.earlier = Stage.census([datagrams(dropped: 1, held: 990)])
      $0.options.earlier?.namespaces[0].counters = Counters(["Udp.RcvbufErrors": 1])
      $0.census.namespaces[0].counters = Counters(["Udp.RcvbufErrors": 9])
    },
    StagedCensus(.datagramDrops, "dropped", [datagrams(dropped: 9, held: 0)]) {
      $0.options.earlier = Stage.census([datagrams(dropped: 9, held: 0)])
    },
    StagedCensus(.memory, "memory nearly used", []) {
      $0.census.namespaces[0].counters = Counters(["sockstat.TCP.mem": 95])
      $0.census.namespaces[0].limits.memoryPages = [50, 75, 100]
    },
    StagedCensus(.memory, "tracking table nearly full", []) {
      $0.census.namespaces[0].limits.trackedConnections = 95
      $0.census.namespaces[0].limits.trackedConnectionsLimit = 100
    },
    StagedCensus(.unix, "queue full", []) {
      $0.census.unixSockets = [Stage.unix(11, .listen) { ($0.receiveQueue, $0.sendQueue) = (6, 5) }]
    },
    StagedCensus(.unix, "unread", []) {
      $0.census.unixSockets = [
        Stage.unix(11, .established) { ($0.peer, $0.receiveQueue) = (12, 900) },
        Stage.unix(12, .established) { ($0.peer, $0.memory.sending, $0.memory.sendLimit) = (11, 900, 1000) },
      ]
    },
    StagedCensus(.unix, "peer gone", []) {
      $0.census.unixSockets = [Stage.unix(11, .established) { ($0.peer, $0.shutdown) = (0, 3) }]
      $0.census.holders = Stage.holders([(11, Stage.program)])
    },
  ]
}
