import Glibc
import Peers
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 5: a conversation has one deadline for all its calls")
struct Conversations {
  @Test("calls in the body end at the deadline, whatever their own time; afterwards the connection goes on", .onThreads)
  func threads() throws {
    let pair = try Connection.pair()
    let start = Fin.Instant.now
    let error = try refusal { () throws(SocketError) in
      try pair.first.limited(to: .milliseconds(100)) { connection throws(SocketError) in
        // Each byte alone is in time.
        while true {
          try pair.second.send("x", within: .seconds(20))
          _ = try connection.receive(exactly: 1, within: .seconds(20))
          if start.elapsed > .seconds(20) { return }
          if start.elapsed > .milliseconds(50) { _ = try connection.receive(upTo: 1, within: .never) }
        }
      }
    }
    #expect(error.cause == .timedOut)
    #expect(start.elapsed >= .milliseconds(100) && start.elapsed < .seconds(19))
    try pair.second.send("y")
    #expect(try pair.first.receive(exactly: 1) == [121])
    pair.first.abort()
    pair.second.abort()
  }

  @Test("in tasks, and through halves and references made in the body")
  func tasks() async throws {
    let pair = try Connection.pair()
    let seen = await cause { () async throws(SocketError) in
      try await pair.first.limited(to: .milliseconds(20)) { connection async throws(SocketError) in
        _ = try await connection.receive(upTo: 1, within: .never)
      }
    }
    #expect(seen == .timedOut)
    await #expect(throws: SocketError.self) {
      try await pair.first.limited(to: .milliseconds(20)) { connection in
        _ = try await connection.duplex { half in
          _ = try await half.receive(upTo: 1, within: .never)
        } send: { half in
          half.finishSending()
        }
      }
    }
    let shared = pair.second.share()
    let limited = shared.limited(to: .milliseconds(20))
    _ = try await limited.receive(upTo: 1)
    _ = try await shared.send("z")
    #expect(
      await cause { () async throws(SocketError) in
        let full = [UInt8](repeating: 0, count: 8 << 20)
        try await limited.send(full, within: .never)
      } == .timedOut)
    pair.first.abort()
    await shared.abort()
  }

  @Test("of two deadlines the earlier holds; a call's own shorter time ends it first", .onThreads)
  func nested() throws {
    let pair = try Connection.pair()
    let start = Fin.Instant.now
    let inner = try refusal { () throws(SocketError) in
      try pair.first.limited(to: .milliseconds(20)) { outer throws(SocketError) in
        try outer.limited(to: .seconds(60)) { inner throws(SocketError) in
          _ = try inner.receive(upTo: 1, within: .seconds(60))
        }
      }
    }
    let own = try refusal { () throws(SocketError) in
      try pair.first.limited(to: .seconds(60)) { connection throws(SocketError) in
        _ = try connection.receive(upTo: 1, within: .milliseconds(20))
      }
    }
    #expect(inner.cause == .timedOut && own.cause == .timedOut && start.elapsed < .seconds(20))
    pair.first.abort()
    pair.second.abort()
  }

  @Test("a call that needs no wait succeeds after the deadline, as with a time of zero", .onThreads)
  func afterwards() throws {
    let pair = try Connection.pair()
    try pair.second.send("x")
    let late = try pair.first.limited(to: .zero) { connection in try connection.receive(upTo: 1) }
    #expect(late == [120])
    pair.first.abort()
    pair.second.abort()
  }
}

@Suite("Promise 9: all that a peer sends is received up to a limit")
struct ReceivingAll {
  @Test(
    "everything until the end, also of exactly the limit, and nothing at once", .onThreads, arguments: StreamKind.all)
  func all(_ kind: StreamKind) throws {
    for size in [0, 1, 70_000, 1 << 20] {
      let pair = try kind.connected()
      let sender = onThread(taking: pair.second) { peer in
        try peer.send([UInt8](repeating: 7, count: size))
        return peer.finishSending()
      }
      let bytes = try pair.first.receiveAll(limit: size)
      #expect(bytes.count == size && bytes.allSatisfy { $0 == 7 })
      try sender.join().abort()
      pair.first.abort()
    }
  }

  @Test("a byte more than the limit is an error, and all bytes stay readable", .onThreads)
  func limit() throws {
    let pair = try Connection.pair()
    let ours = pair.first
    let theirs = pair.second
    try theirs.send("line\nfour!")
    #expect(try ours.receiveLine() == "line")
    let peer = theirs.finishSending()
    #expect(try refusal { () throws(SocketError) in try ours.receiveAll(limit: 4) }.cause == .limit("limit", 4))
    #expect(try ours.receiveAll(limit: 5) == Array("four!".utf8))
    #expect(try ours.receiveAll(limit: 0) == [])
    #expect(try refusal { () throws(SocketError) in try ours.receiveAll(limit: -1) }.cause != .limit("limit", -1))
    peer.abort()
    ours.abort()
  }

  @Test("after a time-out, a cancellation or a reset the bytes that came stay readable", .onThreads)
  func interrupted() throws {
    let pair = try Strangers.connected()
    try pair.plain.send(Array("abc".utf8))
    let late = try refusal { () throws(SocketError) in
      try pair.ours.receiveAll(limit: .max, within: .milliseconds(30))
    }
    #expect(late.cause == .timedOut)
    let (ours, plain) = (pair.ours.share(), Plain(pair.plain))
    let task = errand { try await ours.receiveAll(limit: .max, within: .seconds(20)) }
    try ours.awaitParked()
    task.cancel()
    #expect(try task.refusal().cause == .cancelled)
    plain.abort()
    let reset = try refusal { () throws(SocketError) in try ours.receiveAll(limit: .max) }
    #expect(reset.cause == .reset)
    #expect(try ours.receive(upTo: 9) == Array("abc".utf8))
    ours.abort()
  }
}
