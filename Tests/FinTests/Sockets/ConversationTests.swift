import Fin
import Synchronization
import Testing

@Suite("A conversation, from connect to the report of its close")
struct Conversation {
  @Test("a served client gets its lines back, and both sides say how it ended")
  func echo() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let address = try #require(listener.localAddress)
    let handle = listener.handle
    let report = Mutex<CloseReport?>(nil)
    let client = try onAnotherThread {
      let (reply, end) = try withConnection(to: Endpoint(address)) { connection in
        try connection.send("hello\n")
        return try connection.readLine()
      }
      #expect(reply == "you said hello")
      report.withLock { $0 = end }
      handle.stop()
    }
    let served = listener.serve(threads: 4) { connection in
      while let line = try connection.readLine() { try connection.send("you said \(line)\n") }
    }
    try client()
    #expect(served.endings == [.peerFinished: 1])
    let end = try #require(report.withLock { $0 })
    #expect(end.isDelivered)
    #expect(end.bytesUnacknowledged == 0)
    print(served, end)
  }

  @Test("a half-closed connection still receives")
  func halfClose() throws {
    let pair = try Connection.pair()
    try pair.first.send([1, 2, 3])
    let first = pair.first.finishSending()
    #expect(try pair.second.receive(exactly: 3) == [1, 2, 3])
    #expect(try pair.second.receive(upTo: 10) == nil)
    try pair.second.send("yes")
    #expect(try first.receive(upTo: 10) == Array("yes".utf8))
    print(pair.second.close(), first.close())
  }
}

func onAnotherThread(_ body: @escaping @Sendable () throws -> Void) throws -> () throws -> Void {
  let result = Mutex<Result<Void, any Error>?>(nil)
  let thread = Task.detached { let r = Result { try body() }; result.withLock { $0 = r } }
  _ = thread
  return { while result.withLock({ $0 == nil }) {} ; try result.withLock { $0! }.get() }
}
