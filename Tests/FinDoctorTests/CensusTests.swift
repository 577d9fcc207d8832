import CFin
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinDoctor

/// The inode of a descriptor of this process.
func inode(_ descriptor: CInt) throws -> UInt32 {
  var status = stat()
  try #require(unsafe fstat(descriptor, &status) == 0)
  return UInt32(status.st_ino)
}

/// Both sides of a TCP connection.
struct Pair: ~Copyable {
  let client: PlainSocket
  let server: PlainSocket

  init(through listener: borrowing PlainSocket, on address: String = "127.0.0.1") throws {
    let client = try PlainSocket.connected(to: address, port: listener.port)
    self.init(client: client, server: try listener.accept())
  }

  private init(client: consuming PlainSocket, server: consuming PlainSocket) {
    self.client = client
    self.server = server
  }
}

@Suite("The census lists all sockets and the processes that hold them", .onThreads, .timeLimit(.minutes(30)))
struct CensusTests {
  private func census(_ change: (inout Census.Options) -> Void = { _ in }) throws -> Census {
    var options = Census.Options()
    change(&options)
    return try Census.take(options)
  }

  private func row(_ descriptor: CInt, in census: Census) throws -> InetSocket? {
    let inode = try inode(descriptor)
    return census.sockets.first { $0.inode == inode }
  }

  @Test("a connection: states, queues, ages and holders of both sides")
  func connection() throws {
    let listener = try PlainSocket.listening()
    let pair = try Pair(through: listener)
    try pair.client.send([1, 2, 3])
    try pair.client.finishSending()
    try eventually("the end arrives", equals: KernelState.closeWait) { pair.server.state }
    try eventually("it is acknowledged", equals: KernelState.finWait2) { pair.client.state }
    let census = try census { $0.readsAllNamespaces = false }

    let server = try #require(try row(pair.server.descriptor, in: census))
    #expect(server.state == .closeWait && server.receiveQueue == 4 && server.info.bytesReceived == 4)
    #expect(server.localPort == listener.port && server.localAddress == NetworkAddress(127, 0, 0, 1))
    #expect(AgeBounds.inState(server).lower < 60_000 && AgeBounds.inState(server).atMost != nil)
    let client = try #require(try row(pair.client.descriptor, in: census))
    #expect(client.state == .finWait2 && client.hasFinishedSending == true && client.info.bytesSent == 3)
    let listening = try #require(try row(listener.descriptor, in: census))
    #expect(listening.state == .listen && listening.sendQueue == 128 && listening.drops == 0)

    let holders = census.holders(of: server)
    #expect(holders.contains(Holder(inode: server.inode, pid: getpid(), descriptor: pair.server.descriptor)))
    #expect(census.program(of: server)?.pid == holders.first?.pid)
    #expect(census.namespace(of: server).isOwn)
  }

  @Test("former holders of sockets in TIME-WAIT or FIN-WAIT-2 are known if an earlier census saw them")
  func formerHolders() throws {
    let listener = try PlainSocket.listening()
    let resting = try Pair(through: listener)
    let finishing = try Pair(through: listener)
    let ports = (resting.client.port, finishing.client.port)
    let descriptors = (resting.client.descriptor, finishing.client.descriptor)
    let earlier = try census { $0.readsAllNamespaces = false }
    let late = try Pair(through: listener)
    let latePort = late.client.port
    late.client.close()
    late.server.close()
    resting.client.close()
    resting.server.close()
    finishing.client.close()

    var census = Census()
    func found(_ port: UInt16) -> InetSocket? {
      census.sockets.first { $0.localPort == port && $0.remotePort == listener.port }
    }
    func row(_ port: UInt16) throws -> InetSocket { try #require(found(port)) }
    // A connection that moves between two of the kernel's tables may be in neither for a moment.
    try eventually(within: .seconds(20), "two rest, and one is half closed") {
      census = try self.census { $0.readsAllNamespaces = false }
      return [ports.0, latePort, ports.1].map { found($0)?.state } == [.timeWait, .timeWait, .finWait2]
    }
    #expect(try census.formerHolder(of: row(ports.0)) == nil)
    census.recall(from: earlier)
    for (port, descriptor) in [(ports.0, descriptors.0), (ports.1, descriptors.1)] {
      let former = try #require(try census.formerHolder(of: row(port)))
      #expect(former.holder.pid == getpid() && former.holder.descriptor == descriptor)
      #expect(former.program?.name == earlier.programs[getpid()]?.name && former.program != nil)
    }
    #expect(try census.formerHolder(of: row(latePort)) == nil)
    // A socket that a process still holds has a holder and no former one.
    #expect(census.sockets.allSatisfy { $0.inode == 0 || census.formerHolder(of: $0) == nil })
    finishing.server.close()
  }

  @Test("every socket in this process's descriptor table is among the holders")
  func ownTable() throws {
    let listener = try PlainSocket.listening()
    let pairs = try (0..<40).map { _ -> (CInt, CInt) in
      let pair = try Pair(through: listener)
      return (dup(pair.client.descriptor), dup(pair.server.descriptor))
    }
    defer { for (a, b) in pairs { _ = (close(a), close(b)) } }
    let census = try census { $0.readsAllNamespaces = false }
    for descriptor in pairs.flatMap({ [$0.0, $0.1] }) {
      let inode = try inode(descriptor)
      #expect(census.holders[inode].contains { $0.pid == getpid() && $0.descriptor == descriptor })
    }
    #expect(census.holders.entries.allSatisfy { census.holders[$0.inode].contains($0) })
    #expect(census.holders[0].isEmpty && census.holders[.max].isEmpty)
    let own = try #require(census.holders.process(getpid()))
    #expect(own.isReadable && own.user == getuid() && (own.descriptorCount ?? 81) > 80)
    #expect(census.holders.process(.max) == nil)
  }

  @Test("a client in the accept queue has no descriptor, and its waiting time has an upper bound")
  func waiting() throws {
    let listener = try PlainSocket.listening()
    let client = try PlainSocket.connected(to: "127.0.0.1", port: listener.port)
    let port = client.port
    let census = try census { $0.readsAllNamespaces = false }
    let row = try #require(census.sockets.first { $0.remotePort == port && $0.localPort == listener.port })
    #expect(row.isWaitingForAccept && row.inode == 0 && census.holders(of: row).isEmpty)
    #expect(AgeBounds.inState(row).lower < 60_000 && AgeBounds.inState(row).atMost != nil)
    #expect(try self.row(listener.descriptor, in: census)?.receiveQueue == 1)
  }

  @Test(
    "descriptors of sockets in no kernel table are found: never connected, refused, reset", .needsScenes)
  func detached() throws {
    // Not sockets of this process: its other threads are in network namespaces that come and go.
    try Scene.with("detached", "kinds", "0") { scene in
      let census = try census()
      let inodes = scene.words.compactMap { UInt32($0) }
      let found = Dictionary(
        census.detached.filter { $0.pid == scene.pid }.map { ($0.inode, $0) }, uniquingKeysWith: { a, _ in a })
      try #require(inodes.count == 6 && Set(found.keys) == Set(inodes.prefix(3)))
      #expect(found[inodes[0]]?.transport == .tcp && found[inodes[0]]?.isIPv6 == false)
      #expect(found[inodes[1]]?.transport == .tcp && found[inodes[1]]?.isIPv6 == true)
      #expect(found[inodes[2]]?.transport == .udp && found[inodes[2]]?.isIPv6 == false)
    }
  }

  @Test(
    "sockets in no kernel table are checked again: those that have connected meanwhile are left out", .needsScenes,
    arguments: [false, true])
  func secondLook(hasConnected: Bool) throws {
    try Scene.with("detached", "late", "8") { scene in
      let found = try scene.network.run { () throws -> Int in
        var options = Census.Options()
        options.readsAllNamespaces = false
        options.readsDetached = false
        var census = try Census.take(options)
        if hasConnected {
          try scene.program.write("connect\n")
          #expect(try scene.program.readLine() == "connected")
        }
        options.readsDetached = true
        census.findDetached(options, reading: Array(NamespacePlace.find([]).prefix(1)), held: [])
        return census.detached.count { $0.pid == scene.pid }
      }
      #expect(found == (hasConnected ? 0 : 8))
    }
  }

  @Test(
    "sockets of a network namespace that only a descriptor keeps alive are listed under that namespace",
    .enabled(if: Privileges.canMakeNamespaces, "needs a network namespace"))
  func namespaces() throws {
    let namespace = try NetworkNamespace()
    let (port, descriptor) = try namespace.run {
      let listener = try PlainSocket.listening(on: "127.0.0.9")
      let port = listener.port
      return (port, listener.detach())
    }
    defer { close(descriptor) }
    let all = try census()
    let row = try #require(try row(descriptor, in: all))
    #expect(row.localPort == port && !all.namespace(of: row).isOwn && all.namespace(of: row).inode != 0)
    #expect(all.namespace(of: row).limits.ephemeralPorts != nil && all.namespaces[0].isOwn)
    #expect(!all.detached.contains { $0.descriptor == descriptor && $0.pid == getpid() })
    // A census of one namespace must not report the sockets of others as detached.
    let own = try census { $0.readsAllNamespaces = false }
    #expect(try self.row(descriptor, in: own) == nil)
    #expect(!own.detached.contains { $0.descriptor == descriptor && $0.pid == getpid() })
  }

  @Test("Unix sockets: a name, a listener with a waiting client, a pair whose other side is closed")
  func unix() throws {
    let name = "@fin-census-\(getpid())"
    let listener = try PlainSocket.listening(onUnix: name, backlog: 5)
    let client = try PlainSocket.connected(toUnix: name)
    var ends: (CInt, CInt) = (-1, -1)
    try #require(
      unsafe withUnsafeMutableBytes(of: &ends) {
        unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, $0.bindMemory(to: CInt.self).baseAddress!)
      } == 0)
    close(ends.1)
    defer { close(ends.0) }
    let census = try census { $0.transports = [] }
    let inodes = try (inode(listener.descriptor), inode(client.descriptor), inode(ends.0))
    let listening = try #require(census.unixSockets.first { $0.inode == inodes.0 })
    #expect(census.name(of: listening) == name && listening.state == .listen)
    #expect(listening.receiveQueue == 1 && listening.sendQueue == 5)
    #expect(listening.waiting.count == 1)
    let connected = try #require(census.unixSockets.first { $0.inode == inodes.1 })
    #expect(connected.state == .established && census.holders[inodes.1].contains { $0.pid == getpid() })
    let alone = try #require(census.unixSockets.first { $0.inode == inodes.2 })
    #expect(alone.hasLostItsPeer && !connected.hasLostItsPeer)
  }

  @Test("watchers of a socket: a thread blocked in recv, and an epoll entry with its events")
  func watchers() throws {
    let listener = try PlainSocket.listening()
    let pair = try Pair(through: listener)
    let number = pair.server.descriptor
    let epoll = fin_epoll_create()
    defer { close(epoll) }
    try #require(fin_epoll_watch(epoll, pair.client.descriptor) == 0)
    let thread = onThread { () -> Int in
      var byte: UInt8 = 0
      var count = -1
      // Signals from other tests may interrupt recv.
      while count < 0 { count = unsafe recv(number, &byte, 1, 0) }
      return count
    }
    try eventually("a thread waits in recv") {
      Watchers.read(getpid(), epolls: []).blocked(on: number).contains { $0.call == "recvfrom" }
    }
    var census = try census { $0.readsAllNamespaces = false }
    census.watch([getpid()])
    let watchers = try #require(census.watchers[getpid()])
    let interests = watchers.interests(in: try inode(pair.client.descriptor))
    #expect(interests.map(\.epoll) == [epoll] && interests.allSatisfy { $0.seesTheEnd })
    #expect(interests.first?.descriptor == pair.client.descriptor && watchers.isComplete)
    #expect(watchers.interests(in: try inode(number)).isEmpty)
    try pair.client.send([1])
    #expect(try thread.join() == 1)
  }

  @Test("the limits and counters of a namespace equal those in its /proc files")
  func counters() throws {
    let census = try census { $0.readsAllNamespaces = false }
    let own = census.namespaces[0]
    #expect(own.counters["TcpExt.ListenDrops"] != nil && own.counters["Tcp.ActiveOpens"] != nil)
    #expect(own.counters["sockstat.TCP.inuse"] != nil && own.counters["TcpExt.NoSuchCounter"] == nil)
    let range = try #require(own.limits.ephemeralPorts)
    let text = String(decoding: try Files.read("/proc/sys/net/ipv4/ip_local_port_range"), as: UTF8.self)
    #expect(text.contains("\(range.lowerBound)\t\(range.upperBound)"))
    #expect(own.limits.memoryPages.count == 3 && own.limits.listenBacklog != nil)
  }
}
