import CFin
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinDoctor

@Suite(
  "A second look asks only for the sockets in question, and finds those that still exist",
  .enabled(if: Privileges.canMakeNamespaces, "needs a network namespace"), .onThreads, .timeLimit(.minutes(30)))
struct SecondLookTests {
  /// The sockets of these inodes.
  private func look(at inodes: Set<UInt32>, of census: Census) -> SecondLook {
    var look = SecondLook()
    for socket in census.sockets where inodes.contains(socket.inode) { look.add(socket) }
    for socket in census.unixSockets where inodes.contains(socket.inode) { look.add(socket) }
    return look
  }

  private func census(in namespace: NetworkNamespace) throws -> Census {
    var options = Census.Options()
    options.readsAllNamespaces = false
    return try namespace.run { try Census.take(options) }
  }

  private func seen(_ look: SecondLook, in namespace: NetworkNamespace) throws -> Set<UInt32> {
    try namespace.onThread {
      look.look(in: NamespacePlace(inode: 0, name: "own", path: NamespacePlace.own), isOwn: true).inodes
    }.join()
  }

  /// A socket of each kind: a connection over IPv4 and over IPv6, a listener, one that is only bound, one of UDP, two
  /// Unix sockets.
  private func one(ofEachKind namespace: NetworkNamespace) throws -> [CInt] {
    try namespace.run {
      var all: [CInt] = []
      for address in ["127.0.0.1", "::1"] {
        let listener = try PlainSocket.listening(on: address)
        let pair = try Pair(through: listener, on: address)
        all += [dup(listener.descriptor), dup(pair.client.descriptor), dup(pair.server.descriptor)]
      }
      for kind in [CInt(SOCK_STREAM.rawValue), CInt(SOCK_DGRAM.rawValue)] {
        let number = socket(AF_INET, kind, 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        let bound = unsafe withUnsafeBytes(of: &address) { bytes in
          unsafe bind(number, bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self), socklen_t(bytes.count))
        }
        try #require(bound == 0)
        all.append(number)
      }
      var pair: [CInt] = [0, 0]
      let made = unsafe socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &pair)
      try #require(made == 0)
      return all + pair
    }
  }

  @Test("sockets of every kind exist while they are open, and not when they are closed")
  func kinds() throws {
    let namespace = try NetworkNamespace()
    let all = try one(ofEachKind: namespace)
    let inodes = try all.map { try inode($0) }
    let look = try look(at: Set(inodes), of: census(in: namespace))
    #expect(try Set(inodes).subtracting(seen(look, in: namespace)).isEmpty)
    // The clients close: their connections live on without an inode, and the others stay.
    for place in [1, 4] { close(all[place]) }
    var expected = Set(inodes)
    expected.subtract([inodes[1], inodes[4]])
    #expect(try seen(look, in: namespace).intersection(inodes) == expected)
    for place in all.indices where ![1, 4].contains(place) { close(all[place]) }
    #expect(try seen(look, in: namespace).isDisjoint(with: inodes))
  }

  @Test("a socket that took the addresses and ports of one that has ended is not that one")
  func another() throws {
    let namespace = try NetworkNamespace()
    let listener = try namespace.run { try PlainSocket.listening() }
    let port = listener.port
    let old = try inode(listener.descriptor)
    let look = try look(at: [old], of: census(in: namespace))
    listener.close()
    let second = try namespace.run { try PlainSocket.listening(port: port) }
    let found = try seen(look, in: namespace)
    #expect(!found.contains(old))
    #expect(try found.contains(inode(second.descriptor)), "a dump of listeners has the new one")
  }

  @Test("more sockets than are asked for one by one: all of them are found, by a dump")
  func many() throws {
    let namespace = try NetworkNamespace()
    let listener = try namespace.run { try PlainSocket.listening(backlog: 512) }
    var all: [CInt] = []
    defer { for number in all { close(number) } }
    try namespace.run {
      for _ in 0..<100 {
        let pair = try Pair(through: listener)
        all += [dup(pair.client.descriptor), dup(pair.server.descriptor)]
        var ends: [CInt] = [0, 0]
        let made = unsafe socketpair(AF_UNIX, CInt(SOCK_DGRAM.rawValue), 0, &ends)
        try #require(made == 0)
        all += ends
      }
    }
    let inodes = Set(try all.map { try inode($0) })
    let look = try look(at: inodes, of: census(in: namespace))
    #expect(try inodes.subtracting(seen(look, in: namespace)).isEmpty)
  }

  @Test("a namespace that no path leads into any more has none of the sockets")
  func gone() throws {
    var row = InetSocket()
    (row.inode, row.cookie, row.remotePort) = (7, 8, 9)
    var look = SecondLook()
    look.add(row)
    let asked = look
    let seen = try onThread {
      asked.look(in: NamespacePlace(inode: 17, name: "gone", path: "/proc/2147483647/ns/net"), isOwn: false).inodes
    }.join()
    #expect(seen.isEmpty)
  }

  @Test(
    "the holders of a few sockets are found in one pass, and no others",
    .enabled(if: Privileges.canLoadPrograms, "needs the right to load a BPF program"))
  func holders() throws {
    let listener = try PlainSocket.listening()
    let pair = try Pair(through: listener)
    let copy = dup(pair.server.descriptor)
    defer { close(copy) }
    let wanted = try [inode(pair.server.descriptor), inode(listener.descriptor)]
    let found = try #require(DescriptorReading.holdersInOnePass(of: wanted + [0, 1]))
    #expect(Set(found.map(\.inode)) == Set(wanted))
    for (number, inode) in [(pair.server.descriptor, wanted[0]), (copy, wanted[0]), (listener.descriptor, wanted[1])] {
      #expect(found.contains(Holder(inode: inode, pid: getpid(), descriptor: number)))
    }
    // More inodes than are compared in the kernel.
    let more = try #require(DescriptorReading.holdersInOnePass(of: wanted + (1...300)))
    #expect(more.contains(Holder(inode: wanted[1], pid: getpid(), descriptor: listener.descriptor)))
  }
}
