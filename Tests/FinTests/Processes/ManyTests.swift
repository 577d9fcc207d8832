import Fin
import Peers
import Synchronization
import TestTraits
import Testing

@Suite("Promise 9: a limit on everything", .onThreads)
struct Many {
  @Test("9,000 open sockets are all counted, and none is left", .faults(46))
  func pairs() async {
    await #expect(processExitsWith: .success) {
      try synchronously {
        // The sockets that this process was started with.
        let before = try KernelView.openDescriptors().filter { $0.socketInode != nil }.count
        var shared: [SharedConnection] = []
        for _ in 0..<4_500 {
          let pair = try Connection.pair()
          shared.append(pair.first.share())
          shared.append(pair.second.share())
        }
        precondition(Ledger.current.counts.open == 9_000)
        precondition(Ledger.current.openSockets().count == 9_000)
        for connection in shared { connection.close(.abort) }
        precondition(Ledger.current.counts.open == 0)
        let after = try KernelView.openDescriptors().filter { $0.socketInode != nil }.count
        precondition(after == before)
      }
    }
  }

  @Test("a SYN flood does not disturb an established connection", .needsTUN, .faults(39))
  func flood() throws {
    try withRawPeer { peer in
      let listener = try peer.namespace.run { try Listener.bind("10.8.0.1:5000", backlog: 8) }
      let connection = try peer.namespace.run { try Connection.connect(to: "10.8.0.2:7") }
      peer.flood(port: 5000, count: 200)
      try connection.send("undisturbed")
      peer.behave(.good)
      #expect(connection.close(.abort).ending == .aborted)
      listener.close()
    }
  }

  @Test(
    "an IPv6 listener accepts IPv4 clients under mapped addresses, or not, as IPV6_V6ONLY says", .needsIPv6, .faults(55)
  )
  func dualStack() throws {
    let both = try Listener.bind(.any6(port: 0), options: .init(ipv6Only: false))
    let port = try #require(both.localAddress.port)
    let client = try Connection.connect(to: .loopback(port: port))
    let server = try both.accept(within: .seconds(10))
    #expect(server.remoteAddress?.ip?.canonical == .v4(.loopback))
    #expect(server.remoteAddress.map { "\($0)" }?.hasPrefix("[::ffff:127.0.0.1]:") == true)
    #expect(throws: SocketError.self) { try Listener.bind(.any(port: port)).close() }
    client.close(.abort)
    server.close(.abort)
    both.close()

    let only = try Listener.bind(.any6(port: 0), options: .init(ipv6Only: true))
    let other = try #require(only.localAddress.port)
    #expect(throws: SocketError.self) { try Connection.connect(to: .loopback(port: other)).close() }
    only.close()
  }
}
