import Glibc
import Peers
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 2: close always answers: waiting without polling, reading what still arrives", .onThreads)
struct DrainTests {
  @Test("a confirmed close sleeps until the acknowledgement arrives: a handful of system calls", .needsTUN)
  func edge() throws {
    try withLossyLink(LinkFaults(delay: .milliseconds(150))) { link in
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
      // At most three edges: the socket's state when the watch begins, the acknowledgement of the data, the
      // acknowledgement of the FIN.
      #expect(script.count(.poll) <= 4, "\(script.count(.poll)) polls")
      // SIOCOUTQ after each edge; and the unread, queued and never-sent counts for the report.
      #expect(script.count(.ioctl) <= 9, "\(script.count(.ioctl)) ioctls")
      #expect(script.count(.recv) <= 8, "\(script.count(.recv)) receives")
      #expect(try accepted.receiveAll() == [1, 2, 3])
    }
  }

  @Test("a close waits for a peer that acknowledges nothing in one sleep", .needsTUN)
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
    "unread input does not turn a close into a reset: it is read and counted, and the peer gets a FIN", .faults(26),
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

  @Test("bytes that were read ahead and not taken count as discarded", .faults(26))
  func bufferedUnread() throws {
    let pair = try Loopback()
    let stream = pair.ours
    let peer = pair.peer
    try peer.send(Array("one\ntwo\nthree".utf8))
    #expect(try stream.receiveLine() == "one")
    try stream.awaitReceived(13)
    try peer.finishSending()
    #expect(stream.close(.lingering).bytesDiscarded == 9)
  }

  @Test("an abort, and a close after a reset, count the unread bytes that they discard")
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

  @Test("bytes that arrive after our FIN are read and counted until the peer finishes", .needsTUN)
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

  @Test("input beyond the discard budget is not read, and the ending is acknowledged")
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

  @Test("a silent peer ends a lingering close, with all our bytes acknowledged", .needsTUN)
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
    "a peer that sends without end does not extend a close beyond its timeout",
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
      // Sends until the reset arrives.
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
    "a lingering close that always finds more to read ends at its timeout all the same", .timeLimit(.minutes(30)),
    arguments: [
      ClosePolicy.confirmed(within: .milliseconds(300)),
      .lingering(within: .milliseconds(300), idle: .seconds(10), discarding: .max),
    ])
  func alwaysMore(_ policy: ClosePolicy) throws {
    let pair = try Loopback()
    let ours = pair.ours.share()
    // Every `recv` reports another megabyte.
    let report = Seam.$script.withValue(Script(.every(.recv, .value(1 << 20)))) { ours.close(policy) }
    #expect(report.duration < .milliseconds(300) + slack, "\(report)")
    #expect(report.bytesDiscarded >= 16 << 20)
  }

  @Test("a peer that sends a byte now and then does not extend a close beyond its timeout", .needsTUN)
  func trickle() throws {
    try withRawPeer(.neverFinishes) { peer in
      let connection = try connection(to: peer)
      let isOver = Flag()
      let talker = onThread {
        // Independent of the reader: one byte every few milliseconds.
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

  @Test("a reply of 4,000,045 bytes to a client that is still uploading arrives whole, 20 times out of 20")
  func flush() throws {
    let reply = [UInt8](repeating: 42, count: 4_000_045)
    for _ in 0..<20 {
      let listener = try Listener.bind(.loopback(port: 0))
      let port = listener.localAddress.port ?? 0
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
        // The server does not promise to read the whole upload, so this may fail.
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
