import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Handover: a successor takes the listeners over, and no client notices", .onThreads)
struct Handovers {
  @Test("clients go on connecting while the server is replaced: none fails", arguments: ServingWorld.allCases)
  func underLoad(_ world: ServingWorld) throws {
    let folder = try TemporaryFolder()
    let path = try SocketAddress.unix("\(folder.path)/handover")
    let old = try Predecessor(try Listener.bind(.loopback(port: 0)), at: path, in: world)
    let visitors = Visitors(16, old.address)
    try visitors.awaitMore(50)
    let (keeper, end) = try #require(try takeOver(from: path, in: world) { try visitors.awaitMore(50) })
    #expect(end == .detached)
    let new = Served(keeper, in: world, on: try Reactor.shared, named: "new ")
    let (handover, report) = try old.ended()
    #expect(handover.successor.pid == getpid() && handover.attemptsFailed == 0)
    #expect(report.clientsReset == 0 && report.abortedAtStop == 0 && report.failure == nil, "\(report)")
    try visitors.awaitMore(50)
    #expect(try visitors.end() == [])
    #expect(Set(visitors.answers.keys) == ["old x", "new x"])
    // The path is free, and the listener is the successor's own: a stop refuses clients.
    #expect(folder.entries == [])
    keeper.listener.stop(within: .seconds(10))
    _ = try new.join(.seconds(20))
    #expect(throws: SocketError.self) { _ = try Connection.connect(to: old.address, within: .seconds(5)) }
  }

  @Test("200 clients in the queue: the successor serves 200", arguments: ServingWorld.allCases)
  func queued(_ world: ServingWorld) throws {
    let folder = try TemporaryFolder()
    let path = try SocketAddress.unix("\(folder.path)/handover")
    // The predecessor accepts no client: all of them are in the queue.
    let listener = Keeper(try Listener.bind(.loopback(port: 0)))
    let address = listener.listener.localAddress
    let handover = try Handover(offering: ["web": listener.listener.handle], at: path)
    let succession = onThread { try handover.awaitSuccessor() }
    let clients = try (0..<200).map { _ in
      let client = try Connection.connect(to: address, within: .seconds(20)).share()
      try client.send("x\n")
      return client
    }
    let (keeper, end) = try #require(try takeOver(from: path, in: world))
    #expect(end == .detached)
    _ = try succession.join(within: .seconds(20))
    // An accept of the predecessor takes none of them.
    #expect(try socketError { try listener.listener.accept(within: .seconds(5)).abort() }.cause == .closed)
    let new = Served(keeper, in: world, on: try Reactor.shared, named: "new ")
    for client in clients {
      #expect(try client.receiveLine(within: .seconds(20)) == "new x")
      // Frees the thread that serves it.
      client.abort()
    }
    keeper.listener.stop(within: .seconds(10))
    #expect(try new.join(.seconds(20)).endings.values.reduce(0, +) == 200)
  }

  @Test(
    "several sockets of a name, and the file of a Unix path, go with the listener", arguments: ServingWorld.allCases)
  func severalAndPaths(_ world: ServingWorld) throws {
    let folder = try TemporaryFolder()
    let path = try SocketAddress.unix("\(folder.path)/handover")
    let several = Keeper(try Listener.bind("localhost:0"))
    let file = Keeper(try Listener.bind(.unix("\(folder.path)/s")))
    let count = several.listener.localAddresses.count
    let handover = try Handover(
      offering: ["several": several.listener.handle, "file": file.listener.handle], at: path)
    let succession = onThread { try handover.awaitSuccessor() }
    guard var takeover = try Handover.take(from: path) else { throw RigError("no predecessor") }
    let names = takeover.names
    #expect(names.sorted() == ["file", "several"])
    guard let first = try takeover.takeListener(named: "several"), let second = try takeover.takeListener(named: "file")
    else { throw RigError("not offered") }
    let isAnother = try takeover.takeListener(named: "file") == nil
    #expect(isAnother)
    let addresses = first.localAddresses
    #expect(addresses.count == count)
    let end = try takeover.finish()
    #expect(end == .detached)
    _ = try succession.join(within: .seconds(20))
    for keeper in [several, file] {
      #expect(try socketError { try keeper.listener.accept(within: .seconds(5)).abort() }.cause == .closed)
    }
    #expect(folder.entries == ["s"], "the predecessor's end leaves the path")
    for address in addresses {
      let client = try Connection.connect(to: address, within: .seconds(10))
      try first.accept(within: .seconds(10)).abort()
      client.abort()
    }
    let client = try Connection.connect(to: .unix("\(folder.path)/s"), within: .seconds(10))
    try second.accept(within: .seconds(10)).abort()
    client.abort()
    first.close()
    second.close()
    #expect(folder.entries == [], "the successor removes it")
  }

  @Test(
    "programs replace each other under 64 clients, in threads and in tasks: no connection fails",
    .timeLimit(.minutes(30)))
  func programs() throws {
    try withChild(try SuccessionProgram.path(), ["rounds", "3"]) { child in
      let said = try child.readToEnd(within: .seconds(280))
      #expect(try child.wait() == .exited(0), "\(said)")
      #expect(said.hasSuffix("3 handovers, 6000 connections of 64 clients, 0 failed\n"), "\(said)")
    }
  }

  @Test(
    "no process offers at the path: the successor is the first; a stale socket there is replaced",
    arguments: ServingWorld.allCases)
  func noPredecessor(_ world: ServingWorld) throws {
    let folder = try TemporaryFolder()
    let path = try SocketAddress.unix("\(folder.path)/handover")
    #expect(try takeOver(from: path, in: world) == nil)
    // The file of a process that died.
    let dead = try PacketListener.bind(path)
    Glibc.close(try dead.detach().rawValue)
    #expect(folder.entries == ["handover"])
    #expect(try takeOver(from: path, in: world) == nil)
    let old = try Predecessor(try Listener.bind(.loopback(port: 0)), at: path, in: world)
    // A living one is not replaced.
    #expect(
      try socketError { _ = try Handover(offering: ["web": old.handle], at: path) }.cause
        == .system(.addressInUse))
    old.handover.withdraw()
    #expect(try socketError { _ = try old.succession.join(within: .seconds(20)) }.cause == .closed)
    #expect(try takeOver(from: path, in: world) == nil)
    #expect(try askOnce(old.address) == "old x")
    old.handle.stop(within: .zero)
    _ = try old.server.join(.seconds(20))
  }

  @Test("names that no successor could ask for, and too many sockets, are refused")
  func names() throws {
    let listener = Keeper(try Listener.bind(.loopback(port: 0)))
    let handle = listener.listener.handle
    for name in ["", "a\nb", "a\tb", String(repeating: "x", count: 256)] {
      let error = try socketError { _ = try Handover(offering: [name: handle], at: .unix("@fin.names.\(getpid())")) }
      guard case .invalid = error.cause else { throw RigError("\(error)") }
    }
    let many = Dictionary(uniqueKeysWithValues: (0..<254).map { ("\($0)", handle) })
    #expect(
      try socketError { _ = try Handover(offering: many, at: .unix("@fin.names.\(getpid())")) }.cause
        == .invalid("254 sockets to hand over; it is 1 to 253"))
    listener.end()
  }
}
