import CFin
import FinBase
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinDoctor

@Suite(
  "Many descriptors and namespaces are read by a few threads, each exactly once", .timeLimit(.minutes(30)), .onThreads)
struct ManyTests {
  @Test("a process read in parts of any size: every descriptor exactly once", arguments: [1, 7, 4096])
  func parts(share: Int) throws {
    let epoll = fin_epoll_create()
    let sockets = (0..<60).map { _ in socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0) }
    defer { for descriptor in sockets + [epoll] { close(descriptor) } }
    let reading = DescriptorReading.read([getpid(), .max], threads: 3, share: share)
    for descriptor in sockets {
      let inode = try inode(descriptor)
      let found = reading.sockets.filter { $0.inode == inode && $0.pid == getpid() }
      #expect(found.map(\.descriptor) == [descriptor])
    }
    #expect(reading.epolls.count { $0.descriptor == epoll } == 1)
    #expect(reading.processes.map(\.pid) == [getpid()] && reading.processes[0].isReadable)
    #expect(reading.ended == [.max])
  }

  @Test("pieces are made on several threads and used in order, each exactly once", arguments: [0, 1, 10, 11, 95])
  func pieces(count: Int) {
    var used: [Range<Int>] = []
    ParallelChunks.forEach(of: count, each: 10) {
      $0
    } use: {
      used.append($0)
    }
    #expect(used.flatMap { $0 } == Array(0..<count) && used.allSatisfy { !$0.isEmpty && $0.count <= 10 })
  }

  @Test(
    "more namespaces than threads: each is read, and the caller's own is the first",
    .enabled(if: Privileges.canMakeNamespaces, "needs network namespaces"))
  func namespaces() throws {
    let made = try (0..<12).map { _ in try NetworkNamespace() }
    let listeners = try made.map { namespace in try namespace.run { try PlainSocket.listening().detach() } }
    defer { for descriptor in listeners { close(descriptor) } }
    let census = try Census.take()
    var places: Set<UInt16> = []
    for descriptor in listeners {
      let number = try inode(descriptor)
      let rows = census.sockets.filter { $0.inode == number }
      #expect(rows.count == 1)
      if let row = rows.first { places.insert(row.namespace) }
    }
    #expect(places.count == 12 && !places.contains(0))
    #expect(census.namespaces[0].isOwn && census.namespaces.count { $0.isOwn } == 1)
    #expect(census.namespaces[0].inode == NamespacePlace.inode(NamespacePlace.own))
    #expect(Set(census.namespaces.map(\.inode)).count == census.namespaces.count)
    #expect(census.detached.allSatisfy { !listeners.contains($0.descriptor) || $0.pid != getpid() })
  }

  @Test(
    "a namespace is entered through another of its processes if the first has ended, never through a process elsewhere",
    .enabled(if: Privileges.canMakeNamespaces, "needs network namespaces"))
  func wayIn() throws {
    let namespace = try NetworkNamespace()
    let inode = try namespace.run { try #require(NamespacePlace.inode(NamespacePlace.own)) }
    let sleep = try #require(Programs.find("sleep"))
    let child = try namespace.run { try Child.spawn(sleep, ["3600"]) }
    defer { child.end() }
    // No process has the first id, and the process with the second is in another namespace.
    var place = NamespacePlace(inode: inode, name: "", path: "/proc/\(Int32.max)/ns/net")
    place.paths.append("/proc/\(getpid())/ns/net")
    let thread = onThread { [place] in try place.enter() }
    #expect(throws: KernelError.self) { try thread.join() }
    place.paths.append("/proc/\(child.number)/ns/net")
    let entered = onThread { [place] in
      try place.enter()
      return NamespacePlace.inode(NamespacePlace.own)
    }
    #expect(try entered.join() == inode)
  }

  @Test("socket memory is read only on request; ages are always read")
  func withoutMemory() throws {
    let listener = try PlainSocket.listening()
    let pair = try Pair(through: listener)
    let number = try inode(pair.client.descriptor)
    for readsMemory in [true, false] {
      var options = Census.Options()
      options.readsAllNamespaces = false
      options.readsMemory = readsMemory
      let census = try Census.take(options)
      let row = try #require(census.sockets.first { $0.inode == number })
      #expect((row.memory.received != nil) == readsMemory && row.info.lastDataReceived != nil)
    }
  }

  @Test("a Unix socket that one dump lists twice, and one that is known, are not listed again")
  func unixTwice() {
    func row(_ cookie: UInt64) -> UnixSocket {
      var row = UnixSocket()
      row.cookie = cookie
      return row
    }
    var known = NumberSet()
    known.insert(3)
    var all = UnixSockets()
    all.append(UnixSockets(rows: [row(1), row(2), row(1), row(3)]), namespace: 0, except: known)
    #expect(all.rows.map(\.cookie) == [1, 2])
  }

  @Test("a Unix socket that the dump missed is found by its descriptor, and none is listed twice")
  func missedUnix() throws {
    let kept = socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue), 0)
    let gone = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(FIN_SOCK_CLOEXEC), 0)
    defer { close(kept) }
    let (missed, ended) = (try inode(kept), try inode(gone))
    var options = Census.Options()
    options.readsAllNamespaces = false
    options.transports = []
    var census = try Census.take(options)
    census.unixSockets.removeAll { $0.inode == missed || $0.inode == ended }
    let before = Set(census.unixSockets.map(\.cookie))
    close(gone)
    // A process that another test is just starting may have inherited it for a moment.
    try eventually(within: .seconds(60), "the socket has ended") {
      try !Census.take(options).unixSockets.contains { $0.inode == ended }
    }
    let holders = [
      Holder(inode: missed, pid: getpid(), descriptor: kept), Holder(inode: ended, pid: getpid(), descriptor: gone),
    ]
    census.findMissed(holders, NamespacePlace.find([]).filter { $0.name == "own" }, options)
    let row = try #require(census.unixSockets.first { $0.inode == missed })
    #expect(row.type == .datagram && census.namespaces[Int(row.namespace)].isOwn)
    #expect(Set(census.unixSockets.map(\.cookie)).count == census.unixSockets.count)
    #expect(before.isSubset(of: census.unixSockets.map(\.cookie)))
    #expect(!census.unixSockets.contains { $0.inode == ended })
  }

  @Test(
    "destroy events that overflow the buffer are counted as lost, and the received ones are correct",
    .enabled(if: Privileges.canMakeNamespaces, "needs a network namespace"))
  func lostEnds() throws {
    let network = try NetworkNamespace()
    for (room, isEnough) in [(16 << 20, true), (1, false)] {
      let counts = try network.onThread { () -> (Int, Int) in
        guard let ended = DestroyedSockets(room: CInt(room)) else { throw RigError("the kernel tells nothing") }
        let listener = try PlainSocket.listening()
        for _ in 0..<100 {
          let client = try PlainSocket.connected(to: "127.0.0.1", port: listener.port)
          try listener.accept().abort()
          client.abort()
        }
        var found: Set<UInt64> = []
        // A socket without a descriptor may be destroyed a moment later.
        try eventually("the news") {
          for socket in ended.all() { found.insert(socket.cookie) }
          return ended.lossCount > 0 || found.count >= 200
        }
        return (found.count, ended.lossCount)
      }.join()
      #expect(counts.0 <= 200 && (counts.1 == 0) == isEnough, "\(room) bytes: \(counts)")
    }
    var gaps = CensusGaps()
    gaps.lostEnds = 2
    #expect(gaps.sentences.first?.contains("2 times") == true && !gaps.hidesSockets)
  }
}
