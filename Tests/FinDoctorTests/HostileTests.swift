import Glibc
import Peers
import Synchronization
import TestTraits
import Testing

@testable import FinDoctor

@Suite("A census is correct while sockets, processes and namespaces come and go", .onThreads, .timeLimit(.minutes(30)))
struct HostileTests {
  @Test(
    "while sockets open and close constantly, 20 censuses miss no lasting socket, list none twice and invent none",
    .enabled(if: Privileges.canMakeNamespaces, "needs a network namespace"))
  func churn() throws {
    let namespace = try NetworkNamespace()
    let listener = try namespace.run { try PlainSocket.listening(backlog: 512) }
    let port = listener.port
    let held = try namespace.run {
      try (0..<50).map { _ -> (CInt, CInt) in
        let pair = try Pair(through: listener)
        return (dup(pair.client.descriptor), dup(pair.server.descriptor))
      }
    }
    defer { for (a, b) in held { _ = (close(a), close(b)) } }
    let inodes = Set(try held.flatMap { [try inode($0.0), try inode($0.1)] })

    let over = Flag()
    let births = Births()
    let second = try namespace.run { try PlainSocket.listening(backlog: 512) }
    let secondPort = second.port
    let secondDescriptor = second.detach()
    let churning = namespace.onThread {
      let listener = PlainSocket(adopting: secondDescriptor)
      var count = 0
      while !over.isSet {
        let client = try PlainSocket.connected(to: "127.0.0.1", port: secondPort)
        let server = try listener.accept()
        // A reset leaves no TIME-WAIT, so the ports are not exhausted.
        if count % 8 == 0 { server.close() } else { server.abort() }
        client.abort()
        count += 1
        births.connections.add(2, ordering: .relaxed)
      }
    }
    let others = namespace.onThread { try births.makeOthers(until: over) }
    defer { over.set() }
    for round in 0..<20 {
      let before = births.counts
      var census = try Census.take()
      // On a loaded machine the other threads may not have run meanwhile.
      try eventually("sockets were born and ended while it was taken") {
        if zip(before, births.counts).allSatisfy({ $0 < $1 }) { return true }
        census = try Census.take()
        return false
      }
      let place = try #require(
        census.sockets.first { inodes.contains($0.inode) }.map(\.namespace), "round \(round): none of those that stayed"
      )
      let ours = census.sockets.filter { $0.namespace == place }
      let found = Set(ours.map(\.inode)).intersection(inodes)
      #expect(found == inodes, "round \(round)")
      #expect(Set(ours.map(\.cookie)).count == ours.count, "round \(round)")
      #expect(ours.allSatisfy { $0.transport != .mptcp }, "round \(round)")
      for row in ours where row.transport == .tcp && row.state != .bound {
        let isOurs = [port, secondPort].contains { $0 == row.localPort || $0 == row.remotePort }
        #expect(isOurs && row.localAddress.isLoopback, "round \(round): \(row)")
      }
      #expect(census.gaps.damagedAnswers == 0 && census.gaps.refusedDumps == [], "round \(round)")
      // A socket that moves between two kernel tables during both checks must not be reported as detached.
      #expect(census.detached.allSatisfy { !inodes.contains($0.inode) }, "round \(round)")
    }
    over.set()
    try churning.join()
    try others.join()
    #expect(births.counts[0] > 200)
  }

  @Test(
    "a vanished network namespace is no gap; one whose known process ended is entered through another process",
    .enabled(if: Privileges.canMakeNamespaces, "needs a network namespace"))
  func vanishedNamespace() throws {
    let place = NamespacePlace(inode: 17, name: "gone", path: "/proc/2147483647/ns/net")
    let gone = NamespaceDump.read(place, isOwn: false, Census.Options())
    #expect(gone.isGone && !gone.namespace.isRead)
    var census = Census()
    census.take(gone)
    #expect(census.gaps.skippedNamespaces == 0 && census.gaps.vanishedNamespaces == 1)
    #expect(census.gaps.sentences == [] && !census.gaps.hidesSockets)
    census.take(nil)
    #expect(census.gaps.sentences == ["1 network namespace could not be entered"])

    let namespace = try NetworkNamespace()
    // One process is in the namespace; the one through which it was found has ended.
    let child = try namespace.run { try Child.spawn("/bin/sleep", ["1000"]) }
    defer { child.end() }
    let inode = try #require(NamespacePlace.inode("/proc/\(child.number)/ns/net"))
    let listener = try namespace.run { try PlainSocket.listening() }
    let found = onThread {
      NamespaceDump.read(
        NamespacePlace(inode: inode, name: "moved", path: "/proc/2147483647/ns/net"), isOwn: false, Census.Options())
    }
    let dump = try found.join()
    #expect(dump.namespace.isRead && !dump.isGone)
    #expect(dump.sockets.contains { $0.localPort == listener.port && $0.state == .listen })
  }

  @Test("a process that ended before its name was read is called a program that has ended")
  func ended() {
    #expect(ProcessOwner(pid: 812, user: 5).name == "a program that has ended (pid 812)")
    #expect(ProcessOwner(user: 5).name == "a program of user 5")
    var socket = InetSocket()
    (socket.inode, socket.state) = (9, .closeWait)
    socket.info.lastDataSent = 90_000
    socket.info.lastDataReceived = 90_000
    socket.info.lastAcknowledgementReceived = 90_000
    let census = Census(
      sockets: [socket], holders: Holders(sockets: [Holder(inode: 9, pid: 812, descriptor: 4)]))
    let finding = Diagnosis.findings(in: census).first { $0.id == .closeWaitKnown }
    #expect(finding?.sentence.hasPrefix("a program that has ended (pid 812) keeps 1 connection") == true)
  }

  @Test("processes that end while they are read cause no error, and the rest of the census is complete")
  func vanishing() throws {
    let over = Flag()
    let starting = onThread { () -> Int in
      var count = 0
      while !over.isSet {
        _ = try withChild("/bin/true") { try $0.wait() }
        count += 1
      }
      return count
    }
    defer { over.set() }
    let listener = try PlainSocket.listening()
    let number = try inode(listener.descriptor)
    for _ in 0..<20 {
      let census = try Census.take()
      #expect(census.holders[number].contains { $0.pid == getpid() })
      #expect(census.programs[getpid()] != nil)
    }
    over.set()
    #expect(try starting.join() > 0)
    #expect(Program.read(.max) == nil && Watchers.read(.max, epolls: [3]).isComplete == false)
  }
}

/// Counts the sockets that were created.
private final class Births: Sendable {
  let connections = Atomic(0)
  private let datagrams = Atomic(0)
  private let unix = Atomic(0)

  /// The counts of TCP, UDP and Unix sockets.
  var counts: [Int] {
    [connections.load(ordering: .relaxed), datagrams.load(ordering: .relaxed), unix.load(ordering: .relaxed)]
  }

  /// Opens and closes bound UDP sockets and Unix pairs in turn.
  func makeOthers(until over: Flag) throws {
    while !over.isSet {
      let datagram = socket(AF_INET, CInt(SOCK_DGRAM.rawValue), 0)
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      let bound = unsafe withUnsafeBytes(of: &address) { bytes in
        unsafe bind(datagram, bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
      }
      close(datagram)
      var pair: (CInt, CInt) = (-1, -1)
      let made = unsafe withUnsafeMutableBytes(of: &pair) { bytes in
        unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, bytes.baseAddress!.assumingMemoryBound(to: CInt.self))
      }
      guard datagram >= 0, bound == 0, made == 0 else { throw RigError("a socket could not be made") }
      _ = (close(pair.0), close(pair.1))
      datagrams.add(1, ordering: .relaxed)
      unix.add(2, ordering: .relaxed)
    }
  }
}
