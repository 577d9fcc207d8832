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
        let ours = pair.first
        let theirs = pair.second
        #expect(ours.localAddress == theirs.remoteAddress)
        #expect(ours.remoteAddress == theirs.localAddress)
        #expect(try ours.tcpState() == .established)
        try ours.send("ping\n")
        #expect(try theirs.receiveLine() == "ping")
        try theirs.send("half an ans")
        theirs.abort()
        #expect(try ours.receive(exactly: 11)?.count == 11)
        #expect(try refusal { () throws(SocketError) in try ours.receiveLine() }.cause == .reset)
        ours.abort()
      }
    }
    #expect(ledger.counts.open == 0 && ledger.counts.leaked == 0)
  }

  @Test("a Unix peer that aborts is a clean end, after the bytes that it sent", .onThreads, arguments: [false, true])
  func unix(hasUnread: Bool) throws {
    let pair = try Connection.pair()
    let ours = pair.first
    let theirs = pair.second
    try theirs.send("half an ans")
    if hasUnread { try ours.send("unread") }
    #expect(theirs.abort().ending == .aborted)
    #expect(try ours.receive(exactly: 11)?.count == 11)
    if hasUnread {
      #expect(try refusal { () throws(SocketError) in try ours.receive(upTo: 1) }.cause == .reset)
    } else {
      #expect(try ours.receive(upTo: 1) == nil)
    }
    ours.abort()
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
