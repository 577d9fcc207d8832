import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

/// Whether `piece` occurs in `whole` at `position`; fast enough for millions of bytes.
private func isSame(_ piece: [UInt8], _ whole: [UInt8], at position: Int) -> Bool {
  guard position + piece.count <= whole.count else { return false }
  return unsafe whole.withUnsafeBytes { whole in
    unsafe piece.withUnsafeBytes { unsafe memcmp($0.baseAddress!, whole.baseAddress! + position, $0.count) == 0 }
  }
}

@Suite("Every verb in a task does what it does in a thread", .onThreads)
struct TaskVerbs {
  @Test(
    "connect, accept, send, receive, finish and close, over every stream", arguments: StreamKind.all, Place.allCases)
  func conversation(_ kind: StreamKind, _ place: Place) throws {
    guard kind != .pair else { return }
    let keeper = Keeper(try Listener.bind(try kind.freshAddress))
    let address = keeper.listener.localAddress
    let server = errand(on: place) { () async throws -> CloseReport in
      let connection = try await keeper.listener.accept()
      while let line = try await connection.receiveLine() { try await connection.send("you said \(line)\n") }
      return await connection.close(.lingering)
    }
    let replies = try inTask(on: place) { () async throws -> [String?] in
      let connection = try await Connection.connect(to: address)
      try await connection.send("one\ntwo\r\n")
      var replies = [try await connection.receiveLine(), try await connection.receiveLine()]
      let finished = connection.finishSending()
      replies.append(try await finished.receiveLine())
      let report = await finished.close()
      #expect(report.isDelivered, "\(report)")
      return replies
    }
    #expect(replies == ["you said one", "you said two", nil])
    #expect(try server.join().isDelivered)
    keeper.end()
  }

  @Test(
    "connect to an endpoint: a name, an address, a path; one without a listener is refused", arguments: Place.allCases)
  func endpoints(_ place: Place) throws {
    let keeper = try openListener()
    let port = try #require(keeper.listener.localAddress.port)
    for endpoint in [Endpoint(host: "localhost", port: port), Endpoint(.loopback(port: port))] {
      let end = try inTask(on: place) {
        try await withConnection(to: endpoint, closing: .background) { connection in
          try await connection.send("x")
          return connection.remoteAddress?.port
        }
      }
      #expect(end.result == port && end.end.ending == .background)
      let served = try inTask(on: place) { try await keeper.listener.accept().share() }
      #expect(try inTask(on: place) { try await served.receive(exactly: 1) } == Array("x".utf8))
      #expect(try inTask(on: place) { try await served.receive(upTo: 1) } == nil)
      served.abort()
    }
    #expect(
      try inTask(on: place) { try await Endpoint(host: "127.0.0.1", port: 9).resolve() } == [.loopback(port: 9)])
    keeper.end()
    let refused = errand(on: place) { try await Connection.connect(to: .loopback(port: port)).share() }
    #expect(try refused.refusal().cause == .system(.connectionRefused))
    let nowhere = errand(on: place) {
      try await Connection.connect(to: try StreamKind.unix.freshAddress).share()
    }
    #expect(try nowhere.refusal().cause == .system(.connectionRefused))
  }

  @Test("a connect to a Unix listener whose queue is full waits for room", .faults(56), arguments: Place.allCases)
  func fullQueue(_ place: Place) throws {
    let keeper = Keeper(try Listener.bind(try StreamKind.unix.freshAddress, backlog: 0))
    let address = keeper.listener.localAddress
    let first = try Connection.connect(to: address)
    let ledger = Ledger()
    let connecting = Ledger.$current.withValue(ledger) {
      errand(on: place) { try await Connection.connect(to: address, within: .seconds(60)).share() }
    }
    try eventually("a socket", equals: 1) { ledger.counts.open }
    #expect(!connecting.isFinished)
    let served = try keeper.listener.accept()
    let second = try connecting.join()
    #expect(second.phase == .connected)
    served.abort()
    second.abort()
    first.abort()
    keeper.end()
  }

  @Test("sending 0 bytes in a task sends nothing and waits for nothing", .faults(59))
  func nothing() throws {
    let (ours, theirs) = try Medium.pair.open()
    try ours.fill()
    try inTask {
      let none: [UInt8] = []
      try await ours.send(none)
      try await ours.send("")
      try await ours.send(gathering: [[], []])
      #expect(try await ours.sendSome(unsafe none.span.bytes) == 0)
      #expect(try await ours.receive(exactly: 0) == [])
    }
    for most in [0, -1] {
      guard case .invalid = try errand({ try await ours.receive(upTo: most) }).refusal().cause else {
        throw RigError("\(most) bytes were not refused")
      }
    }
    ours.abort()
    theirs.abort()
  }

  @Test(
    "every receive verb in a task copes with a peer that sends one byte at a time", .faults(43),
    arguments: ReceiveVerb.allCases, StreamKind.all)
  func dribble(_ verb: ReceiveVerb, _ kind: StreamKind) throws {
    let pair = try kind.connected()
    let ours = pair.first.share()
    let receiving = errand { () async throws -> [UInt8] in
      var all: [UInt8] = []
      while all.count < 30 {
        let some = try await verb.ask(ours) ?? []
        // Peeked bytes stay in the queue.
        if verb == .peek { _ = try await ours.receive(exactly: some.count) }
        all += verb == .until || verb == .readLine ? some + [0x0A] : some
      }
      return all
    }
    for _ in 0..<10 {
      for byte in "ab\n".utf8 {
        try ours.awaitParked()
        try pair.second.send([byte])
      }
    }
    #expect(try receiving.join() == Array(String(repeating: "ab\n", count: 10).utf8))
    ours.abort()
    pair.second.abort()
  }

  @Test(
    "64 MiB from a task to a slow reader: every byte, in order, and all of it confirmed", .faults(59),
    arguments: StreamKind.all)
  func much(_ kind: StreamKind) throws {
    let pair = try kind.connected()
    let ours = pair.first.share()
    let count = 64 << 20
    let bytes = Pattern.bytes(from: 0, count: count)
    let sending = errand {
      try await ours.send(bytes, within: .seconds(60))
      return await ours.close(.confirmed(within: .seconds(60)))
    }
    let arrived = Place.allCases[kind == .ipv4 ? 0 : 1]
    let theirs = pair.second.share()
    let same = try inTask(on: arrived, within: .seconds(60)) { () async throws -> Bool in
      var position = 0
      var number = 0
      while let some = try await theirs.receive(upTo: [100, 4096, 300_000, 1][number % 4], within: .seconds(30)) {
        guard isSame(some, bytes, at: position) else { return false }
        position += some.count
        number += 1
        // Lets the sender fill the queues from time to time.
        if number % 50 == 0 { await Task.yield() }
      }
      return position == count
    }
    #expect(same)
    theirs.close()
    #expect(try sending.join(within: .seconds(60)).isDelivered)
  }

  @Test(
    "every send verb in a task delivers every byte, even those that do not fit into the queue",
    arguments: SendVerb.allCases)
  func sending(_ verb: SendVerb) throws {
    for kind in [StreamKind.ipv4, .unix] {
      let pair = try kind.connected()
      let ours = pair.first.share()
      let bytes = pattern(9 << 20)
      let sending = errand {
        try await verb.send(bytes, on: ours)
        try await ours.finishSending()
      }
      var arrived: [UInt8] = []
      while let some = try pair.second.receive(upTo: 1 << 20) { arrived += some }
      #expect(arrived == bytes)
      try sending.join()
      ours.abort()
      pair.second.abort()
    }
  }

  @Test("both directions at once, each in a task of its own, and each ends on its own")
  func duplex() throws {
    let listener = try PlainSocket.listening()
    let address = SocketAddress.loopback(port: listener.port)
    let bytes = pattern(4 << 20)
    let exchanging = errand { () async throws -> [UInt8] in
      let connection = try await Connection.connect(to: address)
      let both = try await connection.duplex { receiver in
        var all: [UInt8] = []
        while let some = try await receiver.receive(upTo: 1 << 18) { all += some }
        return all
      } send: { sender in
        try await sender.send(bytes)
        sender.finishSending()
      }
      let error = await #expect(throws: SocketError.self) { try await connection.send("too late") }
      #expect(error?.cause == .finished)
      await connection.close()
      return both.received
    }
    let peer = Plain(try listener.accept())
    // An echo server that sends back whatever arrives, at once.
    var echoed = 0
    while echoed < bytes.count {
      let some = try peer.receive(upTo: 1 << 16)
      try peer.send(some)
      echoed += some.count
    }
    #expect(try peer.receive() == [])
    try peer.finishSending()
    #expect(try exchanging.join(within: .seconds(20)) == bytes)
  }

  @Test("when one half of a duplex throws, the other is cancelled, and the connection goes on", .faults(62))
  func duplexFails() throws {
    let listener = try PlainSocket.listening()
    let address = SocketAddress.loopback(port: listener.port)
    let hasFailed = Flag()
    let exchanging = errand { () async throws -> [UInt8]? in
      let connection = try await Connection.connect(to: address)
      let error = await #expect(throws: RigError.self) {
        _ = try await connection.duplex { receiver in
          try await receiver.receive(upTo: 1)
        } send: { _ in
          throw RigError("the sender's own")
        }
      }
      #expect(error?.attempt == "the sender's own")
      hasFailed.set()
      let more = try await connection.receive(exactly: 2)
      await connection.close(.background)
      return more
    }
    let peer = try listener.accept()
    try eventually(within: .seconds(10), "the end of both halves") { hasFailed.isSet }
    try peer.send([1, 2])
    #expect(try exchanging.join() == [1, 2])
  }

  @Test("a reset while a receive waits is an error, and the bytes before it come first")
  func reset() throws {
    let (ours, plain) = try openStrangers()
    let receiving = errand { try await ours.receive(exactly: 5) }
    try ours.awaitParked()
    try plain.send("abc")
    try ours.awaitReceived(3)
    plain.abort()
    #expect(try receiving.refusal().cause == .reset)
    #expect(try inTask { try await ours.receive(upTo: 5) } == Array("abc".utf8))
    for _ in 0..<2 { #expect(try errand { try await ours.receive(upTo: 5) }.refusal().cause == .reset) }
    #expect(try errand { try await ours.send("x") }.refusal().cause == .reset)
    ours.abort()
  }

  @Test("the peer's FIN while a receive waits is an EOF, for every verb", arguments: ReceiveVerb.allCases)
  func end(_ verb: ReceiveVerb) throws {
    let (ours, plain) = try openStrangers()
    let receiving = errand { try await verb.ask(ours) }
    try ours.awaitParked()
    try plain.finishSending()
    #expect(try receiving.join() == nil)
    #expect(try inTask { try await verb.ask(ours) } == nil)
    #expect(ours.phase == .peerFinished)
    try inTask { try await ours.send("still") }
    #expect(try plain.receive() == Array("still".utf8))
    ours.abort()
  }

  @Test("a thread and a task receive by turns: each byte goes to one of them")
  func turns() throws {
    let (ours, theirs) = try Medium.tcp.open()
    for round in 0..<20 {
      let byte = [UInt8(round)]
      if round % 2 == 0 {
        let receiving = errand { try await ours.receive(upTo: 9) }
        try ours.awaitParked()
        let refused = cause { () throws(SocketError) in _ = try ours.receive(upTo: 9) }
        #expect(refused == .busy)
        try theirs.send(byte)
        #expect(try receiving.join() == byte)
      } else {
        try theirs.send(byte)
        #expect(try ours.receive(upTo: 9) == byte)
      }
    }
    ours.abort()
    theirs.abort()
  }
}
