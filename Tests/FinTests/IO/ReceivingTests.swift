import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Receiving: into a span, up to a number, exactly a number, and peeking", .onThreads)
struct ReceivingBytes {
  /// Receives into a span of this capacity.
  private func into(_ room: Int, _ connection: borrowing Connection, within: Timeout = .default) throws -> [UInt8] {
    var storage = [UInt8](repeating: 0xEE, count: room)
    let count = try unsafe storage.withUnsafeMutableBytes { buffer in
      var output = unsafe OutputRawSpan(buffer: buffer, initializedCount: 0)
      let said = try connection.receive(into: &output, within: within)
      let count = unsafe output.finalize(for: buffer)
      #expect(said == count)
      return count
    }
    return Array(storage.prefix(count))
  }

  @Test("receive into a span: the bytes that arrived, at most its room; 0 at EOF", arguments: StreamKind.all)
  func intoSpan(kind: StreamKind) throws {
    let pair = try kind.connected()
    try pair.first.send([1, 2, 3, 4, 5])
    #expect(try into(3, pair.second) == [1, 2, 3])
    #expect(try into(10, pair.second) == [4, 5])
    #expect(
      try refusal { () throws(SocketError) in
        try receiveIntoNothing(pair.second)
      }.cause == .invalid("no room to receive into"))
    let first = pair.first.finishSending()
    #expect(try into(10, pair.second) == [])
    #expect(try into(10, pair.second) == [])
    first.abort()
    pair.second.abort()
  }

  private func receiveIntoNothing(_ connection: borrowing Connection) throws(SocketError) {
    var output = OutputRawSpan()
    _ = try connection.receive(into: &output)
  }

  @Test("receive into a half-full span fills it up, and keeps its content")
  func appends() throws {
    let pair = try Connection.pair()
    try pair.first.send([3, 4, 5, 6])
    var storage = [UInt8](repeating: 0, count: 4)
    try unsafe storage.withUnsafeMutableBytes { buffer in
      var output = unsafe OutputRawSpan(buffer: buffer, initializedCount: 0)
      output.append(1)
      output.append(2)
      let count = try pair.second.receive(into: &output)
      #expect(count == 2)
      #expect(output.freeCapacity == 0)
      _ = unsafe output.finalize(for: buffer)
    }
    #expect(storage == [1, 2, 3, 4])
    #expect(try pair.second.receive(upTo: 9) == [5, 6])
    pair.first.abort()
    pair.second.abort()
  }

  @Test("receive(upTo:): at least one byte, at most the limit, nil at EOF every time", arguments: StreamKind.all)
  func upTo(kind: StreamKind) throws {
    let pair = try kind.connected()
    try pair.first.send([1, 2, 3])
    #expect(try pair.second.receive(upTo: 2) == [1, 2])
    #expect(try pair.second.receive(upTo: .max) == [3])
    for wrong in [0, -1, .min] {
      let error = try refusal { () throws(SocketError) in try pair.second.receive(upTo: wrong) }
      guard case .invalid = error.cause else { throw RigError("\(error)") }
    }
    let first = pair.first.finishSending()
    for _ in 0..<3 { #expect(try pair.second.receive(upTo: 1) == nil) }
    #expect(pair.second.phase == .peerFinished)
    first.abort()
    pair.second.abort()
  }

  @Test(
    "receive(exactly:): all bytes; at EOF nil before the first, endOfStream after it, and the bytes stay",
    arguments: StreamKind.all)
  func exactly(kind: StreamKind) throws {
    let pair = try kind.connected()
    let first = pair.first
    let second = pair.second
    #expect(try second.receive(exactly: 0) == [])
    try first.send([1, 2, 3, 4, 5, 6, 7])
    #expect(try second.receive(exactly: 4) == [1, 2, 3, 4])
    let negative = try refusal { () throws(SocketError) in try second.receive(exactly: -1) }
    guard case .invalid = negative.cause else { throw RigError("\(negative)") }
    let ended = first.finishSending()
    for _ in 0..<3 {
      let error = try refusal { () throws(SocketError) in try second.receive(exactly: 4) }
      #expect(error.cause == .endOfStream(received: 3))
    }
    #expect(try second.receive(exactly: 2) == [5, 6])
    #expect(try second.receive(upTo: 10) == [7])
    #expect(try second.receive(exactly: 1) == nil)
    #expect(try second.receive(exactly: 1) == nil)
    ended.abort()
    second.abort()
  }

  @Test("receive(exactly:) that times out in the middle: the bytes that arrived stay, in order", .faults(61))
  func exactlyTimedOut() throws {
    let pair = try StreamKind.ipv4.connected()
    try pair.first.send([1, 2, 3])
    for _ in 0..<3 {
      let error = try refusal { () throws(SocketError) in try pair.second.receive(exactly: 5, within: .milliseconds(5))
      }
      #expect(error.cause == .timedOut)
    }
    try pair.first.send([4, 5, 6])
    #expect(try pair.second.receive(exactly: 5) == [1, 2, 3, 4, 5])
    #expect(try pair.second.receive(upTo: 9) == [6])
    pair.first.abort()
    pair.second.abort()
  }

  @Test("receive(exactly:) with a reset in the middle: the bytes that arrived stay, then comes the reset")
  func exactlyReset() throws {
    let streams = try Strangers.connected()
    let ours = streams.ours
    let plain = streams.plain
    try plain.send([1, 2, 3])
    try eventually("the bytes") { try ours.tcpInfo()?.bytesReceived == 3 }
    #expect(try ours.peek(upTo: 9) == [1, 2, 3])
    plain.abort()
    let error = try refusal { () throws(SocketError) in try ours.receive(exactly: 5) }
    #expect(error.cause == .reset)
    #expect(try ours.receive(upTo: 9) == [1, 2, 3])
    #expect(try refusal { () throws(SocketError) in try ours.receive(upTo: 9) }.cause == .reset)
    ours.close()
  }

  @Test("receive(exactly:) of a tebibyte allocates no memory in advance")
  func hugeLengths() async {
    await #expect(processExitsWith: .success) { try ReceivingBytes.askForATebibyte() }
  }

  private static func askForATebibyte() throws {
    let pair = try Connection.pair()
    try pair.first.send([1, 2, 3])
    let before = try memory()
    for count in [1 << 40, .max] {
      let error = try refusal { () throws(SocketError) in
        try pair.second.receive(exactly: count, within: .milliseconds(10))
      }
      #expect(error.cause == .timedOut)
      let line = try refusal { () throws(SocketError) in
        try pair.second.receive(until: [0xFF], limit: count, within: .milliseconds(10))
      }
      #expect(line.cause == .timedOut)
    }
    var kept: [[UInt8]] = []
    for _ in 0..<1000 {
      try pair.first.send([4])
      kept.append(try pair.second.receive(upTo: .max) ?? [])
    }
    #expect(kept.first == [1, 2, 3] && kept.count == 1000)
    #expect(try memory() - before < 32 << 20)
    pair.first.abort()
    pair.second.abort()
  }

  /// The resident memory of this process, in bytes.
  private static func memory() throws -> Int {
    guard let file = unsafe fopen("/proc/self/statm", "r") else { throw RigError("statm") }
    defer { unsafe fclose(file) }
    var line = [CChar](repeating: 0, count: 200)
    guard unsafe fgets(&line, 200, file) != nil else { throw RigError("statm") }
    let fields = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self).split(
      separator: " ")
    return (Int(fields[1]) ?? 0) * 4096
  }

  @Test("peek consumes nothing: the next receive returns the same bytes", arguments: StreamKind.all)
  func peek(kind: StreamKind) throws {
    let pair = try kind.connected()
    try pair.first.send("abcdef")
    #expect(try pair.second.peek(upTo: 2) == Array("ab".utf8))
    #expect(try pair.second.peek(upTo: 100) == Array("abcdef".utf8))
    #expect(try into(2, pair.second) == Array("ab".utf8))
    #expect(try pair.second.peek(upTo: 1) == Array("c".utf8))
    #expect(try pair.second.receive(exactly: 4) == Array("cdef".utf8))
    let first = pair.first.finishSending()
    #expect(try pair.second.peek(upTo: 1) == nil)
    #expect(try pair.second.peek(upTo: 1) == nil)
    first.abort()
    pair.second.abort()
  }

  @Test("peeked bytes count as unread when the connection is closed")
  func peekThenClose() throws {
    let pair = try StreamKind.ipv4.connected()
    try pair.first.send("abc")
    #expect(try pair.second.peek(upTo: 100) == Array("abc".utf8))
    let report = pair.second.abort()
    #expect(report.bytesDiscarded == 3, "\(report)")
    pair.first.abort()
  }

  @Test("detaching in the middle of buffered reading returns the bytes that were read ahead")
  func peekThenDetach() throws {
    let pair = try StreamKind.ipv4.connected()
    try pair.first.send("line\nrest")
    #expect(try pair.second.receiveLine() == "line")
    let detached = try pair.second.detach()
    #expect(detached.unread == Array("rest".utf8))
    try detached.descriptor.close()
    pair.first.abort()
  }
}
