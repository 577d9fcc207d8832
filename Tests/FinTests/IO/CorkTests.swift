import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Corked sends travel together, and are sent when the body is over", .onThreads)
struct Corks {
  /// The number of segments with or without data that this side has sent (`TCP_INFO`).
  private static func segments(_ connection: borrowing Connection) throws -> Int {
    try #require(try connection.tcpInfo()?.segmentsSent)
  }

  @Test(
    "pieces of a corked body are one segment, and separate sends are several",
    arguments: [false, true])
  func segments(isInTask: Bool) throws {
    for kind in [StreamKind.ipv4, .ipv6] {
      let pair = try kind.connected()
      let before = try Corks.segments(pair.first)
      for text in ["a", "b", "c"] { try pair.first.send(text) }
      #expect(try pair.second.receive(exactly: 3) == Array("abc".utf8))
      #expect(try Corks.segments(pair.first) - before == 3)
      let shared = pair.first.share()
      let start = try #require(try shared.tcpInfo()?.segmentsSent)
      if isInTask {
        try errand {
          try await shared.corked { connection async throws(SocketError) in
            for text in ["d", "e", "f"] { try await connection.send(text) }
          }
        }.join()
      } else {
        let sent = try shared.corked { connection throws(SocketError) in
          for text in ["d", "e", "f"] { try connection.send(text) }
          return 3
        }
        #expect(sent == 3)
      }
      #expect(try pair.second.receive(exactly: 3) == Array("def".utf8))
      #expect(try #require(try shared.tcpInfo()?.segmentsSent) - start == 1)
      let cork = SocketOption.flag("TCP_CORK", level: CInt(IPPROTO_TCP), name: TCP_CORK)
      #expect(try shared.option(cork) == false)
      shared.abort()
      pair.second.abort()
    }
  }

  @Test(
    "a body that throws sends what it had sent, and its error comes out; a Unix socket has no cork")
  func thrown() throws {
    for kind in [StreamKind.ipv4, .unix] {
      let pair = try kind.connected()
      #expect(throws: RigError("enough")) {
        try pair.first.corked { connection throws(any Error) in
          try connection.send("some")
          throw RigError("enough")
        }
      }
      // The kernel holds a corked piece for 200 ms, and a body that has ended for no time.
      #expect(try pair.second.receive(exactly: 4, within: .seconds(60)) == Array("some".utf8))
      pair.first.abort()
      pair.second.abort()
    }
  }

  @Test(
    "a large send in a corked body goes out in full segments and loses nothing; a close in it sends the rest"
  )
  func large() throws {
    let pair = try StreamKind.ipv4.connected()
    let receiving = onThread(taking: pair.second) { second in
      let all = try second.receiveAll(limit: 2_000_000)
      second.close()
      return all.count
    }
    let shared = pair.first.share()
    try shared.corked { connection throws(SocketError) in
      try connection.send([UInt8](repeating: 1, count: 1_000_001))
      try connection.send([UInt8](repeating: 2, count: 3))
      connection.close()
    }
    #expect(try receiving.join() == 1_000_004)
    #expect(
      try refusal { () throws(SocketError) in
        try shared.corked { c throws(SocketError) in try c.send("x") }
      }
      .cause == .closed)
  }
}

@Suite("Scattered receives: each byte is in its piece", .onThreads)
struct Scattering {
  @Test(
    "bytes fill the pieces in order; pieces behind them are empty", arguments: StreamKind.allCases)
  func pieces(kind: StreamKind) throws {
    let pair = try kind.connected()
    let script = Script()
    try pair.first.send([1, 2, 3, 4, 5, 6])
    let pieces = try scripted(script) {
      try pair.second.receive(scattering: [4, 0, 1, 9, 3], within: .seconds(60))
    }
    #expect(pieces == [[1, 2, 3, 4], [], [5], [6], []])
    #expect(script.count(.recvmsg) >= 1 && script.count(.recv) == 0, "without a copy")
    try pair.first.send([7, 8, 9])
    #expect(try pair.second.receive(scattering: [1, 1], within: .seconds(60)) == [[7], [8]])
    #expect(try pair.second.receive(exactly: 1) == [9])
    // The buffer holds the rest behind a line, which comes first.
    try pair.first.send("x\nab")
    #expect(try pair.second.receiveLine() == "x")
    #expect(try pair.second.receive(scattering: [1, 9], within: .seconds(60)) == [[0x61], [0x62]])
    let first = pair.first.finishSending()
    let end = try pair.second.receive(scattering: [1, 9], within: .seconds(60))
    #expect(end == nil)
    first.abort()
    pair.second.abort()
  }

  @Test(
    "64 KiB arrive in their pieces, also when the kernel returns a few bytes at a time",
    arguments: [1 << 20, 7])
  func large(most: Int) throws {
    let pair = try StreamKind.ipv4.connected()
    let bytes = (0..<65_536).map { UInt8(truncatingIfNeeded: $0 &* 31 ^ $0 >> 8) }
    let shared = pair.first.share()
    let receiver = pair.second.share()
    let sending = onThread { try shared.send(bytes) }
    var received: [UInt8] = []
    let script = Script(.every(.recvmsg, .limit(most)))
    try scripted(script) { () throws in
      while received.count < bytes.count {
        let pieces = try #require(
          try receiver.receive(scattering: [3, 1000, 5, 40_000], within: .seconds(60)))
        received += pieces.flatMap { $0 }
        if most == 7 { if received.count > 700 { break } }
      }
    }
    let count = received.count
    #expect(received == Array(bytes.prefix(count)) && count > 700)
    shared.abort()
    _ = try? sending.join()
    receiver.abort()
  }

  @Test(
    "a reset is an error, a deadline, a cancellation and a close end the wait; lengths are checked")
  func ends() throws {
    let pair = try StreamKind.ipv4.connected()
    let shared = pair.second.share()
    for lengths in [[], [0, 0], [-1, 5], [Int](repeating: 1, count: 65), [Int.max, 1]] {
      let error = try refusal { () throws(SocketError) in try shared.receive(scattering: lengths) }
      #expect("\(error)".contains("cannot receive into"), "\(error)")
    }
    #expect(
      try refusal { () throws(SocketError) in try shared.receive(scattering: [1], within: .zero) }
        .cause == .timedOut)
    let cancelled = errand { try await shared.receive(scattering: [1, 1], within: .seconds(60)) }
    cancelled.cancel()
    #expect(try cancelled.refusal().cause == .cancelled)
    let inTask = errand { try await shared.receive(scattering: [1, 1], within: .seconds(60)) }
    try pair.first.send([1])
    #expect(try inTask.join() == [[1], []])
    pair.first.abort()
    #expect(
      try refusal { () throws(SocketError) in
        try shared.receive(scattering: [1], within: .seconds(60))
      }.cause == .reset)
    shared.abort()
    #expect(
      try refusal { () throws(SocketError) in try shared.receive(scattering: [1]) }.cause == .closed
    )
    let other = try StreamKind.ipv4.connected()
    let closing = other.second.share()
    let waiting = onThread {
      try refusal { () throws(SocketError) in
        try closing.receive(scattering: [1], within: .seconds(60))
      }
    }
    try eventually("the receiver waits in poll") { waiting.place.contains("poll") }
    closing.abort()
    #expect(try waiting.join().cause == .closed)
    other.first.abort()
  }
}
