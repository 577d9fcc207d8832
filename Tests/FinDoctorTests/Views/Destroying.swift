import Peers
import TestTraits
import Testing

@testable import FinDoctor

@Suite("Destroying sockets of other programs: the request and its target", .onThreads)
struct DestroyingRows {
  @Test("a request contains every field of the socket, in the kernel's order")
  func request() {
    var socket = InetSocket()
    socket.localPort = 0x1234
    socket.remotePort = 0x5678
    socket.localBits = AddressBits(low: 0x7f00_0001)
    socket.remoteBits = AddressBits(low: 0x0a01_0203)
    socket.interface = 3
    let bytes = InetDiag.exact(21, socket, cookie: 0x1122_3344_5566_7788, sequence: 9)
    let zeros = [UInt8](repeating: 0, count: 12)
    var expected: [UInt8] = [72, 0, 0, 0, 21, 0, 5, 0, 9, 0, 0, 0, 0, 0, 0, 0, 2, 6, 0, 0, 255, 255, 255, 255]
    expected += [0x12, 0x34, 0x56, 0x78, 127, 0, 0, 1] + zeros + [10, 1, 2, 3] + zeros
    expected += [3, 0, 0, 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11]
    #expect(bytes == expected)

    socket.isIPv6 = true
    socket.transport = .udp
    socket.localBits = AddressBits(high: 0xfe80_0000_0000_0000, low: 0x0102_0304_0506_0708)
    let six = InetDiag.exact(20, socket, cookie: .max, sequence: 9)
    #expect(six.count == 72 && six[16...17] == [10, 17])
    #expect(six[28...43] == [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8])
    #expect(six[64...] == [UInt8](repeating: 255, count: 8)[...])
  }

  private func end(_ address: NetworkAddress, _ port: UInt16) -> SocketTarget.End { .init(address, port: port) }

  @Test("one address matches as local or remote; two match in one direction; port 0 matches nothing")
  func targets() {
    var socket = InetSocket()
    socket.localBits = AddressBits(low: 0x7f00_0001)
    socket.localPort = 40000
    socket.remoteBits = AddressBits(low: 0x7f00_0002)
    socket.remotePort = 80
    let (one, two) = (NetworkAddress(127, 0, 0, 1), NetworkAddress(127, 0, 0, 2))
    #expect(SocketTarget(end(one, 40000)).matches(socket) && SocketTarget(end(two, 80)).matches(socket))
    #expect(!SocketTarget(end(one, 80)).matches(socket) && !SocketTarget(end(two, 40000)).matches(socket))
    #expect(SocketTarget(end(one, 40000), end(two, 80)).matches(socket))
    #expect(!SocketTarget(end(two, 80), end(one, 40000)).matches(socket))
    socket.remotePort = 0
    #expect(!SocketTarget(end(two, 0)).matches(socket))
  }

  @Test("an IPv4 address matches its IPv6-mapped form; an interface distinguishes link-local addresses")
  func addresses() {
    var socket = InetSocket()
    socket.isIPv6 = true
    socket.localBits = AddressBits(low: 0xffff_7f00_0001)
    socket.localPort = 80
    #expect(SocketTarget(end(NetworkAddress(127, 0, 0, 1), 80)).matches(socket))
    #expect(SocketTarget(end(NetworkAddress(socket.localBits, isIPv6: true), 80)).matches(socket))
    // `::1` is not 0.0.0.1, although both are 1.
    socket.localBits = AddressBits(low: 1)
    #expect(!SocketTarget(end(NetworkAddress(0, 0, 0, 1), 80)).matches(socket))

    socket.localBits = AddressBits(high: 0xfe80 << 48, low: 1)
    socket.interface = 2
    func link(_ interface: UInt32) -> SocketTarget {
      SocketTarget(end(NetworkAddress(socket.localBits, isIPv6: true, interface: interface), 80))
    }
    #expect(link(2).matches(socket) && link(0).matches(socket) && !link(3).matches(socket))
  }

  @Test("listeners and bound sockets are spared; the effect of destroying is described for every state")
  func spared() {
    var socket = InetSocket()
    for state in SocketState.named {
      socket.state = state
      let sparing: InetSocket.Sparing? = state == .listen ? .listener : state == .bound ? .bound : nil
      #expect(socket.sparing == sparing && !socket.effectOfDestruction.isEmpty)
    }
    socket.state = .lastAck
    #expect(socket.effectOfDestruction.contains("receives nothing"))
  }
}

@Suite("Destroying sockets of running programs", .needsScenes, .onThreads, .timeLimit(.minutes(30)))
struct DestroyingScenes {
  private func row(_ census: Census, local: Int, _ transport: Transport = .tcp) throws -> Int {
    try #require(
      census.sockets.indices.first {
        census.sockets[$0].localPort == UInt16(local) && census.sockets[$0].transport == transport
          && census.sockets[$0].state != .listen
      })
  }

  private func ask(_ words: String, _ scene: Scene) throws -> String {
    try scene.program.write(words + "\n")
    return try #require(try scene.program.readLine(within: .seconds(60)))
  }

  @Test(
    "the program gets ECONNABORTED and keeps its descriptor, its peer ECONNRESET; other sockets are unaffected",
    arguments: ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
  func destroyed(address: String) throws {
    try Scene.with("kill", address) { scene in
      let census = try scene.census()
      let client = try row(census, local: scene.number(1))
      // This thread is outside the scene's network namespace: `destroy` enters it on a thread of its own.
      #expect(census.destroy([client]) == [.destroyed])
      #expect(try ask("wait client", scene) == "ECONNABORTED")
      #expect(try ask("wait server", scene) == "ECONNRESET")
      #expect(try ask("client2", scene) == "nothing")
      let after = try scene.census()
      #expect(!after.sockets.contains { $0.cookie == census.sockets[client].cookie })
      let held = after.holders[census.sockets[client].inode]
      #expect(held.map(\.descriptor) == [Int32(try scene.number(6))] && held.first?.pid == scene.pid)
      #expect(try ask("close client", scene) == "closed")
      #expect(try scene.census().holders[census.sockets[client].inode].isEmpty)
    }
  }

  @Test("a wrong cookie destroys nothing, and the result tells a replaced socket from one that has ended")
  func wrongCookie() throws {
    try Scene.with("kill") { scene in
      var census = try scene.census()
      let client = try row(census, local: scene.number(1))
      census.sockets[client].cookie += 1
      #expect(census.destroy([client]) == [.endedBefore(isReplaced: true)])
      #expect(try ask("client", scene) == "nothing" && ask("server", scene) == "nothing")
      census.sockets[client].cookie -= 1
      #expect(census.destroy([client]) == [.destroyed])
      #expect(census.destroy([client]) == [.endedBefore(isReplaced: false)])
      // A network namespace that does not exist.
      census.namespaces[0].inode = 1
      guard case .unreachable? = census.destroy([client]).first else {
        Issue.record("a network that is not there was entered")
        return
      }
    }
  }

  @Test("destroying an entry in TIME-WAIT frees its port at once")
  func timeWait() throws {
    let network = try NetworkNamespace()
    try network.setSysctl("net/ipv4/ip_local_port_range", "40000 40009")
    try network.setSysctl("net/ipv4/tcp_tw_reuse", "0")
    try Scene.with("port_budget", "0", "10", "0", in: network) { scene in
      #expect(try ask("fill", scene) == "0 EADDRNOTAVAIL")
      let census = try scene.census()
      let resting = census.sockets.indices.filter { census.sockets[$0].state == .timeWait }
      #expect(census.destroy(Array(resting.prefix(4))) == Array(repeating: .destroyed, count: 4))
      #expect(try ask("fill", scene) == "4 EADDRNOTAVAIL")
    }
  }

  @Test("a client in the accept queue is reset; its place in the queue stays taken")
  func waiting() throws {
    try Scene.with("queue", "2", "0") { scene in
      let census = try scene.census()
      let place = try #require(census.sockets.indices.first { census.sockets[$0].isWaitingForAccept })
      #expect(census.destroy([place]) == [.destroyed])
      let after = try scene.census()
      #expect(after.sockets.count { $0.isWaitingForAccept } == 1)
      #expect(after.sockets.first { $0.state == .listen }?.receiveQueue == 2)
    }
  }

  @Test("UDP: the program gets ECONNABORTED, once")
  func udp() throws {
    try Scene.with("kill") { scene in
      let census = try scene.census()
      let places = try [row(census, local: scene.number(3), .udp), row(census, local: scene.number(4), .udp)]
      #expect(census.destroy(places) == [.destroyed, .destroyed])
      #expect(try ask("error udp", scene) == "ECONNABORTED" && ask("error ubound", scene) == "ECONNABORTED")
      #expect(try ask("error udp", scene) == "nothing")
    }
  }

  @Test("three listeners of one address are all destroyed, although the kernel finds one at a time")
  func reuseport() throws {
    try Scene.with("reuseport") { scene in
      let census = try scene.census()
      let places = census.sockets.indices.filter { census.sockets[$0].state == .listen }
      #expect(places.count == 3)
      #expect(census.destroy(Array(places)) == [.destroyed, .destroyed, .destroyed])
      #expect(try scene.census().sockets.allSatisfy { $0.state != .listen })
    }
  }
}
