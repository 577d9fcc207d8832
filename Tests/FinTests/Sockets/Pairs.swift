import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 3: an abort is a reset over TCP, and an end of file on a Unix socket")
struct Pairs {
  @Test("a pair over TCP: bytes both ways, the same addresses at both ends, and a reset is a reset", .onThreads)
  func tcp() throws {
    let ledger = Ledger()
    try Ledger.$current.withValue(ledger) {
      for _ in 0..<50 {
        let pair = try Connection.pair(over: .tcp)
        #expect(pair.first.localAddress == pair.second.remoteAddress)
        #expect(pair.first.remoteAddress == pair.second.localAddress)
        #expect(try pair.first.tcpState() == .established)
        try pair.first.send("ping\n")
        #expect(try pair.second.receiveLine() == "ping")
        try pair.second.send("half an ans")
        pair.second.abort()
        #expect(try pair.first.receive(exactly: 11)?.count == 11)
        #expect(try refusal { () throws(SocketError) in try pair.first.receiveLine() }.cause == .reset)
        pair.first.abort()
      }
    }
    #expect(ledger.counts.open == 0 && ledger.counts.leaked == 0)
  }

  @Test("a Unix peer that aborts is a clean end, after the bytes that it sent", .onThreads, arguments: [false, true])
  func unix(hasUnread: Bool) throws {
    let pair = try Connection.pair()
    try pair.second.send("half an ans")
    if hasUnread { try pair.first.send("unread") }
    #expect(pair.second.abort().ending == .aborted)
    #expect(try pair.first.receive(exactly: 11)?.count == 11)
    if hasUnread {
      #expect(try refusal { () throws(SocketError) in try pair.first.receive(upTo: 1) }.cause == .reset)
    } else {
      #expect(try pair.first.receive(upTo: 1) == nil)
    }
    pair.first.abort()
  }

  @Test("served on a Unix path: a handler that throws is counted as aborted, and its client reads an end", .onThreads)
  func served() throws {
    struct OddError: Error {}
    let folder = try TemporaryFolder()
    let listener = try Listener.bind(try SocketAddress.unix("\(folder.path)/s"))
    let (handle, address) = (listener.handle, listener.localAddress)
    let client = onThread {
      defer { handle.stop() }
      return try withConnection(to: address) { client in try client.receiveAll(limit: 99) }.result
    }
    let report = listener.serve(threads: 1) { connection in
      try connection.send("half an ans")
      throw OddError()
    }
    #expect(try client.join() == Array("half an ans".utf8))
    #expect(report.endings == [.aborted: 1] && report.handlersFailed == 1)
  }
}
