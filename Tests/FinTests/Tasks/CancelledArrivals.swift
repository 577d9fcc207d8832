import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite("Cancellation: a cancelled accept, connect, name lookup or datagram", .onThreads)
struct CancelledArrivals {
  @Test(
    "an accept cancelled before it begins or while it waits takes no client; the next one does", .faults(62),
    arguments: Place.allCases)
  func accept(_ place: Place) throws {
    let keeper = try openListener()
    let waiting = errand(on: place) { try await keeper.listener.accept().share() }
    try keeper.listener.awaitParked(1)
    waiting.cancel()
    let error = try waiting.refusal()
    #expect(error.cause == .cancelled && error.operation == .accept)

    let client = try Connection.connect(to: keeper.listener.localAddress)
    let late = errand(on: place) {
      cancelThisTask()
      return try await keeper.listener.accept().share()
    }
    #expect(try late.refusal().cause == .cancelled)
    let served = try inTask(on: place) { try await keeper.listener.accept().share() }
    try client.send("x")
    #expect(try served.receive(upTo: 1) == Array("x".utf8))
    served.abort()
    client.abort()
    keeper.end()
  }

  @Test("an accept cancelled at the moment when the kernel returns a client returns that client", .faults(62))
  func clientInHand() throws {
    let keeper = try openListener()
    let client = try Connection.connect(to: keeper.listener.localAddress)
    let script = Script(.first(.accept, .after { cancelThisTask() }))
    let served = try Seam.$script.withValue(script) {
      errand { (try await keeper.listener.accept().share(), Task.isCancelled) }
    }.join()
    #expect(served.1)
    try client.send("x")
    #expect(try served.0.receive(upTo: 1) == Array("x".utf8))
    served.0.abort()
    client.abort()
    keeper.end()
  }

  @Test("accepts that are cancelled while clients come lose no client", .faults(62))
  func noneLost() throws {
    let keeper = try openListener()
    let address = keeper.listener.localAddress
    let clients = 40
    let connecting = onThread { () throws -> [SharedConnection] in
      try (0..<clients).map { _ in try Connection.connect(to: address).share() }
    }
    var served: [SharedConnection] = []
    let end = Fin.Deadline(after: .seconds(20))
    while served.count < clients, !end.hasPassed {
      let accepting = (0..<4).map { number in
        errand(on: number % 2 == 0 ? .loop : .elsewhere) {
          try await keeper.listener.accept(within: .milliseconds(100)).share()
        }
      }
      accepting[served.count % 4].cancel()
      accepting[(served.count + 1) % 4].cancel()
      for task in accepting {
        do { served.append(try task.join()) } catch let error as SocketError {
          #expect(error.cause == .cancelled || error.cause == .timedOut)
        }
      }
    }
    let all = try connecting.join()
    #expect(Set(served.map(\.remoteAddress)) == Set(all.map(\.localAddress)) && served.count == clients)
    for connection in served + all { connection.abort() }
    keeper.end()
  }

  @Test(
    "a connect cancelled while its SYN is unanswered throws .cancelled, is closed, and leaves no SYN-SENT",
    .faults(62), .needsTUN, arguments: Place.allCases)
  func connect(_ place: Place) throws {
    try withRawPeer(.neverAnswersSYN) { peer in
      let ours = try peer.namespace.run { try SharedConnection(unconnected: .ipv4) }
      let target = try SocketAddress(ip: RawPeer.peerAddress, port: 7)
      let connecting = errand(on: place) { try await ours.connect(to: target) }
      try ours.awaitParked()
      #expect(try peer.namespace.run { try KernelView.tcp().map(\.state) } == [.synSent])
      connecting.cancel()
      let error = try connecting.refusal()
      #expect(error.cause == .cancelled && error.operation == .connect)
      #expect(ours.phase == .closed)
      #expect(try peer.namespace.run { try KernelView.tcp() }.isEmpty)
    }
  }

  @Test(
    "a connect cancelled before it begins sends no SYN, leaks nothing, and is closed", .faults(62),
    .needsTUN)
  func connectBefore() throws {
    try withRawPeer(.good) { peer in
      let ledger = Ledger()
      ledger.leakPolicy = .quiet
      try Ledger.$current.withValue(ledger) {
        let ours = try peer.namespace.run { try SharedConnection(unconnected: .ipv4) }
        let target = try SocketAddress(ip: RawPeer.peerAddress, port: 7)
        let connecting = errand {
          cancelThisTask()
          try await ours.connect(to: target)
        }
        #expect(try connecting.refusal().cause == .cancelled)
        #expect(ours.phase == .closed)
        let owner = errand {
          cancelThisTask()
          return try await Connection.connect(to: .loopback(port: 1)).share()
        }
        #expect(try owner.refusal().cause == .cancelled)
        let fresh = errand {
          let socket = try Socket(.ipv4)
          cancelThisTask()
          return try await socket.connect(to: .loopback(port: 1)).share()
        }
        #expect(try fresh.refusal().cause == .cancelled)
      }
      #expect(peer.log.count(.syn) == 0)
      #expect(ledger.counts.opened == 3 && ledger.counts.open == 0 && ledger.counts.leaked == 0, "\(ledger.counts)")
    }
  }

  @Test("a connect cancelled at the moment when connect(2) has been called leaves no socket behind", .faults(62))
  func connectInHand() throws {
    let keeper = try openListener()
    let address = keeper.listener.localAddress
    let ledger = Ledger()
    ledger.leakPolicy = .quiet
    let script = Script(.first(.connect, .after { cancelThisTask() }))
    let connecting = Ledger.$current.withValue(ledger) {
      Seam.$script.withValue(script) { errand { try await Connection.connect(to: address).share() } }
    }
    // The TCP handshake may have completed by then; in that case there is a connection.
    do { try connecting.join().abort() } catch let error as SocketError { #expect(error.cause == .cancelled) }
    #expect(ledger.counts.open == 0 && ledger.counts.leaked == 0, "\(ledger.counts)")
    // Accepting that client nevertheless gives a connection that has ended.
    let served = try inTask { try await keeper.listener.accept(within: .seconds(10)).share() }
    #expect(throws: SocketError.self) { if try served.receive(upTo: 1) == nil { throw SocketError(.receive, .reset) } }
    served.abort()
    keeper.end()
  }

  @Test("a connect cancelled while a Unix listener's queue is full ends, and leaves no socket behind", .faults(56, 62))
  func fullUnixQueue() throws {
    let address = try StreamKind.unix.freshAddress
    let keeper = Keeper(try Listener.bind(address, backlog: 0))
    let first = try Connection.connect(to: address)
    let ledger = Ledger()
    let connecting = Ledger.$current.withValue(ledger) {
      errand { try await Connection.connect(to: address, within: .seconds(60)).share() }
    }
    try eventually("a socket", equals: 1) { ledger.counts.open }
    connecting.cancel()
    #expect(try connecting.refusal().cause == .cancelled)
    #expect(ledger.counts.open == 0 && ledger.counts.leaked == 0)
    first.abort()
    keeper.end()
  }

  @Test("a name lookup that is cancelled ends at once, and its answer is dropped", .faults(54, 62))
  func lookup() throws {
    let table = Questions(limit: 1, perName: 1)
    let hold = OneShot<Bool>()
    let resolver = TableResolver(["slow.example": [.loopback(port: 1)]], hold: hold)
    let lookup = Lookup(
      name: "slow.example", address: nil, port: .number(80), family: nil, kind: .stream, limit: 4, resolver: resolver,
      table: table)
    let asking = errand {
      do { return try await lookup.answer(within: .seconds(60)) } catch ResolveError.cancelled { return [] }
    }
    try eventually("the question") { !resolver.questions.isEmpty }
    asking.cancel()
    #expect(try asking.join() == [])
    #expect(table.count == 1 && table.callerCount == 0, "the thread that asks cannot be cancelled")
    hold.deliver(true)
    try eventually("the thread ends", equals: 0) { table.count }

    let connecting = errand {
      cancelThisTask()
      return try await Connection.connect(to: Endpoint(host: "no-one.invalid", port: 80)).share()
    }
    #expect(try connecting.refusal().cause == .cancelled)
  }

  @Test(
    "a datagram receive cancelled while it waits takes none; the next one gets it whole", .faults(62),
    arguments: [SocketAddress.loopback(port: 0), .loopback6(port: 0), nil])
  func datagram(_ address: SocketAddress?) throws {
    let pair = try DatagramSocket.pair()
    let ours: SharedDatagramSocket
    if let address {
      ours = try DatagramSocket.bind(address).share()
      pair.first.close()
    } else {
      ours = pair.first.share()
    }
    let receiving = errand { try await ours.receive() }
    try ours.awaitParked()
    receiving.cancel()
    #expect(try receiving.refusal().cause == .cancelled)
    if address != nil {
      let sender = try DatagramSocket(ours.reference.core.family)
      try sender.send("whole", to: ours.localAddress)
      sender.close()
    } else {
      try pair.second.send("whole")
    }
    let late = errand {
      cancelThisTask()
      return try await ours.receive()
    }
    #expect(try late.refusal().cause == .cancelled)
    #expect(try inTask { try await ours.receive() }.bytes == Array("whole".utf8))
    ours.close()
    pair.second.close()
  }

  @Test(
    "a datagram send cancelled while the receiver's queue is full sends nothing", .faults(62), arguments: [true, false])
  func datagramSend(isConnected: Bool) throws {
    let folder = try TemporaryFolder()
    let receiver = try DatagramSocket.bind(try .unix("\(folder.path)/s"))
    let sender = try DatagramSocket(.unix).share()
    let address = receiver.localAddress
    if isConnected { try sender.connect(to: try #require(address)) }
    let peer = isConnected ? nil : address
    var sent = 0
    while cause({ () throws(SocketError) in try sender.send("full", to: peer, within: .zero) }) == nil { sent += 1 }
    let sending = errand { try await sender.send("one more", to: peer) }
    try sender.awaitParked()
    sending.cancel()
    let error = try sending.refusal()
    #expect(error.cause == .cancelled && error.operation == .send)
    for _ in 0..<sent { #expect(try receiver.receive(within: .seconds(10)).bytes == Array("full".utf8)) }
    #expect(cause { () throws(SocketError) in _ = try receiver.receive(within: .zero) } == .timedOut)
    // The queue has room again, and a waiting sender is woken.
    try inTask { try await sender.send("the next", to: peer) }
    #expect(try receiver.receive(within: .seconds(10)).bytes == Array("the next".utf8))
    sender.close()
    receiver.close()
  }

  @Test("withConnection in a cancelled task: its body ends with .cancelled, and the peer reads a reset", .faults(62))
  func scope() throws {
    let listener = try PlainSocket.listening()
    let endpoint = Endpoint(.loopback(port: listener.port))
    let hasBegun = Flag()
    let scope = errand {
      try await withConnection(to: endpoint) { connection in
        try await connection.send("hello")
        hasBegun.set()
        return try await connection.receive(upTo: 1)
      }.end
    }
    let peer = try listener.accept()
    #expect(try peer.receive(upTo: 5) == Array("hello".utf8))
    try eventually("the body") { hasBegun.isSet }
    scope.cancel()
    #expect(try scope.refusal().cause == .cancelled)
    #expect(throws: RigError.self) { try peer.receive() }
  }
}
