import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite("A listener on several addresses: one listener, whichever address a client uses", .onThreads, .needsIPv6)
struct SeveralAddresses {
  private static let both: [SocketAddress] = [.loopback6(port: 0), .loopback(port: 0)]
  private static let site = Ledger.Site(file: #fileID, line: #line)

  private static func listener(_ addresses: [SocketAddress] = both) throws -> Listener {
    let wanted = Listener.Options().listening(Listener.defaultBacklog, .default, site)
    return Listener(
      core: try Core.listening(at: addresses, wanted), backlog: Listener.defaultBacklog, timeouts: .default)
  }

  /// A client at each address, in their order.
  private static func clients(of addresses: [SocketAddress]) throws -> [SharedConnection] {
    try addresses.map { try Connection.connect(to: $0, within: .seconds(10)).share() }
  }

  private static func isRefused(_ address: SocketAddress) throws -> Bool {
    let error = try refusal { () throws(SocketError) in try Connection.connect(to: address, within: .seconds(10)) }
    return error.cause == .system(.connectionRefused)
  }

  @Test("localhost is reached at every address that the name has", arguments: [false, true])
  func localhost(inTask: Bool) throws {
    let keeper: Keeper
    if inTask {
      keeper = try FinTests.inTask { Keeper(try await Listener.bind("localhost:0")) }
    } else {
      keeper = Keeper(try Listener.bind("localhost:0"))
    }
    let port = keeper.listener.localAddress.port!
    let expected = try Endpoint(host: "localhost", port: port).resolve(.listen)
    #expect(keeper.listener.localAddresses == expected)
    for address in expected {
      let client = try Connection.connect(to: address)
      let accepted = try keeper.listener.accept(within: .seconds(10))
      #expect(accepted.remoteAddress == client.localAddress)
      client.abort()
      accepted.abort()
    }
    let client = try Connection.connect(to: Endpoint(host: "localhost", port: port))
    client.abort()
    keeper.end()
  }

  @Test("port 0: one port for all addresses, and clients of each address in turn")
  func turns() throws {
    let listener = try Self.listener()
    let addresses = listener.localAddresses
    #expect(addresses.map(\.family) == [.ipv6, .ipv4] && addresses[0].port == addresses[1].port)
    #expect(addresses[0].port != 0)
    let clients = try (0..<3).flatMap { _ in try Self.clients(of: addresses) }
    var families: [AddressFamily] = []
    for _ in clients {
      let accepted = try listener.accept(within: .seconds(10))
      families.append(accepted.remoteAddress!.family)
      #expect(accepted.localAddress?.family == families.last)
      accepted.abort()
    }
    #expect(families.count { $0 == .ipv4 } == 3)
    #expect(families[0] != families[1])
    #expect(try refusal { () throws(SocketError) in try listener.accept(within: .zero) }.cause == .timedOut)
    for client in clients { client.abort() }
    listener.close()
  }

  @Test("an accept that waits is woken by a client of each address", arguments: [false, true], both.indices)
  func wakes(inTask: Bool, index: Int) throws {
    let keeper = Keeper(try Self.listener())
    let address = keeper.listener.localAddresses[index]
    // Each round waits anew: a poller that reported only its first edge would miss the second client.
    for _ in 0..<5 {
      let client: SharedConnection
      let peer: SocketAddress?
      if inTask {
        let accepting = errand { try await keeper.listener.accept(within: .seconds(10)).share() }
        try keeper.listener.awaitParked()
        client = try Connection.connect(to: address).share()
        let accepted = try accepting.join()
        peer = accepted.remoteAddress
        accepted.abort()
      } else {
        let accepting = onThread { try keeper.listener.accept(within: .seconds(10)).share() }
        try eventually("the thread that waits", equals: 1) { keeper.listener.reference.core.gate.snapshot.parked }
        client = try Connection.connect(to: address).share()
        let accepted = try accepting.join()
        peer = accepted.remoteAddress
        accepted.abort()
      }
      #expect(peer == client.localAddress)
      client.abort()
    }
    keeper.end()
  }

  @Test("a pause refuses clients at every address, and a resumption accepts them again")
  func pauses() throws {
    let listener = try Self.listener()
    let addresses = listener.localAddresses
    try listener.pause(resettingQueue: true)
    for address in addresses { #expect(try Self.isRefused(address)) }
    #expect(try refusal { () throws(SocketError) in try listener.accept(within: .zero) }.cause == .paused)
    try listener.resume()
    let clients = try Self.clients(of: addresses)
    for _ in clients { try listener.accept(within: .seconds(10)).abort() }
    for client in clients { client.abort() }
    listener.close()
    for address in addresses { #expect(try Self.isRefused(address)) }
  }

  @Test("a stop serves the clients that are queued at every address, and then releases all of them")
  func stops() throws {
    let ledger = Ledger()
    try Ledger.$current.withValue(ledger) { () throws in
      let listener = try Self.listener()
      let addresses = listener.localAddresses
      let clients = try Self.clients(of: addresses)
      listener.stop(within: .seconds(10))
      for _ in clients { try listener.accept(within: .seconds(10)).abort() }
      #expect(try refusal { () throws(SocketError) in try listener.accept(within: .seconds(10)) }.cause == .closed)
      for address in addresses { #expect(try Self.isRefused(address)) }
      for client in clients { client.abort() }
      listener.close()
    }
    #expect(ledger.counts.open == 0 && ledger.counts.leaked == 0)
  }

  @Test("a close counts the clients that are queued at every address")
  func closes() throws {
    let listener = try Self.listener()
    let clients = try Self.clients(of: listener.localAddresses)
    #expect(listener.close().clientsReset == clients.count)
    for client in clients { client.abort() }
  }

  @Test("a server serves the clients of every address, in threads")
  func servesInThreads() throws {
    let keeper = Keeper(try Self.listener())
    let addresses = keeper.listener.localAddresses
    let serving = onThread {
      keeper.listener.serve(threads: 4) { connection in
        while let line = try connection.receiveLine() { try connection.send("\(line)\n") }
      }
    }
    for number in 0..<20 {
      let client = try Connection.connect(to: addresses[number % addresses.count])
      try client.send("\(number)\n")
      #expect(try client.receiveLine(within: .seconds(10)) == "\(number)")
      client.close()
    }
    keeper.listener.stop(within: .seconds(10))
    let report = try serving.join(within: .seconds(30))
    #expect(report.served == 20 && report.failure == nil, "\(report)")
  }

  @Test("a server serves the clients of every address, in tasks")
  func servesInTasks() throws {
    let listener = try Self.listener()
    let addresses = listener.localAddresses
    let server = try ServingInTask(listener, echoInTask)
    for number in 0..<20 {
      let client = try Connection.connect(to: addresses[number % addresses.count])
      try client.send("\(number)\n")
      #expect(try client.receiveLine(within: .seconds(10)) == "\(number)")
      client.close()
    }
    let report = try server.stop()
    #expect(report.served == 20 && report.failure == nil, "\(report)")
  }

  @Test("an address that this machine does not have is left out; without any other it is the error")
  func missing() throws {
    let foreign = SocketAddress.v4(IPv4Address(192, 0, 2, 1), port: 0)
    let listener = try Self.listener([foreign, .loopback(port: 0)])
    #expect(listener.localAddresses == [listener.localAddress])
    #expect(listener.localAddress.ip == .v4(.loopback))
    listener.close()
    #expect(throws: SocketError.self) {
      let none = try Self.listener([foreign, .v4(IPv4Address(203, 0, 113, 9), port: 0)])
      none.close()
    }
  }

  @Test("a port that is taken at one address is the error, and nothing is left of the others")
  func taken() throws {
    let other = try Listener.bind(.loopback(port: 0))
    let port = other.localAddress.port!
    let ledger = Ledger()
    let error = try Ledger.$current.withValue(ledger) { () throws in
      do {
        let listener = try Self.listener([.loopback6(port: port), .loopback(port: port)])
        listener.close()
      } catch let error as SocketError { return error }
      throw RigError("the port was bound twice")
    }
    #expect(error.cause == .system(.addressInUse))
    #expect(ledger.counts.open == 0 && ledger.counts.leaked == 0)
    #expect(try Self.isRefused(.loopback6(port: port)))
    other.close()
  }

  @Test("no host: clients of both families; of IPv6 alone with that option; of IPv4 alone where there is no IPv6")
  func everyAddress() throws {
    let listener = try Listener.bind(":0")
    let port = listener.localAddress.port!
    #expect(listener.localAddress == .any6(port: port))
    for address in [SocketAddress.loopback(port: port), .loopback6(port: port)] {
      let client = try Connection.connect(to: address)
      let accepted = try listener.accept(within: .seconds(10))
      #expect(accepted.remoteAddress?.canonical == client.localAddress)
      client.abort()
      accepted.abort()
    }
    listener.close()

    let narrow = try Listener.bind(":0", options: .init(ipv6Only: true))
    #expect(try Self.isRefused(.loopback(port: narrow.localAddress.port!)))
    narrow.close()

    let script = Script(.first(.socket, .fail(.addressFamilyNotSupported)))
    let old = try scripted(script) { () throws in try Listener.bind(":0") }
    #expect(old.localAddress == .any(port: old.localAddress.port!))
    let client = try Connection.connect(to: .loopback(port: old.localAddress.port!))
    client.abort()
    old.close()
  }

  @Test("several sockets are given away together; a single descriptor cannot stand for them")
  func detached() throws {
    let listener = try Self.listener()
    let addresses = listener.localAddresses
    let descriptors = try listener.detachAll()
    #expect(descriptors.count == 2)
    for (descriptor, address) in zip(descriptors, addresses) {
      let adopted = try Listener.adopt(descriptor)
      #expect(adopted.localAddress == address)
      let client = try Connection.connect(to: address)
      try adopted.accept(within: .seconds(10)).abort()
      client.abort()
      adopted.close()
    }
    let other = try Self.listener()
    let both = other.localAddresses
    var error: SocketError?
    do throws(SocketError) { _ = try other.detach() } catch let refusal { error = refusal }
    #expect("\(try #require(error))".contains("detachAll()"))
    for address in both { #expect(try Self.isRefused(address)) }
  }

  @Test("an option is set at every socket")
  func options() throws {
    let listener = try Self.listener()
    try listener.set(.receiveBuffer, to: 12_345)
    for core in [listener.reference.core] + (listener.reference.core.further?.members ?? []) {
      let size = try core.withAccess(.getOption) { access throws(SocketError) in
        try core.option(.receiveBuffer, access)
      }
      #expect(size == 24_690)
    }
    listener.close()
  }

  @Test("closing, stopping and detaching leave no descriptor")
  func descriptors() async {
    await #expect(processExitsWith: .success) {
      func once() throws {
        try SeveralAddresses.listener().close()
        let stopped = try SeveralAddresses.listener()
        stopped.stop(within: .zero)
        _ = try? stopped.accept(within: .zero)
        stopped.close()
        for descriptor in try SeveralAddresses.listener().detachAll() { try descriptor.close() }
        let taken = try Listener.bind(.loopback(port: 0))
        let port = taken.localAddress.port!
        _ = try? SeveralAddresses.listener([.loopback6(port: port), .loopback(port: port)]).close()
        taken.close()
      }
      try synchronously {
        try once()
        let before = try KernelView.lastingDescriptors()
        for _ in 0..<10 { try once() }
        let after = try KernelView.lastingDescriptors()
        precondition(before == after, "\(before) became \(after)")
      }
    }
  }
}
