import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Shared connections: sequences, a pool's question, and an outbox for slow readers")
struct SharedStreams {
  /// All elements of a sequence, and the error that ended it.
  private static func all<S: AsyncSequence>(_ sequence: S) async -> ([S.Element], SocketError.Cause?)
  where S.Failure == SocketError {
    var elements: [S.Element] = []
    do {
      for try await element in sequence { elements.append(element) }
    } catch {
      return (elements, error.cause)
    }
    return (elements, nil)
  }

  @Test("lines and chunks come one by one until the end; an error ends the loop")
  func sequences() async throws {
    let pair = try Connection.pair()
    let near = pair.first.share()
    let far = pair.second.share()
    try await far.send("one\r\ntwo\nrest")
    try await far.finishSending()
    let lines = await Self.all(near.lines())
    #expect(lines.0 == ["one", "two"] && lines.1 == .endOfStream(received: 4), "a part of a line is no end")
    let chunks = await Self.all(near.chunks(upTo: 3))
    #expect(chunks.0 == [Array("res".utf8), Array("t".utf8)] && chunks.1 == nil)
    let none = await Self.all(near.lines())
    #expect(none.0 == [] && none.1 == nil)
    let late = await Self.all(far.lines(within: .milliseconds(1)))
    #expect(late.0 == [] && late.1 == .timedOut)
    await near.abort()
    await far.abort()
  }

  @Test("a loop over lines stays on its actor")
  @MainActor func isolation() async throws {
    let pair = try Connection.pair()
    let near = pair.first.share()
    try await pair.second.send("x\n")
    let iterator = near.lines().makeAsyncIterator()
    #expect(try await iterator.next(isolation: #isolation) == "x")
    MainActor.assertIsolated()
    await near.abort()
    pair.second.abort()
  }

  @Test(
    "a connection at rest is reusable; with bytes, an end, a reset, a receiver or after a close it is not", .onThreads)
  func reusable() throws {
    let (ours, plain) = try openStrangers()
    #expect(ours.isReusable() && ours.isReusable())
    try plain.send("x")
    try eventually("a byte") { try (ours.withDescriptor { d in (try? Syscalls.unread(d.rawValue)) ?? 0 }) == 1 }
    #expect(!ours.isReusable() && !ours.isReusable())
    #expect(try ours.receive(upTo: 2) == [120])
    #expect(ours.isReusable())
    let waiting = errand { try await ours.receive(upTo: 1) }
    try ours.awaitParked()
    #expect(!ours.isReusable())
    waiting.cancel()
    #expect(try waiting.refusal().cause == .cancelled)
    #expect(ours.isReusable())
    try plain.finishSending()
    try ours.awaitState(.closeWait)
    #expect(!ours.isReusable())
    ours.close(.background)
    #expect(!ours.isReusable())
    let other = try openStrangers()
    other.plain.abort()
    try other.ours.awaitState(.closed)
    #expect(!other.ours.isReusable())
    #expect(try refusal { () throws(SocketError) in try other.ours.receive(upTo: 1) }.cause == .reset)
    other.ours.abort()
    let finished = try openStrangers()
    try finished.ours.finishSending()
    #expect(!finished.ours.isReusable())
    finished.ours.abort()
  }

  @Test("an outbox sends whole messages in order, and returns after finish", .onThreads)
  func outbox() throws {
    let pair = try Connection.pair()
    let (near, far) = (pair.first.share(), pair.second.share())
    let outbox = Outbox(near)
    #expect(try outbox.offer("0\n".utf8))
    let running = errand { try await outbox.run() }
    let reader = onThread { try (0..<1000).map { _ in try far.receiveLine() ?? "end" } }
    for number in 1..<1000 { #expect(try outbox.offer("\(number)\n".utf8)) }
    #expect(try reader.join() == (0..<1000).map { "\($0)" })
    outbox.finish()
    try running.join()
    #expect(outbox.bytesWaiting == 0)
    #expect(try refusal { () throws(SocketError) in try outbox.offer([1]) }.cause == .finished)
    near.abort()
    far.abort()
  }

  @Test("a reader that does not read: an offer beyond the bound is refused as a whole, and none waits", .onThreads)
  func slowReader() throws {
    let (ours, plain) = try openStrangers()
    let outbox = Outbox(ours, limit: 1 << 20)
    let running = errand { try await outbox.run() }
    let message = [UInt8](repeating: 7, count: 100_000)
    var taken = 0
    let end = Fin.Deadline(after: .seconds(20))
    while try outbox.offer(message), !end.hasPassed { taken += 1 }
    #expect(!end.hasPassed && taken >= 10 && outbox.bytesWaiting <= 1 << 20)
    #expect(try !outbox.offer([UInt8](repeating: 0, count: (1 << 20) + 1)))
    outbox.finish()
    var received = 0
    while received < taken * 100_000 { received += try plain.receive(upTo: 1 << 20).count }
    #expect(received == taken * 100_000)
    try running.join()
    ours.abort()
    plain.close()
  }

  @Test("an error, a close or a cancellation ends the outbox, and later offers throw it", .onThreads)
  func outboxEnds() throws {
    for way in 0..<3 {
      let (ours, plain) = try openStrangers()
      let outbox = Outbox(ours)
      let running = errand { try await outbox.run() }
      try outbox.offer([1])
      #expect(try plain.receive(upTo: 1) == [1])
      let expected: SocketError.Cause
      switch way {
      case 0:
        ours.abort()
        expected = .closed
      case 1:
        running.cancel()
        expected = .cancelled
      default:
        plain.abort()
        try ours.awaitState(.closed)
        try outbox.offer([2])
        expected = .reset
      }
      #expect(try running.refusal().cause == expected)
      #expect(try refusal { () throws(SocketError) in try outbox.offer([1]) }.cause == expected)
      let second = errand { try await outbox.run() }
      #expect("\(try second.refusal())".contains("runs already"))
      ours.abort()
    }
  }
}

@Suite("Datagrams: buffers, drops, and bytes that can be changed")
struct DatagramExtras {
  @Test("a small receive buffer drops a burst, and the drops are counted; a large one takes it", .onThreads)
  func drops() throws {
    let small = try DatagramSocket.bind(.loopback(port: 0), receiveBuffer: 4096)
    let large = try DatagramSocket.bind(.loopback(port: 0), receiveBuffer: 200_000, sendBuffer: 50_000)
    #expect(try small.option(.receiveBuffer) < large.option(.receiveBuffer))
    #expect(try large.option(.sendBuffer) == 100_000)
    let sender = try DatagramSocket(.ipv4)
    #expect(try small.datagramsDropped() == 0)
    for address in [small.localAddress, large.localAddress] {
      for _ in 0..<50 { try sender.send([UInt8](repeating: 1, count: 1000), to: address) }
    }
    var count = 0
    while (try? small.receive(within: .zero)) != nil { count += 1 }
    #expect(try small.datagramsDropped() == UInt32(50 - count))
    #expect(count < 50)
    #expect(try large.datagramsDropped() == 0)
    small.close()
    large.close()
    sender.close()
  }

  @Test("the bytes of a datagram can be changed, and whether it was cut stays known", .onThreads)
  func change() throws {
    let pair = try DatagramSocket.pair()
    try pair.first.send("hello")
    var datagram = try pair.second.receive(upTo: 3)
    datagram.bytes[0] = UInt8(ascii: "H")
    datagram.bytes += Array("l, and more".utf8)
    #expect(datagram.isTruncated && datagram.length == 5 && datagram.description.contains("the first 3 received"))
    try pair.second.send(datagram.bytes)
    #expect(try pair.first.receive().bytes == Array("Hell, and more".utf8).filter { $0 != 0 })
    pair.first.close()
    pair.second.close()
  }
}
