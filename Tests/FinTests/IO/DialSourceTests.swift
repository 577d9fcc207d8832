import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Dialing from a source: the address and the port that the peer sees", .onThreads)
struct DialSourceTests {
  @Test(
    "the peer sees the source address", .needsIPv6, arguments: [false, true],
    [
      (SocketAddress.loopback(port: 0), IPAddress("127.0.0.5")!), (.loopback6(port: 0), IPAddress("::1")!),
    ])
  func address(inTask: Bool, _ ends: (listener: SocketAddress, source: IPAddress)) throws {
    let keeper = try openListener(ends.listener)
    let peer = keeper.listener.localAddress
    let options = DialOptions(source: ends.source)
    let shared =
      inTask
      ? try inTask_(peer, options) : try Connection.connect(to: peer, options: options).share()
    let accepted = try keeper.listener.accept(within: .seconds(10))
    #expect(shared.localAddress?.ip == ends.source)
    #expect(accepted.remoteAddress == shared.localAddress)
    shared.abort()
    accepted.abort()
    keeper.end()
  }

  private func inTask_(_ peer: SocketAddress, _ options: DialOptions) throws -> SharedConnection {
    try inTask { try await Connection.connect(to: peer, options: options).share() }
  }

  @Test("the addresses of the source's family are dialed, and no others", .needsNamespaces, .needsIPv6)
  func family() throws {
    let network = try DialNetwork(live: ["127.0.0.2"])
    var options = DialOptions(
      source: IPAddress("127.0.0.7"), resolver: DialNetwork.resolver(["::1", "127.0.0.1", "127.0.0.2"]),
      attemptDelay: .seconds(60))
    let ledger = Ledger()
    let shared = try Ledger.$current.withValue(ledger) { () throws in try network.dial(options, inTask: false) }
    #expect(shared.remoteAddress == DialNetwork.address("127.0.0.2"))
    #expect(shared.localAddress?.ip == IPAddress("127.0.0.7"))
    #expect(ledger.counts.opened == 2)
    shared.abort()
    options.source = IPAddress("::1")
    options.resolver = DialNetwork.resolver(["127.0.0.1", "127.0.0.2"])
    let error = #expect(throws: SocketError.self) { _ = try network.dial(options, inTask: false) }
    #expect("\(try #require(error))".contains("has no IPv6 address"))
  }

  private static let hasRanges: Bool = {
    guard let socket = try? PlainSocket.listening() else { return false }
    var value: UInt32 = 0
    var length = socklen_t(4)
    return unsafe getsockopt(socket.descriptor, CInt(IPPROTO_IP), 51, &value, &length) == 0
  }()

  @Test(
    "ports come from the range, in each family; one port serves several destinations",
    .enabled(if: hasRanges, "needs Linux 6.3 (IP_LOCAL_PORT_RANGE)"), .needsNamespaces, .needsIPv6,
    arguments: [("127.0.0.1", "127.0.0.2"), ("::1", "::1")])
  func range(_ addresses: (String, String)) throws {
    let network = try DialNetwork(live: Array(Set([addresses.0, addresses.1])))
    let options = DialOptions(
      sourcePorts: 40_000...40_001, resolver: DialNetwork.resolver([addresses.0]))
    try network.namespace.run { () throws in
      let peer = DialNetwork.address(addresses.0)
      var kept = [
        try Connection.connect(to: peer, options: options).share(),
        try Connection.connect(to: peer, options: options).share(),
      ]
      #expect(Set(kept.map { $0.localAddress!.port! }) == [40_000, 40_001])
      let full = try refusal { () throws(SocketError) in try Connection.connect(to: peer, options: options) }
      #expect(full.cause == .system(.addressNotAvailable), "\(full)")
      if addresses.1 != addresses.0 {
        // The same ports, to another destination.
        let other = DialNetwork.address(addresses.1)
        kept.append(try Connection.connect(to: other, options: options).share())
        #expect((40_000...40_001).contains(kept[2].localAddress!.port!))
      }
      for shared in kept { shared.abort() }
    }
  }

  @Test("a single port is bound whatever the kernel's range says")
  func single() throws {
    // Outside of net.ipv4.ip_local_port_range everywhere.
    let keeper = try openListener()
    let spare = try PlainSocket.listening(on: "127.0.0.8", port: 0)
    let port = spare.port
    spare.close()
    let options = DialOptions(source: IPAddress("127.0.0.8"), sourcePorts: port...port)
    let connection = try Connection.connect(to: keeper.listener.localAddress, options: options)
    #expect(connection.localAddress?.port == port)
    connection.abort()
    keeper.end()
  }

  @Test(
    "a range that the kernel's own does not include is refused, and not silently widened",
    .enabled(if: hasRanges, "needs Linux 6.3 (IP_LOCAL_PORT_RANGE)"), .needsNamespaces)
  func outside() throws {
    let network = try DialNetwork(live: ["127.0.0.1"])
    try network.namespace.setSysctl("net/ipv4/ip_local_port_range", "50000 51000")
    try network.namespace.run { () throws in
      let ledger = Ledger()
      let error = try Ledger.$current.withValue(ledger) { () throws in
        try refusal { () throws(SocketError) in
          try Connection.connect(to: DialNetwork.address("127.0.0.1"), options: DialOptions(sourcePorts: 2000...2999))
        }
      }
      #expect("\(error)".contains("ip_local_port_range"), "\(error)")
      #expect(ledger.counts.open == 0)
    }
  }

  @Test("a kernel without port ranges is named, and so is every source that cannot work")
  func refusals() throws {
    let keeper = try openListener()
    let peer = keeper.listener.localAddress
    let script = Script(.first(.setsockopt, .fail(.protocolNotAvailable)))
    let old = try scripted(script) { () throws in
      try refusal { () throws(SocketError) in
        try Connection.connect(to: peer, options: DialOptions(sourcePorts: 40_000...40_999))
      }
    }
    #expect(old.cause == .system(.protocolNotAvailable))
    #expect("\(old)".contains("a range of source ports needs Linux 6.3"), "\(old)")
    let cases: [(SocketAddress, DialOptions, String)] = [
      (peer, DialOptions(source: IPAddress("::1")), "another family"),
      (peer, DialOptions(sourcePorts: 0...9), "begin at 1"),
      (try StreamKind.unix.freshAddress, DialOptions(sourcePorts: 1...9), "a Unix socket has no source"),
      (peer, DialOptions(source: IPAddress("192.0.2.1")), "no interface of this machine"),
    ]
    for (peer, options, text) in cases {
      let ledger = Ledger()
      let error = try Ledger.$current.withValue(ledger) { () throws in
        try refusal { () throws(SocketError) in try Connection.connect(to: peer, options: options) }
      }
      #expect("\(error)".contains(text), "\(error)")
      #expect(ledger.counts.open == 0 && ledger.counts.leaked == 0)
    }
    keeper.end()
  }

  @Test("hints: a link-local address without its link, and a Unix listener whose queue is full")
  func hints() throws {
    let local = SocketAddress.v6(try IPv6Address(parsing: "fe80::1"), port: 80)
    let text = "a link-local address needs the name of its link"
    #expect(SocketError(.connect, .system(.invalidArgument), peer: local).description.contains(text))
    #expect(SocketError(.bind, .system(.invalidArgument), local: local).description.contains(text))
    let scoped = SocketAddress.v6(try IPv6Address(parsing: "fe80::1%1"), port: 80)
    #expect(!SocketError(.connect, .system(.invalidArgument), peer: scoped).description.contains(text))
    if Privileges.hasIPv6 {
      let error = try refusal { () throws(SocketError) in try Connection.connect(to: local) }
      #expect("\(error)".contains(text), "\(error)")
    }

    let address = try StreamKind.unix.freshAddress
    let keeper = Keeper(try Listener.bind(address, backlog: 0))
    let first = try Connection.connect(to: address)
    let full = try refusal { () throws(SocketError) in
      try Connection.connect(to: address, within: .milliseconds(50))
    }
    #expect(full.cause == .timedOut)
    #expect("\(full)".contains("the queue of the listener stayed full"), "\(full)")
    #expect(!"\(full)".contains("firewall"), "\(full)")
    first.abort()
    keeper.end()
  }

  @Test(
    "durations are printed as a person says them",
    arguments: [
      (Duration.nanoseconds(1_999_999_970), "2 s"), (.nanoseconds(29_999_999_999), "30 s"),
      (.milliseconds(50), "50 ms"),
      (.microseconds(400), "0.4 ms"), (.nanoseconds(20), "0 ms"), (.milliseconds(250), "250 ms"),
      (.microseconds(999_960), "1 s"), (.milliseconds(1_500), "1.5 s"), (.milliseconds(5_012), "5.01 s"),
      (.seconds(-3), "0 ms"), (.seconds(60), "60 s"), (.seconds(90_000), "90000 s"), (.zero, "0 ms"),
      (.microseconds(12_340), "12.3 ms"), (.milliseconds(1_005), "1.01 s"),
      (Duration(secondsComponent: .max, attosecondsComponent: 999_999_999_999_999_999), "more than 30 years"),
    ])
  func durations(_ duration: Duration, _ text: String) { #expect(duration.text == text) }
}
