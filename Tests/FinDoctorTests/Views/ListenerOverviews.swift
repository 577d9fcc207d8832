import Peers
import TestTraits
import Testing

@testable import FinDoctor

@Suite("Listener reports, from rows", .onThreads)
struct ListenerPanelRows {
  private func listener(
    _ port: UInt16, waiting: UInt32 = 0, limit: UInt32 = 128, drops: UInt32 = 0, cookie: UInt64 = 1, address: UInt64 = 0
  ) -> InetSocket {
    var socket = InetSocket()
    socket.state = .listen
    socket.localPort = port
    socket.localBits = AddressBits(low: address)
    socket.receiveQueue = waiting
    socket.sendQueue = limit
    socket.memory.drops = drops
    socket.cookie = cookie
    socket.inode = UInt32(cookie) + 100
    return socket
  }

  private func connection(_ port: UInt16, _ state: SocketState, address: UInt64 = 0x7f00_0001) -> InetSocket {
    var socket = InetSocket()
    socket.state = state
    socket.localPort = port
    socket.localBits = AddressBits(low: address)
    socket.remotePort = 50000
    return socket
  }

  private func census(_ sockets: [InetSocket], seconds: UInt64 = 0, most: Int? = 4096) -> Census {
    var namespace = Namespace()
    namespace.limits.listenBacklog = most
    return Census(
      sockets: ContiguousArray(sockets), namespaces: [namespace],
      when: Census.Moment(monotonic: seconds * 1_000_000_000))
  }

  @Test("a full queue comes first, then dropping ones, then a half full one; healthy listeners have no severity")
  func order() {
    let before = census([listener(2, drops: 5, cookie: 2)], seconds: 10)
    let panels = ListenerOverview.all(
      in: census(
        [
          listener(1, cookie: 1), listener(2, drops: 25, cookie: 2), listener(3, waiting: 80, cookie: 3),
          listener(4, waiting: 129, cookie: 4), listener(5, drops: 3, cookie: 5),
        ], seconds: 20), since: before)
    #expect(panels.map(\.place) == [.inet(3), .inet(2), .inet(1), .inet(4), .inet(0)])
    #expect(panels.map { $0.severity() } == [.critical, .warning, .warning, .warning, nil])
    let dropping = panels[2]
    #expect(dropping.recentDrops == 20 && dropping.dropsPerSecond == 2 && dropping.drops == 25)
    #expect(panels[0].isFull && panels[0].share == 1)
  }

  @Test("the waiting times are those of the clients in the queue, the longest first, sixty at most")
  func waits() {
    var rows = [listener(80, waiting: 70, cookie: 900)]
    for number in 0..<70 as Range<UInt32> {
      var client = connection(80, .established)
      (client.remotePort, client.cookie) = (UInt16(50_000 + number), UInt64(number) + 1)
      (client.info.lastAcknowledgementReceived, client.info.lastDataReceived) = (1000 * number, 1000 * number)
      client.info.bytesReceived = 0
      rows.append(client)
    }
    let panel = ListenerOverview.all(in: census(rows))[0]
    let waits = panel.waits.map(\.lower)
    #expect(waits.count == 60 && waits[0] == panel.oldest?.lower && waits == waits.sorted(by: >))
    #expect(waits[0] > 68_000 && waits[59] > 9_000 && waits[59] <= 10_000, "\(waits)")
  }

  @Test("the accept queue is limited by the backlog or by somaxconn; a backlog of 0 admits one client")
  func limits() {
    #expect(ListenerOverview.all(in: census([listener(1, limit: 4096)]))[0].limitedBy == .somaxconn)
    #expect(ListenerOverview.all(in: census([listener(1, limit: 5)]))[0].limitedBy == .backlog)
    #expect(ListenerOverview.all(in: census([listener(1, limit: 5)], most: nil))[0].limitedBy == .unknown)
    #expect(!ListenerOverview.all(in: census([listener(1, waiting: 0, limit: 0)]))[0].isFull)
    #expect(ListenerOverview.all(in: census([listener(1, waiting: 1, limit: 0)]))[0].isFull)
  }

  @Test("clients and handshakes belong to the listener of their address, else to the wildcard one, in their namespace")
  func whose() {
    var stranger = connection(80, .closeWait)
    stranger.namespace = 1
    var all = census([
      listener(80, waiting: 2, cookie: 1, address: 0x7f00_0001), listener(80, waiting: 1, cookie: 2),
      connection(80, .established), connection(80, .closeWait), connection(80, .closeWait, address: 0x7f00_0002),
      connection(80, .synReceived), stranger,
    ])
    all.namespaces.append(Namespace(inode: 9, isOwn: false))
    let panels = ListenerOverview.all(in: all)
    let exact = panels.first { $0.place == .inet(0) }
    let any = panels.first { $0.place == .inet(1) }
    #expect(exact?.gone == 1 && exact?.unfinished == 1 && any?.gone == 1 && any?.unfinished == 0)
    #expect(exact?.group == 1 && exact?.countsGroup == false)
  }

  @Test("listeners of one address form a group; clients are assigned only if a single listener has any")
  func groups() {
    let one = ListenerOverview.all(
      in: census([listener(80, waiting: 1, cookie: 1), listener(80, cookie: 2), connection(80, .established)]))
    #expect(one.allSatisfy { $0.group == 2 })
    #expect(one.map(\.countsGroup) == [false, false] && one[0].oldest != nil && one[1].oldest == nil)
    let both = ListenerOverview.all(
      in: census([
        listener(80, waiting: 1, cookie: 1), listener(80, waiting: 1, cookie: 2), connection(80, .closeWait),
        connection(80, .established),
      ]))
    #expect(both.map(\.countsGroup) == [true, true] && both.map(\.gone) == [1, 1])
  }

  @Test("a closed Unix client has no inode; an epoll set without EPOLLIN is named")
  func unix() throws {
    var listener = UnixSocket()
    listener.state = .listen
    listener.inode = 7
    listener.receiveQueue = 3
    listener.sendQueue = 2
    listener.waiting = 0..<3
    var program = Program(pid: 5, name: "x")
    program.descriptorLimit = 100
    let census = Census(
      unixSockets: [listener], unixWaiting: [0, 12, 0],
      holders: Holders(
        sockets: [Holder(inode: 7, pid: 5, descriptor: 3)], processes: [HoldingProcess(pid: 5, descriptorCount: 90)]),
      programs: [5: program],
      watchers: [5: Watchers(interests: [.init(epoll: 4, descriptor: 3, events: 0x2000, inode: 7)])])
    let panel = try #require(ListenerOverview.all(in: census).first)
    #expect(panel.gone == 2 && panel.isFull && panel.drops == nil)
    #expect(panel.acceptors.first?.way == .epoll(descriptor: 4, events: 0x2000))
    let way = try #require(panel.acceptors.first).way
    #expect("\(way)".contains("without EPOLLIN"))
    #expect(panel.descriptors == [.init(pid: 5, used: 90, limit: 100)])
  }
}

@Suite("Listener reports of real listeners", .needsScenes, .onThreads, .timeLimit(.minutes(30)))
struct ListenerPanelScenes {
  private func panels(_ scene: Scene, since earlier: Census? = nil) throws -> (Census, [ListenerOverview]) {
    var census = try scene.census()
    census.watch(ListenerOverview.processesToWatch(in: census))
    return (census, ListenerOverview.all(in: census, since: earlier))
  }

  @Test("a full accept queue: its limit, the drops per second, and that no thread accepts")
  func full() throws {
    try Scene.with("accepting", "overflow", "2", "8") { scene in
      let earlier = try scene.census()
      try eventually(within: .seconds(30), "SYNs that are sent again, and dropped") {
        try panels(scene, since: earlier).1.first?.recentDrops ?? 0 > 0
      }
      let panel = try #require(try panels(scene, since: earlier).1.first)
      #expect(panel.waiting == 3 && panel.limit == 2 && panel.isFull && panel.limitedBy == .backlog)
      #expect(panel.severity() == .critical && panel.acceptors.map(\.way) == [.unattended])
      #expect((panel.drops ?? 0) >= (panel.recentDrops ?? .max) && panel.dropsPerSecond ?? 0 > 0)
    }
  }

  @Test(
    "the waiting time of the oldest client lies within its bounds; clients that gave up are counted", arguments: [0, 3])
  func oldest(gone: Int) throws {
    try Scene.with("queue", "2", "\(gone)") { scene in
      let (before, after) = (UInt64(try scene.number(1)), UInt64(try scene.number(2)))
      try eventually(within: .seconds(30), "a waiting time above 300 ms") {
        try panels(scene).1.first?.oldest?.lower ?? 0 > 300
      }
      let (census, all) = try panels(scene)
      let panel = try #require(all.first)
      let oldest = try #require(panel.oldest)
      // The census began at its recorded time and took less than ten seconds.
      let least = (census.when.monotonic - after) / 1_000_000
      let most = (census.when.monotonic - before) / 1_000_000 + 10_000
      #expect(oldest.lower <= most && oldest.upper >= least, "\(oldest) is not within \(least) and \(most)")
      #expect(panel.waiting == 2 + gone && panel.gone == gone && !panel.countsGroup)
      #expect(panel.waits.count == panel.waiting && panel.waits.first?.lower == oldest.lower)
      #expect(panel.waits.map(\.lower) == panel.waits.map(\.lower).sorted(by: >))
      #expect(panel.holders.map(\.descriptor) == [Int32(try scene.number(3))])
    }
  }

  @Test("prefork: all processes that hold the listener, and those that are in accept")
  func prefork() throws {
    try Scene.with("prefork", "3", "shared") { scene in
      let workers = try (1...3).map { Int32(try scene.number($0)) }
      let panel = try #require(try panels(scene).1.first)
      #expect(Set(panel.holders.map(\.pid)) == Set(workers + [scene.pid]) && panel.group == 1)
      for acceptor in panel.acceptors {
        if case .blocked(_, let call) = acceptor.way {
          #expect(workers.contains(acceptor.pid) && call.hasPrefix("accept"))
        } else {
          #expect(acceptor.pid == scene.pid && acceptor.way == .unattended)
        }
      }
      #expect(panel.descriptors.allSatisfy { $0.used ?? 0 > 0 && $0.limit ?? 0 > 0 })
    }
  }

  @Test("SO_REUSEPORT: one listener per worker, together one group")
  func reuseport() throws {
    try Scene.with("prefork", "3", "reuseport") { scene in
      let workers = Set(try (1...3).map { Int32(try scene.number($0)) })
      let all = try panels(scene).1
      #expect(all.count == 3 && all.allSatisfy { $0.group == 3 && $0.holders.count == 1 })
      #expect(Set(all.flatMap { $0.holders.map(\.pid) }) == workers)
    }
  }

  @Test("a Unix listener: the waiting clients, the limit, and the clients that have closed")
  func unix() throws {
    let name = "fin-panel-\(UInt32.random(in: 0 ... .max))"
    try Scene.with("prefork", "0", "unix", name) { scene in
      let (census, all) = try panels(scene)
      let panel = try #require(
        all.first {
          guard case .unix(let place) = $0.place else { return false }
          return census.name(of: census.unixSockets[place]) == "@" + name
        })
      #expect(panel.waiting == 3 && panel.limit == 3 && !panel.isFull && panel.gone == 1)
      #expect(panel.holders.map(\.pid) == [scene.pid] && panel.limitedBy == .backlog)
    }
  }
}
