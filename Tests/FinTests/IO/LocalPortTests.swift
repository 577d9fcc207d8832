import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Local ports: self-connection, and exhaustion", .onThreads)
struct LocalPorts {
  @Test("a connect that reaches itself is refused, and leaves the port free for a listener", .faults(49))
  func selfConnect() throws {
    // A port that is currently free.
    let probe = try PlainSocket.listening()
    let address = SocketAddress.loopback(port: probe.port)
    probe.close()
    let ledger = Ledger()
    try Ledger.$current.withValue(ledger) { () throws in
      let socket = try Socket(.ipv4)
      try socket.bind(to: address)
      var handed: Socket? = socket
      let error = try refusal { () throws(SocketError) in try handed.take()!.connect(to: address) }
      #expect(error.cause == .system(.connectionRefused))
      #expect("\(error)".contains("connected to itself"), "\(error)")
      #expect(ledger.counts.open == 0)
      // TIME-WAIT would block the port for a server that does not set SO_REUSEADDR.
      #expect(try KernelView.tcp(localPort: address.port, remotePort: address.port).isEmpty)
    }
  }

  @Test(
    "a connect that reaches itself by chance, among few ports, never gives a connection", .faults(49), .needsNamespaces)
  func byChance() throws {
    let namespace = try NetworkNamespace()
    try namespace.setSysctl("net/ipv4/ip_local_port_range", "50000 50003")
    let script = Script()
    let ledger = Ledger()
    try namespace.run { () throws in
      try scripted(script) { () throws in
        try Ledger.$current.withValue(ledger) { () throws in
          var timesMet = 0
          for attempt in 0..<400 {
            let port = 50000 + UInt16(attempt % 4)
            let error = try refusal { () throws(SocketError) in try Connection.connect(to: .loopback(port: port)) }
            #expect(error.cause == .system(.connectionRefused), "\(error)")
            if "\(error)".contains("connected to itself") { timesMet += 1 }
          }
          #expect(timesMet > 0)
        }
      }
    }
    // One `connect` per call: Fin does not retry in a loop.
    #expect(script.count(.connect) == 400)
    #expect(ledger.counts.open == 0)
  }

  @Test(
    "every local port to a destination taken: an error that says so, and a freed port works again", .faults(50),
    .needsNamespaces)
  func exhausted() throws {
    let namespace = try NetworkNamespace()
    try namespace.setSysctl("net/ipv4/ip_local_port_range", "50000 50001")
    try namespace.run { () throws in
      let listener = try Listener.bind(.loopback(port: 7))
      let other = try Listener.bind(.loopback(port: 8))
      let first = try Connection.connect(to: listener.localAddress)
      let second = try Connection.connect(to: listener.localAddress)
      let address = listener.localAddress
      let error = try refusal { () throws(SocketError) in try Connection.connect(to: address) }
      #expect(error.cause == .system(.addressNotAvailable))
      #expect("\(error)".contains("every local port to this destination is taken"), "\(error)")
      // The same ports still work for another destination.
      let third = try Connection.connect(to: other.localAddress)
      first.abort()
      let fourth = try Connection.connect(to: listener.localAddress)
      second.abort()
      third.abort()
      fourth.abort()
      listener.close()
      other.close()
    }
  }

  @Test(
    "bound to a source address without a port, a connection takes no port before it connects", .faults(50),
    .needsNamespaces)
  func sourceBound() throws {
    let namespace = try NetworkNamespace()
    try namespace.setSysctl("net/ipv4/ip_local_port_range", "50000 50001")
    try namespace.run { () throws in
      let listeners = [7, 8, 9] as [UInt16]
      var held: [SharedConnection] = []
      var open: [ListenerHandle] = []
      for port in listeners {
        let listener = try Listener.bind(.loopback(port: port))
        open.append(listener.handle)
        for _ in 0..<2 {
          let socket = try Socket(.ipv4)
          try socket.bind(to: .loopback(port: 0), leavingPortOpen: true)
          #expect(socket.localAddress == .loopback(port: 0))
          let connection = try socket.connect(to: listener.localAddress)
          #expect(connection.localAddress?.ip == .v4(.loopback))
          #expect([50000, 50001].contains(connection.localAddress?.port))
          held.append(connection.share())
        }
        listener.close()
      }
      #expect(held.count == 6)
      for connection in held { connection.abort() }
    }
  }
}
