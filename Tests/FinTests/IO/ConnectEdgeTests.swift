import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Connect failures: each has a message of its own", .onThreads)
struct ConnectEdges {
  @Test("a Unix path of 107 bytes works; one of 108 is refused before any system call", .faults(53))
  func longPaths() throws {
    let folder = "/tmp/fin-io-\(getpid())-paths"
    unsafe mkdir(folder, 0o700)
    defer { unsafe rmdir(folder) }
    let longest = folder + "/" + String(repeating: "x", count: 107 - folder.utf8.count - 1)
    #expect(longest.utf8.count == 107)
    let listener = try Listener.bind(.unix(longest))
    defer { unsafe unlink(longest) }
    let client = try Connection.connect(to: Endpoint(.unix(longest)))
    let server = try listener.accept(within: .seconds(10))
    #expect(client.remoteAddress == listener.localAddress)
    try client.send([9])
    #expect(try server.receive(upTo: 2) == [9])
    client.abort()
    server.abort()
    listener.close()

    #expect(throws: AddressError.self) { try SocketAddress.unix(longest + "x") }
    let script = Script()
    let error = try scripted(script) { () throws in
      try refusal { () throws(SocketError) in try Connection.connect(to: Endpoint(stringLiteral: longest + "x")) }
    }
    #expect("\(error)".contains("107"), "\(error)")
    #expect(script.count(.socket) == 0)
  }

  @Test(
    "an invalid address is refused before any system call, with the place of the error", .faults(53),
    arguments: ["127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:80x", "1.2.3.4.5:80", "[::1%nope]:80", "127.0.0.1"])
  func malformed(text: String) throws {
    let script = Script()
    try scripted(script) { () throws in
      let error = try refusal { () throws(SocketError) in try Connection.connect(to: Endpoint(stringLiteral: text)) }
      guard case .unresolved(.malformed) = error.cause else { throw RigError("\(error)") }
      #expect("\(error)".contains("at character"), "\(error)")
      let bind = try refusal { () throws(SocketError) in try Listener.bind(Endpoint(stringLiteral: text)) }
      guard case .unresolved(.malformed) = bind.cause else { throw RigError("\(bind)") }
    }
    #expect(script.count(.socket) == 0)
  }

  @Test("connecting to a name that does not resolve fails in time, with the name", .faults(54), .needsNamespaces)
  func unknownName() throws {
    let namespace = try NetworkNamespace()
    try namespace.run { () throws in
      let time = try elapsed {
        let error = try refusal { () throws(SocketError) in
          try Connection.connect(to: "unknown.invalid:80", within: .seconds(5))
        }
        guard case .unresolved(let why) = error.cause else { throw RigError("\(error)") }
        #expect("\(why)".contains("unknown.invalid"), "\(why)")
      }
      #expect(time < .seconds(20))
    }
  }

  @Test("connecting to a port without a listener is refused", .faults(47), arguments: StreamKind.tcp)
  func refused(kind: StreamKind) throws {
    let listener = try Listener.bind(try kind.freshAddress)
    let address = listener.localAddress
    listener.close()
    let ledger = Ledger()
    let error = try Ledger.$current.withValue(ledger) { () throws in
      try refusal { () throws(SocketError) in try Connection.connect(to: address) }
    }
    #expect(error.cause == .system(.connectionRefused))
    #expect(error.operation == .connect && error.remoteAddress == address)
    #expect("\(error)".contains("no program listens there"), "\(error)")
    #expect(ledger.counts.open == 0 && ledger.counts.opened == 1)
  }

  @Test("connecting to a missing Unix path, and to one whose server is gone", .faults(47))
  func paths() throws {
    let path = "/tmp/fin-io-\(getpid())-gone"
    let missing = try refusal { () throws(SocketError) in try Connection.connect(to: Endpoint(stringLiteral: path)) }
    #expect(missing.cause == .system(.noSuchFileOrDirectory))
    let listener = try Listener.bind(.unix(path))
    defer { unsafe unlink(path) }
    // A server that crashes does not remove its path.
    _ = try close(listener.detach().rawValue)
    let stale = try refusal { () throws(SocketError) in try Connection.connect(to: Endpoint(stringLiteral: path)) }
    #expect(stale.cause == .system(.connectionRefused))
    #expect("\(stale)".contains("dead server"), "\(stale)")
  }

  @Test("connecting without a route", .faults(47), .needsNamespaces)
  func noRoute() throws {
    let namespace = try NetworkNamespace()
    try namespace.run { () throws in
      let address = SocketAddress.v4(IPv4Address(10, 77, 0, 1), port: 9)
      let error = try refusal { () throws(SocketError) in try Connection.connect(to: address) }
      #expect(error.cause == .system(.networkUnreachable))
      #expect("\(error)".contains("no route"), "\(error)")
    }
  }

  @Test(
    "connecting over a route that refuses: unreachable, prohibit, blackhole", .faults(47), .needsNamespaces,
    .needsProgram("ip"),
    arguments: [
      ("unreachable", Errno.noRouteToHost), ("prohibit", .permissionDenied), ("blackhole", .invalidArgument),
    ])
  func refusingRoutes(kind: String, code: Errno) throws {
    let namespace = try NetworkNamespace()
    let ip = try #require(Programs.find("ip"))
    try namespace.run { () throws in
      let exit = try withChild(ip, ["route", "add", kind, "10.78.0.0/16"]) { try $0.wait() }
      #expect(exit == .exited(0))
      let address = SocketAddress.v4(IPv4Address(10, 78, 0, 1), port: 9)
      let error = try refusal { () throws(SocketError) in try Connection.connect(to: address) }
      #expect(error.cause == .system(code), "\(error)")
    }
  }

  @Test(
    "connecting to a host that drops SYNs ends at the deadline, and leaves no SYN-SENT", .faults(47), .needsNamespaces)
  func silence() throws {
    let namespace = try NetworkNamespace()
    try namespace.linkDown("lo")
    let ledger = Ledger()
    try namespace.run { () throws in
      let error = try Ledger.$current.withValue(ledger) { () throws in
        try refusal { () throws(SocketError) in
          try Connection.connect(to: .loopback(port: 9), within: .milliseconds(200))
        }
      }
      #expect(error.cause == .timedOut)
      #expect(error.operation == .connect)
      #expect(ledger.counts.open == 0)
      #expect(try KernelView.tcp().isEmpty)
    }
  }

  @Test(
    "a connect attempt is in SYN-SENT until its deadline; an aborted shared attempt leaves none", .faults(47),
    .needsNamespaces)
  func abortedAttempt() throws {
    let namespace = try NetworkNamespace()
    try namespace.linkDown("lo")
    let shared = try namespace.run { () throws in try SharedConnection(unconnected: .ipv4) }
    let attempt = namespace.onThread {
      try refusal { () throws(SocketError) in try shared.connect(to: .loopback(port: 9), within: .seconds(30)) }
    }
    try eventually("the SYN", equals: [.synSent]) {
      try namespace.run { () throws in try KernelView.tcp().map(\.state) }
    }
    shared.abort()
    #expect(try attempt.join().cause == .closed)
    #expect(try namespace.run { () throws in try KernelView.tcp().isEmpty })
  }

  @Test("connecting to a peer that answers the SYN with a reset is refused", .faults(47), .needsTUN)
  func resetToSYN() throws {
    try withRawPeer(.answersSYNWithReset) { peer throws in
      try peer.namespace.run { () throws in
        let address = SocketAddress.v4(IPv4Address(10, 8, 0, 2), port: 9)
        let error = try refusal { () throws(SocketError) in try Connection.connect(to: address) }
        #expect(error.cause == .system(.connectionRefused))
      }
    }
  }

  @Test(
    "binding a port below 1024 as an ordinary user names the missing capability",
    .enabled(if: Privileges.isRoot, "needs root"),
    .needsNamespaces)
  func privilegedPort() async {
    await #expect(processExitsWith: .success) { try ConnectEdges.bindAsNobody() }
  }

  private static func bindAsNobody() throws {
    let namespace = try NetworkNamespace()
    try namespace.setSysctl("net/ipv4/ip_unprivileged_port_start", "1024")
    try namespace.run { () throws in
      #expect(seteuid(65534) == 0)
      // Restores root before the thread returns to its own namespace, which needs root's capability.
      defer { _ = seteuid(0) }
      let error = try refusal { () throws(SocketError) in try Listener.bind(.loopback(port: 80)) }
      #expect(error.cause == .system(.permissionDenied))
      #expect(error.localAddress == .loopback(port: 80))
      #expect(
        "\(error)"
          == "bind 127.0.0.1:80: permission denied (EACCES): ports below 1024 need CAP_NET_BIND_SERVICE")
    }
  }

  @Test("binding an address of another machine, and a port that is taken")
  func bindings() throws {
    let foreign = SocketAddress.v4(IPv4Address(192, 0, 2, 1), port: 0)
    let away = try refusal { () throws(SocketError) in try Listener.bind(foreign) }
    #expect(away.cause == .system(.addressNotAvailable))
    #expect("\(away)".contains("no interface"), "\(away)")
    let listener = try Listener.bind(.loopback(port: 0))
    let address = listener.localAddress
    let taken = try refusal { () throws(SocketError) in try Listener.bind(address) }
    #expect(taken.cause == .system(.addressInUse))
    #expect(taken.localAddress == address)
    listener.close()
  }
}
