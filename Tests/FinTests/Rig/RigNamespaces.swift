import Glibc
import Peers
import TestTraits
import Testing

@Suite("Rig: network namespaces", .needsNamespaces, .onThreads)
struct RigNamespaces {
  @Test("a listener in one namespace is not reachable from another, and a socket keeps its namespace")
  func separation() throws {
    let namespace = try NetworkNamespace()
    let listener = try namespace.run { try PlainSocket.listening() }
    let port = listener.port
    let client = try namespace.run { try PlainSocket.connected(to: "127.0.0.1", port: port) }
    let accepted = try listener.accept()
    try client.send([1])
    #expect(try accepted.receive() == [1])
    #expect(try namespace.run { try KernelView.tcp(localPort: port).count } == 2)
    let other = try NetworkNamespace()
    #expect(throws: RigError("connect", code: ECONNREFUSED)) {
      _ = try other.run { try PlainSocket.connected(to: "127.0.0.1", port: port) }
    }
    #expect(try other.run { try KernelView.tcp().isEmpty })
  }

  @Test("the calling thread returns to its namespace, even when the body throws")
  func comesBack() throws {
    let before = try KernelView.namespace()
    let namespace = try NetworkNamespace()
    let inside = try namespace.run { try KernelView.namespace() }
    #expect(throws: RigError("no")) { try namespace.run { () throws(RigError) in throw RigError("no") } }
    #expect(inside != before)
    #expect(try KernelView.namespace() == before)
    #expect(try namespace.onThread { try KernelView.namespace() }.join() == inside)
  }

  @Test("a setting applies to its namespace alone")
  func settings() throws {
    let namespace = try NetworkNamespace()
    let other = try NetworkNamespace()
    let before = try other.sysctl("net/ipv4/tcp_fin_timeout")
    try namespace.setSysctl("net/ipv4/tcp_fin_timeout", "3")
    #expect(try namespace.sysctl("net/ipv4/tcp_fin_timeout") == "3")
    #expect(try other.sysctl("net/ipv4/tcp_fin_timeout") == before)
    #expect(throws: RigError.self) { try namespace.setSysctl("net/ipv4/no_such", "3") }
  }

  @Test("links: silence while loopback is down, a connection when it is up again; more addresses, even IPv6")
  func links() throws {
    let namespace = try NetworkNamespace()
    #expect(throws: RigError("connect", code: ENETUNREACH)) {
      _ = try namespace.run { try PlainSocket.connected(to: "10.3.0.1", port: 9) }
    }
    try namespace.linkDown("lo")
    #expect(throws: RigError("connect", code: EINPROGRESS)) {
      _ = try namespace.run { try PlainSocket.connected(to: "127.0.0.1", port: 9, within: .milliseconds(50)) }
    }
    try namespace.linkUp("lo")
    for address in ["10.3.0.1", "fd00::3"] {
      try namespace.addAddress(address, prefix: address == "fd00::3" ? 128 : 32, to: "lo")
      let listener = try namespace.run { try PlainSocket.listening(on: address) }
      let port = listener.port
      let client = try namespace.run { try PlainSocket.connected(to: address, port: port) }
      let seen = try namespace.run {
        try KernelView.tcp(local: (address, client.port), remote: (address, port))
      }
      #expect(seen?.state == .established)
    }
    #expect(throws: RigError.self) { try namespace.linkUp("nothing0") }
    #expect(throws: RigError.self) { try namespace.addAddress("10.3.0.1", prefix: 32, to: "lo") }
  }

  @Test(
    "joined by veth: a link that is down is silent and recovers, a route forwards, a deleted link is gone", .needsVeth)
  func veth() throws {
    let left = try NetworkNamespace()
    let right = try NetworkNamespace()
    try left.addVeth("va", to: right, as: "vb")
    try left.addAddress("10.9.0.1", prefix: 24, to: "va")
    try right.addAddress("10.9.0.2", prefix: 24, to: "vb")
    try left.linkUp("va")
    try right.linkUp("vb")
    let listener = try right.run { try PlainSocket.listening(on: "10.9.0.2") }
    let port = listener.port
    let client = try left.run { try PlainSocket.connected(to: "10.9.0.2", port: port) }
    let accepted = try listener.accept()
    try right.linkDown("vb")
    try client.send([1, 2, 3])
    try steadily(for: .milliseconds(50), "unacknowledged bytes", equals: 3) { client.outgoingQueue }
    try right.linkUp("vb")
    #expect(try accepted.receive() == [1, 2, 3])

    try right.addAddress("10.20.0.1", prefix: 32, to: "lo")
    let far = try right.run { try PlainSocket.listening(on: "10.20.0.1") }
    let farPort = far.port
    try left.addRoute(to: "10.20.0.0", prefix: 16, via: "10.9.0.2", link: "va")
    _ = try left.run { try PlainSocket.connected(to: "10.20.0.1", port: farPort) }
    try left.deleteLink("va")
    #expect(throws: RigError("connect", code: ENETUNREACH)) {
      _ = try left.run { try PlainSocket.connected(to: "10.20.0.1", port: farPort) }
    }
  }
}
