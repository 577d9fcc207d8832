import Glibc
import Peers
import TestTraits
import Testing

@testable import FinDoctor

@Suite("A census of what does not hold still is true all the same", .onThreads, .timeLimit(.minutes(30)))
struct HostileTests {
  @Test(
    "sockets born and ended as fast as can be: 20 censuses lose none that stayed, list none twice, and invent none",
    .enabled(if: Rights.canMakeNamespaces, "needs a network namespace"))
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
    let second = try namespace.run { try PlainSocket.listening(backlog: 512) }
    let secondPort = second.port
    let secondDescriptor = second.detach()
    let churning = namespace.onThread { () -> Int in
      let listener = PlainSocket(adopting: secondDescriptor)
      var count = 0
      while !over.isSet {
        let client = try PlainSocket.connected(to: "127.0.0.1", port: secondPort)
        let server = try listener.accept()
        // A reset leaves no TIME-WAIT, so that the ports last.
        if count % 8 == 0 { server.close() } else { server.abort() }
        client.abort()
        count += 1
      }
      return count
    }
    defer { over.set() }
    for round in 0..<20 {
      let census = try Census.take()
      let place = try #require(
        census.sockets.first { inodes.contains($0.inode) }.map(\.namespace), "round \(round): none of those that stayed"
      )
      let ours = census.sockets.filter { $0.namespace == place }
      let found = Set(ours.map(\.inode)).intersection(inodes)
      #expect(found == inodes, "round \(round)")
      #expect(Set(ours.map(\.cookie)).count == ours.count, "round \(round)")
      for row in ours where row.transport == .tcp && row.state != .bound {
        let isOurs = [port, secondPort].contains { $0 == row.localPort || $0 == row.remotePort }
        #expect(isOurs && row.localAddress.isLoopback, "round \(round): \(row)")
      }
      #expect(census.blindness.damagedAnswers == 0 && census.blindness.refusedDumps == [], "round \(round)")
      // A socket that is between its tables while it is looked at twice is not taken for one that none lists.
      #expect(census.detached.allSatisfy { !inodes.contains($0.inode) }, "round \(round)")
    }
    over.set()
    #expect(try churning.join() > 100)
  }

  @Test("processes that end while they are read: nothing is thrown, and what was read of them stays")
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
