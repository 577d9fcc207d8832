import Fin
import Peers
import TestTraits
import Testing

@Suite("A conversation, from connect to the report of its close", .onThreads)
struct Conversation {
  @Test("a served client gets its lines back, and both sides report how the connection ended")
  func echo() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let handle = listener.handle
    let address = listener.localAddress
    let client = onThread {
      defer { handle.stop() }
      return try withConnection(to: Endpoint(address)) { connection in
        try connection.send("hello\n")
        return try connection.receiveLine()
      }
    }
    let served = listener.serve(threads: 4) { connection in
      while let line = try connection.receiveLine() { try connection.send("you said \(line)\n") }
    }
    let (reply, end) = try client.join(within: .seconds(10))
    #expect(reply == "you said hello")
    #expect(served.endings == [.peerFinished: 1])
    #expect(end.isDelivered)
    #expect(end.bytesUnacknowledged == 0)
    print(served, end)
  }

  @Test(
    "a socket bound to a wildcard address has, once connected, the local address that the peer sees",
    arguments: [SocketAddress.loopback(port: 0), .loopback6(port: 0)])
  func wildcard(home: SocketAddress) throws {
    let listener = try Listener.bind(home)
    // Not a port from the ephemeral range: a concurrent test could get it from the kernel.
    let port = quietPort(home.family == .ipv4 ? 4 : 5)
    let wildcard: SocketAddress = home.family == .ipv4 ? .any(port: port) : .any6(port: port)
    let socket = try Socket(home.family)
    try socket.set(.reuseAddress, to: true)
    try socket.bind(to: wildcard)
    #expect(socket.localAddress == wildcard)
    let client = try socket.connect(to: listener.localAddress, within: .seconds(10))
    let served = try listener.accept(within: .seconds(10))
    #expect(served.remoteAddress?.port == port && client.localAddress == served.remoteAddress)
    served.abort()
    client.abort()
    listener.close()
  }

  @Test("a half-closed connection still receives")
  func halfClose() throws {
    let pair = try Connection.pair()
    try pair.first.send([1, 2, 3])
    let first = pair.first.finishSending()
    #expect(try pair.second.receive(exactly: 3) == [1, 2, 3])
    #expect(try pair.second.receive(upTo: 10) == nil)
    try pair.second.send("yes")
    #expect(try first.receive(upTo: 10) == Array("yes".utf8))
    print(pair.second.close(), first.close())
  }
}
