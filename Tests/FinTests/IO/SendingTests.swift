import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Sending: all of the bytes, or an error that says how many", .onThreads)
struct SendingAll {
  @Test(
    "a peer that stalls: a send that times out reports exactly the number of bytes that arrive", .faults(59, 61),
    arguments: StreamKind.all)
  func stalled(kind: StreamKind) throws {
    let pair = try kind.connected()
    let bytes = pattern(32 << 20)
    let error = try refusal { () throws(SocketError) in try pair.first.send(bytes, within: .milliseconds(100)) }
    #expect(error.cause == .timedOut)
    #expect(error.operation == .send)
    #expect(error.bytesAccepted > 0 && error.bytesAccepted < bytes.count)
    #expect("\(error)".contains("after \(error.bytesAccepted) bytes were accepted"))
    let first = pair.first.finishSending()
    var received: [UInt8] = []
    while let more = try pair.second.receive(upTo: 1 << 20) { received += more }
    #expect(received.count == error.bytesAccepted)
    #expect(received == Array(bytes.prefix(error.bytesAccepted)))
    first.abort()
    pair.second.abort()
  }

  @Test(
    "a peer that stalls: a gathered send that times out reports the number of bytes too", .faults(59, 61),
    arguments: StreamKind.all)
  func stalledGathering(kind: StreamKind) throws {
    let pair = try kind.connected()
    let pieces = (0..<200).map { pattern(100_003, seed: UInt64($0)) }
    let error = try refusal { () throws(SocketError) in
      try pair.first.send(gathering: pieces, within: .milliseconds(100))
    }
    #expect(error.cause == .timedOut)
    let first = pair.first.finishSending()
    var received: [UInt8] = []
    while let more = try pair.second.receive(upTo: 1 << 20) { received += more }
    #expect(received.count == error.bytesAccepted)
    #expect(received == Array(joined(pieces).prefix(error.bytesAccepted)))
    first.abort()
    pair.second.abort()
  }

  @Test(
    "a send that another thread closes reports exactly the number of bytes that arrive", .faults(59),
    arguments: StreamKind.all)
  func closedInTheMiddle(kind: StreamKind) throws {
    let pair = try kind.connected()
    let shared = pair.first.share()
    let bytes = pattern(32 << 20)
    let sender = onThread { try refusal { () throws(SocketError) in try shared.send(bytes, within: .seconds(30)) } }
    // The peer does not read before the sender waits, so that the queue stays full.
    try awaitFullQueue(shared)
    let closer = onThread { shared.close(.confirmed(within: .seconds(20))) }
    let error = try sender.join()
    #expect(error.cause == .closed)
    #expect(error.bytesAccepted > 0 && error.bytesAccepted < bytes.count)
    var received: [UInt8] = []
    while let more = try pair.second.receive(upTo: 1 << 20) { received += more }
    #expect(received.count == error.bytesAccepted)
    #expect(received == Array(bytes.prefix(error.bytesAccepted)))
    pair.second.close()
    let report = try closer.join(within: .seconds(30))
    #expect(report.isDelivered, "\(report)")
  }

  private func awaitFullQueue(_ connection: SharedConnection) throws {
    try eventually(within: .seconds(20), "the kernel to take no more") {
      try connection.withDescriptor { descriptor in
        var poll = pollfd(fd: descriptor.rawValue, events: Int16(POLLOUT), revents: 0)
        return unsafe Glibc.poll(&poll, 1, 0) == 0
      }
    }
  }

  @Test("a peer that acknowledges only the first bytes: the send reports the bytes accepted", .faults(59), .needsTUN)
  func partlyAcknowledged() throws {
    try withRawPeer(.acknowledges(first: 20_000)) { peer throws in
      let connection = try peer.namespace.run { () throws in
        try Connection.connect(to: .v4(IPv4Address(10, 8, 0, 2), port: 7))
      }
      let bytes = pattern(32 << 20)
      let error = try refusal { () throws(SocketError) in try connection.send(bytes, within: .milliseconds(300)) }
      #expect(error.cause == .timedOut)
      #expect(error.bytesAccepted >= 20_000 && error.bytesAccepted < bytes.count)
      let unacknowledged = try connection.bytesUnacknowledged()
      #expect(error.bytesAccepted - unacknowledged == peer.received.prefix(20_000).count)
      #expect(peer.received.prefix(20_000) == bytes.prefix(20_000))
      let report = connection.abort()
      #expect(report.bytesUnacknowledged == unacknowledged, "\(report)")
    }
  }

  @Test(
    "a peer that resets in the middle of a send: the bytes accepted are reported, then always the reset", .faults(59))
  func resetInTheMiddle() throws {
    let streams = try Strangers.connected()
    let ours = streams.ours.share()
    let bytes = pattern(32 << 20)
    let sender = onThread { try refusal { () throws(SocketError) in try ours.send(bytes, within: .seconds(30)) } }
    try awaitFullQueue(ours)
    streams.plain.abort()
    let error = try sender.join()
    #expect(error.cause == .reset)
    #expect(error.bytesAccepted > 0 && error.bytesAccepted < bytes.count)
    #expect(try refusal { () throws(SocketError) in try ours.send([1]) }.cause == .reset)
    ours.close()
  }

  @Test("sending no bytes makes no system call, and nothing arrives", .faults(59), arguments: StreamKind.all)
  func nothing(kind: StreamKind) throws {
    let pair = try kind.connected()
    let script = Script()
    try scripted(script) { () throws in
      try pair.first.send([])
      try pair.first.send("")
      try pair.first.send(gathering: [])
      try pair.first.send(gathering: [[], [], []])
      try pair.first.send(EmptyCollection())
      let empty: [UInt8] = []
      let sent = try unsafe pair.first.sendSome(empty.span.bytes)
      #expect(sent == 0)
    }
    #expect(script.count(.send) == 0 && script.count(.sendmsg) == 0)
    #expect(
      try refusal { () throws(SocketError) in try pair.second.receive(upTo: 1, within: .zero) }.cause == .timedOut)
    try pair.first.send([5])
    #expect(try pair.second.receive(upTo: 9) == [5])
    pair.first.abort()
    pair.second.abort()
  }

  @Test("sending no bytes after finishing or closing is refused like any send")
  func nothingAfterTheEnd() throws {
    let pair = try Connection.pair()
    let shared = pair.first.share()
    try shared.finishSending()
    #expect(try refusal { () throws(SocketError) in try shared.send([]) }.cause == .finished)
    #expect(try refusal { () throws(SocketError) in try shared.send(gathering: []) }.cause == .finished)
    shared.abort()
    #expect(try refusal { () throws(SocketError) in try shared.send([]) }.cause == .closed)
    pair.second.abort()
  }

  @Test(
    "a whole conversation works with one byte per system call, in both directions", .faults(59),
    arguments: StreamKind.all)
  func oneByteCalls(kind: StreamKind) throws {
    let pair = try kind.connected()
    let script = Script(.every(.recv, .limit(1)), .every(.send, .limit(1)), .every(.sendmsg, .limit(1)))
    try scripted(script) { () throws in
      try pair.first.send("GET / HTTP/1.1\r\nHost: fin\r\n\r\n")
      #expect(try pair.second.receiveLine() == "GET / HTTP/1.1")
      #expect(try pair.second.receive(until: Array("\r\n\r\n".utf8)) == Array("Host: fin".utf8))
      let body = pattern(200)
      try pair.second.send(gathering: [Array("200\n".utf8), body, [], [0xFF]])
      #expect(try pair.first.receiveLine() == "200")
      #expect(try pair.first.receive(exactly: 201) == body + [0xFF])
      let three: [UInt8] = [1, 2, 3]
      let sent = try unsafe pair.second.sendSome(three.span.bytes)
      #expect(sent == 1)
      #expect(try pair.first.receive(upTo: 100) == [1])
    }
    let first = pair.first.finishSending()
    #expect(try pair.second.receive(upTo: 100) == nil)
    let report = pair.second.close()
    #expect(report.isDelivered, "\(report)")
    #expect(try first.receive(upTo: 1) == nil)
    first.close()
    #expect(script.count(.send) >= 30)
    #expect(script.count(.recv) > 200)
  }

  @Test("64 MiB arrive unchanged at a slow reader", arguments: [StreamKind.ipv4, .unix])
  func slowReader(kind: StreamKind) throws {
    // A block, repeated, whose length divides no buffer size.
    let block = pattern(1_000_003)
    let total = 64 << 20
    let pair = try kind.connected()
    try pair.second.set(.receiveBuffer, to: 64 << 10)
    let script = Script()
    let sender = onThread(taking: pair.first) { first in
      try scripted(script) { () throws in
        var left = total
        while left > 0 {
          try first.send(block.prefix(left), within: .seconds(60))
          left -= min(left, block.count)
        }
      }
      return first.close(.confirmed(within: .seconds(60)))
    }
    var position = 0
    var isSame = true
    while let bytes = try pair.second.receive(upTo: 4096, within: .seconds(60)) {
      isSame = isSame && bytes.elementsEqualBlock(block, at: position)
      position += bytes.count
    }
    #expect(position == total)
    #expect(isSame)
    pair.second.close()
    let report = try sender.join(within: .seconds(60))
    #expect(report.isDelivered && report.bytesUnacknowledged == 0, "\(report)")
    // The reader was slow enough to make the sender wait.
    #expect(script.count(.poll) > 0)
  }

  @Test("every kind of collection sends the same bytes", arguments: StreamKind.all)
  func forms(kind: StreamKind) throws {
    let pair = try kind.connected()
    let text = "Ärger, 日本, 🏁, and plain\n"
    let bytes = Array(text.utf8)
    try pair.first.send(text)
    try pair.first.send(("xx" + text + "yy").dropFirst(2).dropLast(2))
    try pair.first.send(bytes)
    try pair.first.send(([1, 2] + bytes)[2...])
    try unsafe pair.first.send(bytes.span.bytes)
    try pair.first.send(ContiguousArray(bytes))
    try pair.first.send(bytes.lazy.map { $0 &+ 1 }.map { $0 &- 1 })
    try pair.first.send(Array(bytes.reversed()).reversed())
    try pair.first.send(text.utf8)
    try pair.first.send(text.utf8.lazy.filter { _ in true })
    try pair.first.send(gathering: [Array(bytes.prefix(3)), [], Array(bytes.dropFirst(3))])
    for form in 0..<11 {
      #expect(try pair.second.receive(exactly: bytes.count) == bytes, "form \(form)")
    }
    try pair.first.send(repeatElement(7, count: 1000))
    #expect(try pair.second.receive(exactly: 1000) == [UInt8](repeating: 7, count: 1000))
    try pair.first.send(CollectionOfOne(9))
    #expect(try pair.second.receive(upTo: 2) == [9])
    pair.first.abort()
    pair.second.abort()
  }

  @Test("sendSome sends what there is room for, and waits only while there is none", arguments: StreamKind.all)
  func some(kind: StreamKind) throws {
    let pair = try kind.connected()
    let bytes = pattern(8 << 20)
    let script = Script()
    var sent = 0
    try scripted(script) { () throws in sent = try unsafe pair.first.sendSome(bytes.span.bytes) }
    #expect(sent > 0 && sent < bytes.count)
    #expect(script.count(.send) == 1 && script.count(.poll) == 0)
    while true {
      do throws(SocketError) {
        sent += try unsafe pair.first.sendSome(bytes.span.bytes.extracting(sent...), within: .milliseconds(20))
      } catch {
        #expect(error.cause == .timedOut)
        #expect(error.bytesAccepted == 0)
        break
      }
    }
    let first = pair.first.finishSending()
    var received: [UInt8] = []
    while let more = try pair.second.receive(upTo: 1 << 20) { received += more }
    #expect(received.count == sent)
    #expect(received[...] == bytes.prefix(sent))
    first.abort()
    pair.second.abort()
  }
}

extension [UInt8] {
  /// Whether these bytes are those of an endless repetition of `block`, starting at `position`.
  func elementsEqualBlock(_ block: [UInt8], at position: Int) -> Bool {
    var done = 0
    while done < count {
      let start = (position + done) % block.count
      let length = Swift.min(count - done, block.count - start)
      let isSame = unsafe withUnsafeBytes { mine in
        unsafe block.withUnsafeBytes { theirs in
          unsafe memcmp(mine.baseAddress! + done, theirs.baseAddress! + start, length) == 0
        }
      }
      if !isSame { return false }
      done += length
    }
    return true
  }
}
