import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

/// Each test runs in a separate process, because the limit belongs to the process, and in a separate descriptor table,
/// because libdispatch needs descriptors too.
@Suite("The descriptor limit, reached for real")
struct DescriptorLimit {
  @Test(
    "accept at the descriptor limit, a client queued: an error that says what to do; the client stays queued",
    .onThreads,
    .faults(35))
  func acceptSomebody() async {
    await #expect(processExitsWith: .success) { try DescriptorTable.apart { try AtTheLimit.acceptSomebody($0) } }
  }

  @Test(
    "accept at the descriptor limit, no client queued: it waits, and accepts the next one once there is room",
    .onThreads,
    .faults(35))
  func acceptNobody() async {
    await #expect(processExitsWith: .success) { try DescriptorTable.apart { try AtTheLimit.acceptNobody($0) } }
  }

  @Test(
    "connect, pair, socket, bind and duplicate at the descriptor limit: an error each, and nothing is left behind",
    .onThreads,
    .faults(35))
  func makers() async {
    await #expect(processExitsWith: .success) { try DescriptorTable.apart { try AtTheLimit.makers($0) } }
  }

  @Test(
    "at the descriptor limit, open sockets still send, receive, wait and close with confirmation", .onThreads,
    .faults(35))
  func openOnes() async {
    await #expect(processExitsWith: .success) { try DescriptorTable.apart { try AtTheLimit.openOnes($0) } }
  }

  @Test(
    "a shared connection can wait and be closed from another thread without a free descriptor", .onThreads, .faults(35))
  func sharedWaits() async {
    await #expect(processExitsWith: .success) { try DescriptorTable.apart { try AtTheLimit.sharedWaits($0) } }
  }

  @Test("a server at the descriptor limit serves every client in the end", .onThreads, .faults(35))
  func server() async {
    await #expect(processExitsWith: .success) { try DescriptorTable.apart { try AtTheLimit.server($0) } }
  }
}

/// Takes every free descriptor, and releases as many as the test asks for.
private struct Hoard: ~Copyable {
  private var numbers: [CInt] = []

  init(_ table: DescriptorTable) throws {
    // Low enough to be reached quickly.
    try table.lowerLimit(leaving: 40)
    fill()
  }

  mutating func fill() {
    while true {
      let number = dup(2)
      if number < 0 { break }
      numbers.append(number)
    }
  }

  mutating func give(_ count: Int) {
    for _ in 0..<count { _ = close(numbers.removeLast()) }
  }

  /// The error that `body` throws when no descriptor is free. Takes the ones that other threads have closed in the
  /// meantime, too.
  mutating func refusal<R: ~Copyable>(_ body: () throws(SocketError) -> R) throws -> SocketError {
    fill()
    return try FinTests.refusal(body)
  }
}

private enum AtTheLimit {
  static func acceptSomebody(_ table: DescriptorTable) throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let client = try Connection.connect(to: listener.localAddress)
    var hoard = try Hoard(table)
    for _ in 0..<3 {
      let error = try hoard.refusal { () throws(SocketError) in try listener.accept(within: .seconds(10)) }
      #expect(error.cause == .system(.tooManyOpenFiles))
      #expect("\(error)".contains("ulimit -n"), "\(error)")
    }
    hoard.give(1)
    let server = try listener.accept(within: .seconds(10))
    #expect(server.remoteAddress == client.localAddress)
    server.abort()
    client.abort()
    listener.close()
  }

  static func acceptNobody(_ table: DescriptorTable) throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let address = listener.localAddress
    var hoard = try Hoard(table)
    let error = try hoard.refusal { () throws(SocketError) in try listener.accept(within: .milliseconds(50)) }
    #expect(error.cause == .timedOut, "\(error)")
    let accepting = onThread(taking: listener) { listener in
      let server = try listener.accept(within: .seconds(10))
      let peer = server.remoteAddress
      server.abort()
      listener.close()
      return peer
    }
    // One for the client's end, one for the server's, and spare ones for the waits on both sides.
    hoard.give(8)
    let client = try Connection.connect(to: address)
    #expect(try accepting.join(within: .seconds(20)) == client.localAddress)
    client.abort()
  }

  static func makers(_ table: DescriptorTable) throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let address = listener.localAddress
    let kept = try Connection.pair()
    let ledger = Ledger()
    var hoard = try Hoard(table)
    try Ledger.$current.withValue(ledger) { () throws in
      let full = SocketError.Cause.system(.tooManyOpenFiles)
      let connect = try hoard.refusal { () throws(SocketError) in try Connection.connect(to: address) }
      #expect(connect.cause == full && connect.operation == .connect)
      #expect("\(connect)".contains("ulimit -n"), "\(connect)")
      let pair = try hoard.refusal { () throws(SocketError) in try Connection.pair() }
      #expect(pair.cause == full)
      let socket = try hoard.refusal { () throws(SocketError) in try Socket(.ipv4) }
      #expect(socket.cause == full)
      let bind = try hoard.refusal { () throws(SocketError) in try Listener.bind(.loopback(port: 0)) }
      #expect(bind.cause == full && bind.operation == .bind)
      let duplicate = try hoard.refusal { () throws(SocketError) in try kept.first.duplicate() }
      #expect(duplicate.cause == full && duplicate.operation == .duplicate)
      // A pair needs two descriptors: with only one free, it takes none.
      hoard.give(1)
      _ = try refusal { () throws(SocketError) in try Connection.pair() }
      let single = try Socket(.ipv4)
      single.close()
    }
    #expect(ledger.counts.open == 0)
    #expect(ledger.counts.opened == 1)
    try kept.first.send([1])
    #expect(try kept.second.receive(upTo: 9) == [1])
    kept.first.abort()
    kept.second.abort()
    listener.close()
  }

  static func openOnes(_ table: DescriptorTable) throws {
    let pair = try StreamKind.ipv4.connected()
    let hoard = try Hoard(table)
    let bytes = pattern(3_000_000)
    let second = onThread(taking: pair.second) { second in
      let received = try second.receive(exactly: bytes.count)
      try second.send("yes\n")
      #expect(try second.receive(upTo: 1) == nil)
      return (received == bytes, second.close())
    }
    try pair.first.send(bytes)
    #expect(try pair.first.receiveLine() == "yes")
    let report = pair.first.close()
    #expect(report.isDelivered && report.bytesUnacknowledged == 0, "\(report)")
    let (isSame, end) = try second.join(within: .seconds(20))
    #expect(isSame && end.isDelivered, "\(end)")
    _ = consume hoard
  }

  static func sharedWaits(_ table: DescriptorTable) throws {
    let pair = try StreamKind.ipv4.connected()
    let shared = pair.first.share()
    let hoard = try Hoard(table)
    let waiting = onThread { try shared.receive(upTo: 1) }
    try pair.second.send([1])
    #expect(try waiting.join() == [1])
    let again = onThread { try refusal { () throws(SocketError) in try shared.receive(upTo: 1) } }
    try steadily(for: .milliseconds(50), "the end of the wait", equals: false) { again.isFinished }
    shared.abort()
    let cause = try again.join(within: .seconds(10)).cause
    #expect(cause == .closed)
    pair.second.abort()
    _ = consume hoard
  }

  /// Connects to the server. The server may have taken the last descriptors: then this retries until one is free again.
  private static func connected(_ port: UInt16) throws -> PlainSocket {
    let deadline = Deadline.after(.seconds(20))
    while true {
      do {
        return try PlainSocket.connected(to: "127.0.0.1", port: port)
      } catch {
        if deadline.hasPassed { throw error }
        usleep(1000)
      }
    }
  }

  static func server(_ table: DescriptorTable) throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let handle = listener.handle
    let address = listener.localAddress
    // The clients' ends take many descriptors; the server gets the remaining ones.
    try table.lowerLimit(leaving: 60)
    let clients = onThread { () throws -> Int in
      defer { handle.stop() }
      var threads: [Joining<Bool>] = []
      for _ in 0..<30 {
        let plain = try connected(address.port ?? 0)
        threads.append(
          onThread(taking: plain) { plain in
            try plain.send(Array("hello\n".utf8))
            let reply = try plain.receive()
            plain.close()
            return reply == Array("hello!\n".utf8)
          })
      }
      return try threads.count { try $0.join(within: .seconds(20)) }
    }
    let report = listener.serve(threads: 64) { connection throws in
      while let line = try connection.receiveLine() { try connection.send("\(line)!\n") }
    }
    #expect(try clients.join(within: .seconds(60)) == 30)
    #expect(report.handlersFailed == 0, "\(report)")
    #expect(report.served == 30, "\(report)")
  }
}
