import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

/// The call that reports the reset first.
enum FirstToHear: String, CaseIterable, Sendable {
  case send, receive, finishSending, failure, waitingReceive, duplicateSend, duplicateFailure, duplicateReceive, close
}

/// One way in which a reset reaches us: on which address, with or without data before it, and which call reports it.
struct ResetCase: Sendable, CustomTestStringConvertible {
  let host: String
  let hasData: Bool
  let first: FirstToHear

  var testDescription: String { "\(host), \(hasData ? "data before it" : "no data"), heard by \(first)" }

  static let all = ["127.0.0.1", "::1"].flatMap { host in
    [false, true].flatMap { hasData in
      FirstToHear.allCases.map { ResetCase(host: host, hasData: hasData, first: $0) }
    }
  }
}

@Suite("Promise 3: a reset is never an end of file", .onThreads)
struct ResetTests {
  @Test("queued data is delivered, then every later call reports the reset", arguments: ResetCase.all)
  func latched(_ fault: ResetCase) throws {
    let pair = try Loopback(fault.host)
    let stream = pair.ours
    let peer = pair.peer
    let other = try stream.duplicate().share()
    let ours = stream.share()
    let queued: [UInt8] = fault.hasData ? [1, 2, 3] : []
    if fault.hasData {
      try peer.send(queued)
      try ours.awaitReceived(3)
    }
    if fault.first == .waitingReceive {
      // The receive waits for more bytes than there are; those that arrived stay readable.
      let waiting = try waitingReceiver(ours, 10)
      peer.abort()
      #expect(try waiting.join() == .reset)
    } else {
      peer.abort()
      try ours.awaitState(.closed)
    }
    var rest = queued
    switch fault.first {
    case .send: #expect(cause { () throws(SocketError) in try ours.send([9]) } == .reset)
    case .receive:
      if fault.hasData {
        #expect(try ours.receive(upTo: 2) == [1, 2])
        rest = [3]
      } else {
        #expect(cause { () throws(SocketError) in _ = try ours.receive(upTo: 2) } == .reset)
      }
    case .finishSending: try ours.finishSending()
    case .failure: #expect(try ours.failure() == .reset)
    case .waitingReceive: break
    case .duplicateSend: #expect(cause { () throws(SocketError) in try other.send([9]) } == .reset)
    case .duplicateFailure: #expect(try other.failure() == .reset)
    case .duplicateReceive:
      if fault.hasData { #expect(try other.receive(upTo: 10) == rest) }
      rest = []
      #expect(cause { () throws(SocketError) in _ = try other.receive(upTo: 1) } == .reset)
    case .close:
      // Closing the duplicate does not end the connection: the last close reports its ending.
      #expect(other.close().ending == .shared)
    }
    if !rest.isEmpty { #expect(try ours.receive(exactly: rest.count) == rest) }
    for connection in fault.first == .close ? [ours] : [ours, other, ours] {
      #expect(cause { () throws(SocketError) in _ = try connection.receive(upTo: 1) } == .reset)
      #expect(cause { () throws(SocketError) in _ = try connection.receive(exactly: 1) } == .reset)
      #expect(cause { () throws(SocketError) in _ = try connection.receiveLine() } == .reset)
      #expect(cause { () throws(SocketError) in try connection.send([1]) } == .reset)
      #expect(cause { () throws(SocketError) in try connection.send(gathering: [[1], [2]]) } == .reset)
      #expect(try connection.failure() == .reset)
      try connection.finishSending()
    }
    other.close()
    let report = ours.close()
    // We had sent nothing that the peer could have discarded.
    #expect(report.ending == .reset && report.bytesUnacknowledged == 0, "\(report)")
  }

  @Test(
    "an end of file is no reset although another thread finishes sending, and both FINs are acknowledged, meanwhile")
  func finishedMeanwhile() throws {
    let pair = try Loopback()
    let stream = pair.ours
    let peer = pair.peer
    let ours = stream.share()
    try ours.send([1, 2, 3])
    try peer.finishSending()
    try ours.awaitState(.closeWait)
    // The kernel has returned the end of file, and the receiver is about to ask for the state of the connection.
    let meanwhile = Script(
      .first(
        .getsockopt,
        .before {
          do {
            try onThread { try ours.finishSending() }.join(within: .seconds(60))
            try ours.awaitState(.closed)
          } catch { Issue.record(error) }
        }))
    #expect(try scripted(meanwhile) { () throws in try ours.receive(upTo: 10) } == nil)
    #expect(meanwhile.count(.getsockopt) > 0)
    #expect(try peer.receiveAll() == [1, 2, 3])
    let report = ours.close()
    #expect(report.ending == .peerFinished && report.isDelivered, "\(report)")
  }

  @Test("receive reports a reset to an owner that finished sending")
  func afterFinishing() throws {
    let pair = try Loopback()
    let stream = pair.ours
    let peer = pair.peer
    let ours = stream.finishSending()
    try peer.send([1, 2])
    try ours.awaitReceived(2)
    peer.abort()
    try ours.awaitState(.closed)
    #expect(try ours.receive(upTo: 10) == [1, 2])
    for _ in 0..<2 { #expect(cause { () throws(SocketError) in _ = try ours.receive(upTo: 10) } == .reset) }
    #expect(ours.close().ending == .reset)
  }

  @Test("a line that is cut off by a reset is no line, and its bytes stay readable")
  func cutLine() throws {
    let pair = try Loopback()
    let stream = pair.ours
    let peer = pair.peer
    try peer.send(Array("DELETE /tmp".utf8))
    try stream.awaitReceived(11)
    peer.abort()
    try stream.awaitState(.closed)
    for _ in 0..<2 { #expect(cause { () throws(SocketError) in _ = try stream.receiveLine() } == .reset) }
    #expect(try stream.receive(upTo: 100) == Array("DELETE /tmp".utf8))
    #expect(cause { () throws(SocketError) in _ = try stream.receive(upTo: 100) } == .reset)
    stream.close()
  }

  @Test(
    "a FIN, then a reset: the data and a true EOF, and sends report that the peer reads no more",
    arguments: [
      FirstToHear.send, .receive, .finishSending, .failure, .duplicateSend, .duplicateFailure, .duplicateReceive,
      .close,
    ])
  func finThenReset(first: FirstToHear) throws {
    let pair = try Loopback()
    let stream = pair.ours
    let peer = pair.peer
    let other = try stream.duplicate().share()
    let ours = stream.share()
    try peer.send([1, 2, 3])
    try peer.finishSending()
    try ours.awaitState(.closeWait)
    peer.abort()
    try ours.awaitState(.closed)
    var rest: [UInt8] = [1, 2, 3]
    switch first {
    case .send: #expect(cause { () throws(SocketError) in try ours.send([9]) } == .peerClosed)
    case .duplicateSend: #expect(cause { () throws(SocketError) in try other.send([9]) } == .peerClosed)
    case .failure: #expect(try ours.failure() == .peerClosed)
    case .duplicateFailure: #expect(try other.failure() == .peerClosed)
    case .finishSending: try ours.finishSending()
    case .close: other.close()
    case .receive, .waitingReceive, .duplicateReceive:
      #expect(try (first == .receive ? ours : other).receive(exactly: 3) == rest)
      rest = []
    }
    if !rest.isEmpty { #expect(try ours.receive(exactly: 3) == rest) }
    for _ in 0..<2 {
      #expect(try ours.receive(upTo: 10) == nil)
      #expect(try ours.receiveLine() == nil)
      #expect(cause { () throws(SocketError) in try ours.send([9]) } == .peerClosed)
    }
    other.close()
    #expect(!ours.close().isDelivered)
  }

  @Test("the peer's FIN, our FIN, then a reset: the data and a true EOF", .needsTUN)
  func bothFINsThenReset() throws {
    try withRawPeer(.acknowledgesDataNeverFIN) { peer in
      let connection = try connection(to: peer).share()
      try peer.send([1, 2, 3])
      try peer.finish()
      try connection.awaitState(.closeWait)
      try connection.finishSending()
      try connection.awaitState(.lastAck)
      try peer.reset()
      try connection.awaitState(.closed)
      #expect(try connection.receive(exactly: 3) == [1, 2, 3])
      for _ in 0..<2 { #expect(try connection.receive(upTo: 1) == nil) }
      #expect(cause { () throws(SocketError) in try connection.send([1]) } == .finished)
      let report = connection.close()
      #expect(report.ending == .reset && !report.isDelivered, "\(report)")
    }
  }

  @Test("data after a FIN is ignored: EOF stays EOF", .faults(33), .needsTUN)
  func dataAfterFIN() throws {
    try withRawPeer(.neverFinishes) { peer in
      let connection = try connection(to: peer)
      try peer.converse { conversation in
        conversation.send([1, 2])
        conversation.finish()
        conversation.send([3, 4])
      }
      #expect(try connection.receive(exactly: 2) == [1, 2])
      #expect(try connection.receive(upTo: 10) == nil)
      try peer.send([5])
      #expect(try connection.receive(upTo: 10) == nil)
      let report = connection.close()
      #expect(report.ending == .peerFinished && report.bytesDiscarded == 0)
    }
  }

  @Test("a blind reset outside the window, and one that misses the exact sequence number, change nothing", .needsTUN)
  func blindResets() throws {
    try withRawPeer(.good) { peer in
      let connection = try connection(to: peer)
      try peer.converse { $0.send(.rst, sequence: $0.nextSequence &+ 200_000) }
      try peer.converse { $0.send(.rst, sequence: $0.nextSequence &+ 100) }
      try peer.awaitLog("a challenge") { log in
        guard let reset = log.entries.lastIndex(where: { $0.flags.contains(.rst) }) else { return false }
        return log.entries[reset...].contains { $0.side == .kernel && $0.flags == .ack }
      }
      #expect(try connection.failure() == nil)
      #expect(try connection.tcpState() == .established)
      #expect(connection.phase == .connected)
      try peer.send([7])
      #expect(try connection.receive(upTo: 10) == [7])
      #expect(connection.close(.lingering).ending == .peerFinished)
    }
  }

  @Test("an urgent byte between data is removed from the stream, unless SO_OOBINLINE keeps it", .faults(65), .needsTUN)
  func urgentByte() throws {
    for isInline in [false, true] {
      try withRawPeer(.neverFinishes) { peer in
        let connection = try connection(to: peer)
        if isInline { try connection.set(.urgentInline, to: true) }
        try peer.converse { conversation in
          conversation.send([.psh, .ack, .urg], Array("ab!cd".utf8), urgentPointer: 3)
          conversation.finish()
        }
        let expected = isInline ? "ab!cd" : "abcd"
        #expect(try connection.receive(exactly: expected.utf8.count) == Array(expected.utf8))
        #expect(try connection.receive(upTo: 1) == nil)
        #expect(connection.close().ending == .peerFinished)
      }
    }
  }
}

@Suite("Promise 3: a reset is never an end of file: Unix streams", .onThreads)
struct UnixResetTests {
  @Test(
    "the peer closes with our bytes unread: its data is delivered, then every call reports the reset",
    arguments: [false, true], [FirstToHear.send, .receive, .finishSending, .failure, .waitingReceive])
  func closesUnread(hasData: Bool, first: FirstToHear) throws {
    let pair = try Connection.pair()
    let ours = pair.first.share()
    try ours.send([9, 9, 9])
    if hasData { try pair.second.send([1, 2, 3]) }
    let waiting = first == .waitingReceive ? try waitingReceiver(ours, 10) : nil
    // Data is unread, and the other side calls plain close(2), as any other program would.
    PlainSocket(adopting: try pair.second.detach().descriptor.rawValue).close()
    switch first {
    case .send: #expect(cause { () throws(SocketError) in try ours.send([9]) } == .reset)
    case .failure: #expect(try ours.failure() == .reset)
    case .finishSending: try ours.finishSending()
    case .waitingReceive: #expect(try waiting?.join() == .reset)
    default: break
    }
    if hasData { #expect(try ours.receive(exactly: 3) == [1, 2, 3]) }
    for _ in 0..<2 {
      #expect(cause { () throws(SocketError) in _ = try ours.receive(upTo: 10) } == .reset)
      #expect(cause { () throws(SocketError) in try ours.send([9]) } == .reset)
      #expect(try ours.failure() == .reset)
    }
    #expect(!ours.close().isDelivered)
  }

  @Test("the peer closes after reading everything: its data, then a true EOF; sends report that it reads no more")
  func closesHavingRead() throws {
    let pair = try Connection.pair()
    let ours = pair.first
    try ours.send([9, 9, 9])
    #expect(try pair.second.receive(exactly: 3) == [9, 9, 9])
    try pair.second.send([1, 2, 3])
    pair.second.close(.background)
    #expect(cause { () throws(SocketError) in try ours.send([9]) } == .peerClosed)
    #expect(try ours.receive(exactly: 3) == [1, 2, 3])
    for _ in 0..<2 { #expect(try ours.receive(upTo: 10) == nil) }
    ours.close()
  }

  @Test("a confirmed close of a Unix stream waits until the peer's program has read everything, or says it has not")
  func confirmed() throws {
    for reads in [true, false] {
      let pair = try Connection.pair()
      try pair.first.send([1, 2, 3])
      let ours = pair.first.share()
      let closing = onThread { ours.close(.confirmed(within: reads ? .seconds(10) : .milliseconds(100))) }
      try eventually("the phase has moved on") { ours.phase != .connected }
      if reads { #expect(try pair.second.receive(exactly: 3) == [1, 2, 3]) }
      let report = try closing.join()
      #expect(report.ending == (reads ? .acknowledged : .timedOut(.confirming)), "\(report)")
      #expect((report.bytesUnacknowledged == 0) == reads)
      pair.second.close()
    }
  }

  @Test("many confirmed closes of Unix streams, each read by another thread: no acknowledgement is missed")
  func manyReaders() throws {
    for _ in 0..<2000 {
      let pair = try Connection.pair()
      try pair.first.send([1, 2, 3])
      let ours = pair.first
      let second = pair.second.share()
      let reader = onThread { try second.receive(exactly: 3) }
      let report = ours.close(.confirmed(within: .seconds(5)))
      #expect(report.isDelivered, "\(report)")
      #expect(try reader.join() == [1, 2, 3])
      second.close()
    }
  }
}
