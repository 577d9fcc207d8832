import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite("A FIN that another part of the program sent is noticed: a clean end stays clean", .onThreads)
struct FinishedElsewhere {
  /// The TCP state of a connection when it is adopted, and its first phase in Fin.
  enum Standing: String, CaseIterable, CustomTestStringConvertible {
    case established = "ESTABLISHED"
    case finWait1 = "FIN-WAIT-1"
    case finWait2 = "FIN-WAIT-2"
    case closeWait = "CLOSE-WAIT"
    case closing = "CLOSING"
    case lastAck = "LAST-ACK"
    var testDescription: String { rawValue }

    var behaviour: Behaviour {
      switch self {
      case .established, .closeWait, .finWait2: .neverFinishes
      case .finWait1, .lastAck: .neverAcknowledges
      case .closing: .staysClosing
      }
    }
    var peerFinishesFirst: Bool { self == .closeWait || self == .lastAck }
    var weFinish: Bool { self != .established && self != .closeWait }
  }

  @Test("an adopted connection has the phase that matches its TCP state", .needsTUN, arguments: Standing.allCases)
  func adopted(_ standing: Standing) throws {
    try withRawPeer(standing.behaviour) { peer in
      let first = try connection(to: peer)
      if standing.peerFinishesFirst {
        try peer.finish()
        try first.awaitState(.closeWait)
      }
      let number = try first.detach().descriptor
      if standing.weFinish { #expect(shutdown(number.rawValue, CInt(SHUT_WR)) == 0) }
      try eventually("the state", equals: standing.rawValue) { try TCPInfo.read(number.rawValue).state?.description }
      let again = try Connection.adopt(number)
      #expect(again.phase == (standing.weFinish ? .sendFinished : .connected))
      if standing.weFinish {
        let shared = again.share()
        #expect(cause { () throws(SocketError) in try shared.send([1]) } == .finished)
        shared.abort()
      } else {
        try again.send([1])
        again.abort()
      }
    }
  }

  @Test("adopted after its FIN was sent: the answer and EOF are read, and the close reports that the peer finished")
  func adoptedCleanEnd() throws {
    let pair = try Loopback()
    let peer = pair.peer
    let number = try pair.ours.detach().descriptor
    #expect(shutdown(number.rawValue, CInt(SHUT_WR)) == 0)
    let again = try Connection.adopt(number)
    #expect(try peer.receiveAll() == [])
    try peer.send([7, 8])
    peer.close()
    try again.awaitState(.closed)
    #expect(try again.receive(exactly: 2) == [7, 8])
    for _ in 0..<2 { #expect(try again.receive(upTo: 1) == nil) }
    #expect(again.phase == .bothFinished)
    #expect(again.close().ending == .peerFinished)
  }

  @Test("adopted after its FIN was sent, then reset: a reset and no EOF")
  func adoptedReset() throws {
    let pair = try Loopback()
    let peer = pair.peer
    let number = try pair.ours.detach().descriptor
    #expect(shutdown(number.rawValue, CInt(SHUT_WR)) == 0)
    let again = try Connection.adopt(number).share()
    peer.abort()
    #expect(cause { () throws(SocketError) in _ = try again.receive(upTo: 1) } == .reset)
    again.abort()
  }

  @Test("a connection that ended by two FINs, or by a reset, is not adopted: ENOTCONN, and it is untouched")
  func ended() throws {
    for isReset in [false, true] {
      let pair = try Loopback()
      let peer = pair.peer
      let number = try pair.ours.detach().descriptor
      if isReset {
        peer.abort()
      } else {
        #expect(shutdown(number.rawValue, CInt(SHUT_WR)) == 0)
        #expect(try peer.receiveAll() == [])
        peer.close()
      }
      try eventually("the state", equals: .closed) { try TCPInfo.read(number.rawValue).state }
      let error = #expect(throws: SocketError.self) { _ = try Connection.adopt(number) }
      #expect(error?.cause == .system(.socketNotConnected))
      // The caller can still read the reset.
      var byte: UInt8 = 0
      let count = unsafe recv(number.rawValue, &byte, 1, 0)
      #expect(count == (isReset ? -1 : 0))
      try number.close()
    }
  }

  @Test(
    "finished through the lent descriptor: the peer's FIN is an EOF, and sending is over", arguments: [false, true])
  func lent(peerFinishesFirst: Bool) throws {
    let pair = try Loopback()
    let peer = pair.peer
    let ours = pair.ours.share()
    if peerFinishesFirst {
      try peer.send([7])
      try peer.finishSending()
      try ours.awaitState(.closeWait)
    }
    #expect(try ours.withDescriptor { shutdown($0.rawValue, CInt(SHUT_WR)) } == 0)
    #expect(ours.phase == .sendFinished)
    #expect(cause { () throws(SocketError) in try ours.send([1]) } == .finished)
    #expect(try peer.receiveAll() == [])
    if !peerFinishesFirst { try peer.send([7]) }
    peer.close()
    try ours.awaitState(.closed)
    #expect(try ours.receive(exactly: 1) == [7])
    for _ in 0..<2 { #expect(try ours.receive(upTo: 1) == nil) }
    #expect(ours.close().ending == .peerFinished)
  }

  @Test("finished through the lent descriptor in a task: the end of the answer is an EOF")
  func lentInTask() throws {
    let pair = try Loopback()
    let peer = pair.peer
    let ours = pair.ours.share()
    let answering = onThread { [peer = peer.detach()] in
      let peer = PlainSocket(adopting: peer)
      let bytes = try peer.receiveAll()
      try peer.send([7])
      return bytes
    }
    let received = try inTask {
      try await ours.send([1])
      _ = try ours.withDescriptor { shutdown($0.rawValue, CInt(SHUT_WR)) }
      let bytes = try await ours.receive(exactly: 1)
      let end = try await ours.receive(upTo: 1)
      return (bytes, end)
    }
    #expect(received.0 == [7] && received.1 == nil)
    #expect(try answering.join() == [1])
    #expect(try inTask { await ours.close() }.ending == .peerFinished)
  }

  @Test("lent but not finished: the connection goes on, and a reset is a reset")
  func lentOnly() throws {
    let pair = try Loopback()
    let peer = pair.peer
    let ours = pair.ours.share()
    _ = try ours.withDescriptor { fcntl($0.rawValue, F_GETFL) }
    #expect(ours.phase == .connected)
    try ours.send([1])
    #expect(try peer.receive() == [1])
    peer.abort()
    try ours.awaitState(.closed)
    _ = try ours.withDescriptor { fcntl($0.rawValue, F_GETFL) }
    #expect(cause { () throws(SocketError) in _ = try ours.receive(upTo: 1) } == .reset)
    ours.abort()
  }

  @Test("a Unix stream that has finished sending is noticed: when adopted, and through the lent descriptor")
  func unix() throws {
    let lent = try Connection.pair()
    let first = lent.first.share()
    #expect(try first.withDescriptor { shutdown($0.rawValue, CInt(SHUT_WR)) } == 0)
    #expect(first.phase == .sendFinished)
    let given = try Connection.pair()
    let number = try given.first.detach().descriptor
    #expect(shutdown(number.rawValue, CInt(SHUT_WR)) == 0)
    let second = try Connection.adopt(number).share()
    lent.second.close(.background)
    given.second.close(.background)
    for end in [first, second] {
      #expect(cause { () throws(SocketError) in try end.send([1]) } == .finished)
      #expect(try end.receive(upTo: 1) == nil)
      #expect(end.phase == .bothFinished)
      end.close()
    }
    // A peer that has closed does not mean that this side has finished.
    let left = try Connection.pair()
    left.second.close(.background)
    let alone = try Connection.adopt(left.first.detach().descriptor)
    #expect(alone.phase == .connected)
    #expect(try alone.receive(upTo: 1) == nil)
    alone.close()
  }

  @Test("another descriptor of the connection finished sending: the last close reports a clean end")
  func duplicate() throws {
    let pair = try Loopback()
    let peer = pair.peer
    let ours = pair.ours.share()
    let copy = try ours.duplicated()
    try copy.finishSending()
    #expect(copy.close().ending == .shared)
    #expect(try peer.receiveAll() == [])
    peer.close()
    try ours.awaitState(.closed)
    #expect(try ours.receive(upTo: 1) == nil)
    #expect(ours.close().ending == .peerFinished)
  }
}

@Suite("An adopted descriptor has one owner, and shares the state of its connection", .onThreads)
struct Adopting {
  @Test("of two concurrent adoptions of one descriptor, one succeeds, and the other fails because it is taken")
  func atOnce() throws {
    for role in ["connection", "datagrams", "listener"] {
      let number = try descriptor(role)
      let before = try #require(Self.inode(number.rawValue))
      let second = Kept<SocketError.Cause>()
      // The second adoption starts while the first one is querying the descriptor.
      let script = Script(
        .first(
          .getsockname,
          .before {
            Seam.$script.withValue(nil) {
              second.value = cause { () throws(SocketError) in try adoptAndAbort(role, number) }
            }
          }))
      try Seam.$script.withValue(script) { try adoptAndAbort(role, number) }
      #expect(second.value == .invalid("descriptor \(number.rawValue) belongs to Fin already"), "\(role)")
      // The number may be another socket's by now.
      #expect(Self.inode(number.rawValue) != before, "\(role) is open")
    }
  }

  private static func inode(_ number: CInt) -> ino_t? {
    var status = stat()
    return unsafe fstat(number, &status) == 0 ? status.st_ino : nil
  }

  @Test("a descriptor whose adoption failed stays the caller's, and can be adopted later")
  func again() throws {
    let number = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
    let descriptor = FileDescriptor(rawValue: number)
    for _ in 0..<2 {
      let error = #expect(throws: SocketError.self) { _ = try Connection.adopt(descriptor) }
      #expect(error?.cause == .system(.socketNotConnected))
    }
    #expect(throws: SocketError.self) { _ = try Listener.adopt(descriptor) }
    #expect(listen(number, 1) == 0)
    let listener = try Listener.adopt(descriptor)
    listener.close()
    for wrong in [CInt(-1), .max] {
      let error = #expect(throws: SocketError.self) { _ = try Connection.adopt(FileDescriptor(rawValue: wrong)) }
      #expect(error?.cause == .system(.badFileDescriptor))
    }
  }

  @Test("a duplicate that was detached and adopted again is one of several: the last close ends the connection")
  func comesBack() throws {
    let pair = try Loopback()
    let peer = pair.peer
    let copy = try pair.ours.duplicate()
    let again = try Connection.adopt(pair.ours.detach().descriptor)
    #expect(again.close().ending == .shared)
    try copy.send([1])
    #expect(try peer.receive() == [1])
    // The copy is the last descriptor: the peer reads EOF, and the report is that of the connection.
    let report = copy.close()
    #expect(report.ending == .acknowledged, "\(report)")
    #expect(try peer.receiveAll() == [])
  }

  @Test("a duplicate that is adopted again knows the connection's end that another descriptor has read")
  func sharesTheLatch() throws {
    let pair = try Loopback()
    let peer = pair.peer
    let copy = try pair.ours.duplicate().share()
    let again = try Connection.adopt(pair.ours.detach().descriptor).share()
    peer.abort()
    #expect(cause { () throws(SocketError) in _ = try copy.receive(upTo: 1) } == .reset)
    #expect(cause { () throws(SocketError) in _ = try again.receive(upTo: 1) } == .reset)
    #expect(again.close().ending == .shared)
    #expect(copy.close().ending == .reset)
  }

  @Test("a third descriptor adopted for a connection that has two: the first two closes do not end it")
  func third() throws {
    let pair = try Loopback()
    let peer = pair.peer
    let copy = try pair.ours.duplicate()
    let third = try Connection.adopt(FileDescriptor(rawValue: dup(pair.ours.reference.core.number)))
    #expect(third.close().ending == .shared)
    #expect(pair.ours.close().ending == .shared)
    try copy.send([1])
    #expect(try peer.receive() == [1])
    #expect(copy.close().ending == .acknowledged)
  }
}

extension SharedConnection {
  /// A second descriptor for the same connection.
  fileprivate func duplicated() throws(SocketError) -> SharedConnection {
    let core = try reference.core.duplicated(site: .init(file: #fileID, line: #line))
    return Connection(core: core, timeouts: timeouts).share()
  }
}

/// A descriptor that can be adopted as the given kind of socket.
private func descriptor(_ role: String) throws -> FileDescriptor {
  switch role {
  case "connection":
    let pair = try Connection.pair()
    pair.second.close(.background)
    return try pair.first.detach().descriptor
  case "datagrams":
    let socket = try DatagramSocket.bind(.loopback(port: 0))
    return socket.detach()
  default:
    let listener = try Listener.bind(.loopback(port: 0))
    return try listener.detach()
  }
}

private func adoptAndAbort(_ role: String, _ number: FileDescriptor) throws(SocketError) {
  switch role {
  case "connection":
    let connection = try Connection.adopt(number)
    connection.abort()
  case "datagrams":
    let socket = try DatagramSocket.adopt(number)
    socket.close()
  default:
    let listener = try Listener.adopt(number)
    listener.close()
  }
}
