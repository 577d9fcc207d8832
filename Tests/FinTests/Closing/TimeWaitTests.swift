import Fin
import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@Suite("TIME-WAIT: on the side that closes first, and no hindrance to a restart", .needsNamespaces, .onThreads)
struct TimeWaitTests {
  @Test("only the side that closes first has a TIME-WAIT", arguments: [true, false])
  func oneSide(clientFirst: Bool) throws {
    let namespace = try NetworkNamespace()
    let listener = try namespace.run { () throws -> Listener in try Listener.bind(.loopback(port: 0)) }
    let port = listener.localAddress.port ?? 0
    let client = try namespace.run { () throws -> Connection in try Connection.connect(to: listener.localAddress) }
    let clientPort = client.port
    let served = try listener.accept()
    if clientFirst {
      #expect(client.close().ending == .acknowledged)
      #expect(try served.receive(upTo: 1) == nil)
      #expect(served.close().ending == .peerFinished)
    } else {
      #expect(served.close().ending == .acknowledged)
      #expect(try client.receive(upTo: 1) == nil)
      #expect(client.close().ending == .peerFinished)
    }
    listener.close()
    let first = clientFirst ? clientPort : port
    try eventually("who is in TIME-WAIT", equals: [first]) {
      try namespace.run { try KernelView.tcp().filter { $0.state == .timeWait }.map(\.localPort) }
    }
    #expect(try namespace.run { try KernelView.tcp().count } == 1)
  }

  @Test("a server that closed first can be started again on its port at once", .faults(51))
  func restart() throws {
    let namespace = try NetworkNamespace()
    try namespace.run { () throws in
      let first = try Listener.bind(.loopback(port: 0))
      let address = first.localAddress
      let client = try Connection.connect(to: address)
      #expect(try first.accept().close().ending == .acknowledged)
      #expect(try client.receive(upTo: 1) == nil)
      client.close()
      first.close()
      let port = address.port ?? 0
      #expect(try KernelView.tcp(localPort: port).map(\.state) == [.timeWait])
      // The control: without SO_REUSEADDR the port cannot be bound.
      let plain = socket(AF_INET, CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0)
      defer { close(plain) }
      var name = sockaddr_in()
      name.sin_family = sa_family_t(AF_INET)
      name.sin_port = port.bigEndian
      name.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
      let code = unsafe withUnsafePointer(to: &name) {
        unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          unsafe bind(plain, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
      #expect(code == -1)

      let second = try Listener.bind(address)
      let again = try Connection.connect(to: address)
      try again.send([1])
      let served = try second.accept()
      #expect(try served.receive(exactly: 1) == [1])
      served.close()
      again.close()
      second.close()
    }
  }

  @Test("an aborted connection leaves no TIME-WAIT on either side", .faults(27))
  func abort() throws {
    let namespace = try NetworkNamespace()
    let pair = try namespace.run { () throws -> Loopback in try Loopback() }
    let stream = pair.ours
    let peer = pair.peer
    stream.abort()
    peer.close()
    #expect(try namespace.run { try KernelView.tcp().isEmpty })
  }
}
