import Glibc
import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 1: each kind of owner can be given away or duplicated, and closed once")
struct GivingAway {
  private func isOpen(_ descriptor: FileDescriptor) -> Bool { fcntl(descriptor.rawValue, F_GETFD) >= 0 }

  @Test("a socket that is bound is given away open, with its port", .onThreads)
  func socket() throws {
    let socket = try Socket(.ipv4)
    try socket.bind(to: .loopback(port: 0))
    let port = socket.localAddress?.port ?? 0
    #expect(port != 0)
    let given = socket.detach()
    #expect(isOpen(given))
    #expect(try Syscalls.localAddress(given.rawValue)?.port == port)
    try given.close()
  }

  @Test("port 0 is chosen at the bind, or on request when the socket connects", .onThreads)
  func portZero() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    for isLate in [false, true] {
      let socket = try Socket(.ipv4)
      try socket.bind(to: .loopback(port: 0), leavingPortOpen: isLate)
      let port = socket.localAddress?.port ?? 0
      #expect((port == 0) == isLate)
      let client = try socket.connect(to: listener.localAddress, within: .seconds(10))
      #expect(client.localAddress?.port != 0 && (isLate || client.localAddress?.port == port))
      try listener.accept(within: .seconds(10)).abort()
      client.abort()
    }
    listener.close()
  }

  @Test("a connection that has finished sending is given away with its unread bytes, and duplicated", .onThreads)
  func receiving() throws {
    let pair = try Connection.pair()
    try pair.second.send("one\ntwo\n")
    let rest = pair.first.finishSending()
    let second = try rest.duplicate()
    #expect(try rest.receiveLine() == "one")
    let given = try rest.detach()
    #expect(given.unread == Array("two\n".utf8) && isOpen(given.descriptor))
    try pair.second.send("three\n")
    #expect(try second.receiveLine() == "three")
    #expect(second.close(.background).ending == .shared)
    try given.descriptor.close()
    pair.second.abort()
  }

  @Test("a shared connection is given away once: waits wake with .closed, and later calls throw it", .onThreads)
  func shared() throws {
    for world in ServingWorld.allCases {
      let (ours, plain) = try openStrangers()
      let waiting = errand { try await ours.receive(exactly: 9) }
      try ours.awaitParked()
      try plain.send("half")
      let given: DetachedDescriptor
      switch world {
      case .threads: given = try ours.detach()
      case .tasks: given = try inTask { try await ours.detach() }
      }
      #expect(try waiting.refusal().cause == .closed)
      var all = given.unread
      if all.count < 4 {
        var room = [UInt8](repeating: 0, count: 9)
        let count = unsafe recv(given.descriptor.rawValue, &room, 9, 0)
        all += room.prefix(max(0, count))
      }
      #expect(all == Array("half".utf8))
      #expect(try refusal { () throws(SocketError) in try ours.detach() }.cause == .closed)
      #expect(try refusal { () throws(SocketError) in try ours.send("x") }.cause == .closed)
      #expect(ours.close().ending == .detached && isOpen(given.descriptor))
      try given.descriptor.close()
    }
  }

  @Test("the duplicate of a shared connection has a descriptor and an owner of its own", .onThreads)
  func sharedDuplicate() throws {
    let (ours, plain) = try openStrangers()
    let second = try ours.duplicate()
    #expect(ours.close(.background).ending == .shared)
    try second.send("x")
    #expect(try plain.receive(upTo: 1) == [120])
    second.abort()
    let unconnected = try SharedConnection(unconnected: .ipv4)
    #expect(
      try refusal { () throws(SocketError) in try unconnected.duplicate() }.cause == .system(.socketNotConnected))
    unconnected.abort()
    #expect(try refusal { () throws(SocketError) in try ours.duplicate() }.cause == .closed)
  }

  @Test("a datagram socket's duplicate receives from the same queue; a shared one is given away", .onThreads)
  func datagrams() throws {
    let socket = try DatagramSocket.bind(.loopback(port: 0))
    let second = try socket.duplicate()
    let bound = socket.localAddress
    let address = try #require(bound)
    socket.close()
    let sender = try DatagramSocket(.ipv4)
    try sender.send("x", to: address)
    #expect(try second.receive(within: .seconds(10)).bytes == [120])
    let shared = second.share()
    try shared.duplicate().close()
    let given = try shared.detach()
    #expect(isOpen(given))
    #expect(try refusal { () throws(SocketError) in try shared.detach() }.cause == .closed)
    #expect(try refusal { () throws(SocketError) in try shared.send("x", to: address) }.cause == .closed)
    try given.close()
    sender.close()
  }
}
