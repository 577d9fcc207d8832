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
