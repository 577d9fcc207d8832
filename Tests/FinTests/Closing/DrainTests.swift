import Glibc
import Peers
import Testing

@testable import Fin

@Suite("Promise 2: close always answers: waiting without asking, reading what still comes")
struct DrainTests {
  @Test("a confirmed close sleeps until the acknowledgement's edge: it asks the kernel a handful of times", .needsTUN)
  func edge() throws {
    try withLossyLink(Weather(delay: .milliseconds(150))) { link in
      let listener = try link.right.run { try PlainSocket.listening(on: LossyLink.rightAddress) }
      let address = try SocketAddress(parsing: "\(LossyLink.rightAddress):\(listener.port)")
      let connection = try link.left.run { () throws -> Connection in try Connection.connect(to: address) }
        .share()
      let accepted = try listener.accept()
      try connection.send([1, 2, 3])
      let script = Script()
      let report = Seam.$script.withValue(script) { connection.close() }
      #expect(report.ending == .acknowledged)
      #expect(report.duration >= .milliseconds(295), "\(report)")
      // One edge for what the socket is when the watch begins, one for the data's acknowledgement, one for the FIN's.
      #expect(script.count(.poll) <= 4, "\(script.count(.poll)) polls")
      // SIOCOUTQ after each edge; and what is unread, queued and never sent for the report.
      #expect(script.count(.ioctl) <= 9, "\(script.count(.ioctl)) ioctls")
      #expect(script.count(.recv) <= 8, "\(script.count(.recv)) receives")
      #expect(try accepted.receiveAll() == [1, 2, 3])
    }
  }

  @Test("a peer that acknowledges nothing is waited for in one sleep", .needsTUN)
  func oneSleep() throws {
    try withRawPeer(.neverAcknowledges) { peer in
      let connection = try connection(to: peer).share()
      try connection.send([1, 2, 3])
      let script = Script()
      let report = Seam.$script.withValue(script) { connection.close(.confirmed(within: .milliseconds(500))) }
      #expect(report.ending == .timedOut(.confirming))
      #expect(script.count(.poll) <= 3, "\(script.count(.poll)) polls")
    }
  }

  @Test(
    "what we have not read does not become a reset: it is read, counted, and the peer gets a FIN", .faults(26),
    .needsTUN, arguments: [ClosePolicy.confirmed, .lingering, .background])
  func unread(_ policy: ClosePolicy) throws {
    try withRawPeer(.good) { peer in
      let connection = try connection(to: peer)
      try peer.send([UInt8](repeating: 1, count: 5000))
      try connection.awaitReceived(5000)
      let report = connection.close(policy)
      #expect(report.bytesDiscarded == 5000)
      try peer.awaitLog("the FIN") { $0.count(.fin) > 0 }
      #expect(peer.log.count(.rst) == 0, "\(peer.log)")
      if policy != .background { #expect(report.isDelivered) }
    }
  }

  @Test("what was buffered and not taken counts as discarded", .faults(26))
  func bufferedUnread() throws {
    let pair = try Loopback()
    let stream = pair.ours
    let peer = pair.peer
    try peer.send(Array("one\ntwo\nthree".utf8))
    #expect(try stream.readLine() == "one")
    try stream.awaitReceived(13)
    try peer.finishSending()
    #expect(stream.close(.lingering).bytesDiscarded == 9)
  }

  @Test("an abort, and a close after a reset, count what they throw away unread")
  func thrownAway() throws {
    for isReset in [false, true] {
      let pair = try Loopback()
      let stream = pair.ours
      let peer = pair.peer
      try peer.send([1, 2, 3, 4, 5])
      try stream.awaitReceived(5)
      if isReset {
        peer.abort()
        try stream.awaitState(.closed)
      }
      let report = isReset ? stream.close() : stream.abort()
      #expect(report.bytesDiscarded == 5, "\(report)")
    }
    let unix = try Connection.pair()
    try unix.second.send([1, 2, 3])
    #expect(unix.first.abort().bytesDiscarded == 3)
    unix.second.close(.background)
  }

  @Test("what still comes after our FIN is read and counted until the peer finishes", .needsTUN)
  func lateInput() throws {
    let talks = Behaviour("answers the FIN with 3,000 bytes and its own") { conversation, segment in
      let hadTaken = conversation.hasTakenFIN
      Behaviour.neverFinishes.answer(&conversation, segment)
      if conversation.hasTakenFIN, !hadTaken {
        conversation.send([UInt8](repeating: 1, count: 3000))
        conversation.finish()
      }
    }
    try withRawPeer(talks) { peer in
      let connection = try connection(to: peer)
      try connection.send([1])
      let report = connection.close(.lingering)
      #expect(report.ending == .peerFinished && report.bytesDiscarded == 3000, "\(report)")
      #expect(peer.log.count(.rst) == 0, "\(peer.log)")
    }
  }

  @Test("more than may be discarded: what is over the budget is not read, and all ours was acknowledged")
  func discardBudget() throws {
    let pair = try Loopback()
    let stream = pair.ours
    let peer = pair.peer
    let ours = stream.finishSending()
    try ours.awaitState(.finWait2)
    try peer.send([UInt8](repeating: 1, count: 10_000))
    try ours.awaitReceived(10_000)
    let report = ours.close(.lingering(within: .seconds(10), idle: .seconds(10), discarding: 1000))
    #expect(report.ending == .acknowledged, "\(report)")
    #expect(report.duration < .seconds(5))
  }

  @Test("silence ends a lingering close: everything ours is acknowledged by then", .needsTUN)
  func idle() throws {
    try withRawPeer(.neverFinishes) { peer in
      let connection = try connection(to: peer)
      try connection.send([1])
      let report = connection.close(
        .lingering(within: .seconds(60), idle: .milliseconds(200), discarding: 1000))
      #expect(report.ending == .acknowledged)
      #expect(report.duration >= .milliseconds(200) && report.duration < .milliseconds(200) + slack)
    }
  }

  @Test(
    "a peer that sends without end is not listened to beyond the policy's time",
    arguments: [
      ClosePolicy.confirmed(within: .milliseconds(300)),
      .lingering(within: .milliseconds(300), idle: .seconds(10), discarding: .max),
      .lingering(within: .seconds(60), idle: .seconds(60), discarding: 50 << 20),
      .background(orphanTimeout: .seconds(1)), .abort,
    ])
  func endless(_ policy: ClosePolicy) throws {
    let pair = try Loopback()
    let stream = pair.ours
    let peer = pair.peer
    let talker = onThread(taking: peer) { peer in
      let chunk = [UInt8](repeating: 1, count: 1 << 16)
      // Until the reset.
      while (try? peer.send(chunk)) != nil {}
      return true
    }
    try stream.awaitUnacknowledged(0)
    #expect(try stream.receive(upTo: 1) == [1])
    let report = stream.close(policy)
    #expect(report.duration < .milliseconds(300) + slack, "\(report)")
    #expect(try talker.join())
  }

  @Test(
    "where there is always more to read, the policy's time ends it all the same", .timeLimit(.minutes(30)),
    arguments: [
      ClosePolicy.confirmed(within: .milliseconds(300)),
      .lingering(within: .milliseconds(300), idle: .seconds(10), discarding: .max),
    ])
  func alwaysMore(_ policy: ClosePolicy) throws {
    let pair = try Loopback()
    let ours = pair.ours.share()
    // The kernel says that another megabyte was there, whenever it is asked.
    let report = Seam.$script.withValue(Script(.every(.recv, .value(1 << 20)))) { ours.close(policy) }
    #expect(report.duration < .milliseconds(300) + slack, "\(report)")
    #expect(report.bytesDiscarded >= 16 << 20)
  }

  @Test("a peer that trickles for ever is not listened to beyond the policy's time", .needsTUN)
  func trickle() throws {
    try withRawPeer(.neverFinishes) { peer in
      let connection = try connection(to: peer)
      let isOver = Flag()
      let talker = onThread {
        // Its own pace: a byte every few milliseconds.
        while !isOver.isSet {
          try peer.send([1])
          usleep(5000)
        }
        return true
      }
      let report = connection.close(
        .lingering(within: .milliseconds(500), idle: .milliseconds(400), discarding: 1 << 20))
      isOver.set()
      #expect(try talker.join())
      #expect(report.ending == .acknowledged)
      #expect(report.bytesDiscarded > 0)
      #expect(report.duration >= .milliseconds(500) && report.duration < .milliseconds(500) + slack, "\(report)")
    }
  }

  @Test("a reply of 4,000,045 bytes to a client that is still uploading arrives whole, 20 times of 20")
  func flush() throws {
    let reply = [UInt8](repeating: 42, count: 4_000_045)
    for _ in 0..<20 {
      let listener = try Listener.bind(.loopback(port: 0))
      let port = listener.address.port ?? 0
      let client = onThread { () throws -> Int in
        let socket = try PlainSocket.connected(to: "127.0.0.1", port: port)
        let writing = PlainSocket(adopting: dup(socket.descriptor))
        let upload = onThread(taking: writing) { writing in
          let chunk = [UInt8](repeating: 1, count: 1 << 16)
          for _ in 0..<128 { try writing.send(chunk) }
          try writing.finishSending()
          return true
        }
        let received = try socket.receiveAll().count
        // That the server took all of the upload is not promised.
        _ = try? upload.join()
        return received
      }
      let connection = try listener.accept(within: .seconds(10))
      #expect(try connection.receive(upTo: 1000) != nil)
      try connection.send(reply)
      let report = connection.close(.lingering)
      #expect(report.ending == .peerFinished, "\(report)")
      #expect(try client.join(within: .seconds(30)) == reply.count)
      listener.close()
    }
  }

  @Test("an abort cuts a close short, and both get the same report", .needsTUN)
  func cutShort() throws {
    for policy in [
      ClosePolicy.confirmed(within: .seconds(60)), .lingering(within: .seconds(60), idle: .seconds(60), discarding: 1),
    ] {
      try withRawPeer(.neverAcknowledges) { peer in
        let connection = try connection(to: peer).share()
        try connection.send([1, 2, 3])
        let closing = onThread { connection.close(policy) }
        try eventually("a close has begun") { connection.phase.isClosing }
        let cut = connection.abort()
        #expect(cut.ending == .aborted && cut.bytesUnacknowledged == 3)
        #expect(try closing.join() == cut)
        #expect(connection.close() == cut)
        try peer.awaitLog("the reset") { $0.count(.rst) > 0 }
        #expect(peer.log.count(.rst) == 1, "\(peer.log)")
      }
    }
  }
}
