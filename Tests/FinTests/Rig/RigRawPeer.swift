import Glibc
import Peers
import TestTraits
import Testing

@Suite("Rig: a hand-made peer and the kernel's answer to it", .needsTUN, .onThreads)
struct RigRawPeer {
  @Test("a good peer: the stream arrives whole and both sides finish")
  func good() throws {
    try withRawPeer { peer in
      let socket = try peer.connectedSocket()
      let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0) }
      try socket.send(bytes)
      try socket.finishSending()
      #expect(try socket.receive().isEmpty)
      #expect(peer.received == bytes)
      #expect(peer.log.count(.fin) == 1 && peer.log.count(.rst) == 0, "\(peer.log)")
      #expect(peer.log.distinctBytes() == bytes.count)
      try eventually("the closed connection's state", equals: [.timeWait]) {
        try peer.namespace.run { try KernelView.tcp(localPort: nil, remotePort: 7).map(\.state) }
      }
      #expect(socket.state == .closed)
    }
  }

  @Test("a peer that acknowledges data and FIN, and sends no FIN: outq 0, FIN-WAIT-2")
  func neverFinishes() throws {
    try withRawPeer(.neverFinishes) { peer in
      let socket = try peer.connectedSocket()
      try sendAndFinish(socket, 5)
      try eventually("outq", equals: 0) { socket.outgoingQueue }
      #expect(socket.state == .finWait2)
      #expect(socket.pendingError == 0)
    }
  }

  @Test("a peer that acknowledges data, never the FIN: outq 1, FIN-WAIT-1, the FIN is repeated")
  func neverAcknowledgesFIN() throws {
    try withRawPeer(.acknowledgesDataNeverFIN) { peer in
      let socket = try peer.connectedSocket()
      try sendAndFinish(socket, 5)
      try eventually("outq", equals: 1) { socket.outgoingQueue }
      try peer.awaitLog("three FINs") { $0.count(.fin) >= 3 }
      #expect(socket.state == .finWait1)
      #expect(socket.outgoingQueue == 1)
    }
  }

  @Test("a peer that acknowledges all but the last byte: outq 2, FIN-WAIT-1")
  func allButLastByte() throws {
    try withRawPeer(.acknowledgesAllButLastByte) { peer in
      let socket = try peer.connectedSocket()
      try sendAndFinish(socket, 100)
      try eventually("outq", equals: 2) { socket.outgoingQueue }
      #expect(socket.state == .finWait1)
      try peer.awaitLog("the last byte again") { $0.count(.fin) >= 2 }
      #expect(socket.outgoingQueue == 2)
    }
  }

  @Test("a peer that acknowledges only the first bytes: outq counts the rest")
  func firstBytes() throws {
    try withRawPeer(.acknowledges(first: 2000)) { peer in
      let socket = try peer.connectedSocket()
      try sendAndFinish(socket, 5000)
      try eventually("outq", equals: 3001) { socket.outgoingQueue }
    }
  }

  @Test("a peer whose window stays zero: outq 1001, FIN-WAIT-1, probes; a user timeout ends it with ETIMEDOUT")
  func zeroWindow() throws {
    try withRawPeer(.zeroWindowForEver) { peer in
      let socket = try peer.connectedSocket()
      socket.setOption(CInt(IPPROTO_TCP), TCP_USER_TIMEOUT, 1000)
      try sendAndFinish(socket, 1000)
      try peer.awaitLog("a window probe") { $0.entries.count { $0.side == .kernel } >= 3 }
      #expect(socket.outgoingQueue == 1001)
      #expect(socket.state == .finWait1)
      #expect(peer.log.distinctBytes() == 0)
      #expect(throws: RigError("recv", code: ETIMEDOUT)) { try socket.receive() }
      #expect(socket.state == .closed)
    }
  }

  @Test("a peer whose window stays zero, our program gone: an orphan that keeps its bytes")
  func orphan() throws {
    try withRawPeer(.zeroWindowForEver) { peer in
      let socket = try peer.connectedSocket()
      try socket.send([UInt8](repeating: 1, count: 500))
      socket.close()
      try eventually("orphans", equals: 1) { try peer.namespace.run { try KernelView.orphanCount() } }
      let row = try peer.namespace.run { try KernelView.tcp(localPort: nil, remotePort: 7).first }
      #expect(row?.transmitQueue == 501 && row?.inode == 0, "\(String(describing: row))")
      // Ends the connection, so that the namespace can be destroyed.
      try peer.reset()
      try eventually("orphans", equals: 0) { try peer.namespace.run { try KernelView.orphanCount() } }
    }
  }

  @Test("a peer that never acknowledges: the data is repeated, outq stays")
  func neverAcknowledges() throws {
    try withRawPeer(.neverAcknowledges) { peer in
      let socket = try peer.connectedSocket()
      try sendAndFinish(socket, 500)
      try peer.awaitLog("the data again") { $0.entries.count { $0.length > 0 } >= 3 }
      #expect(socket.outgoingQueue == 501)
      #expect(peer.log.distinctBytes() == 500)
    }
  }

  @Test("a reset in the middle of the drain: outq stays, ECONNRESET once, CLOSED")
  func resetMidDrain() throws {
    try withRawPeer(.resetsMidDrain) { peer in
      let socket = try peer.connectedSocket()
      try sendAndFinish(socket, 1000)
      try eventually("the state", equals: .closed) { socket.state }
      #expect(socket.outgoingQueue == 1001)
      #expect(socket.pendingError == ECONNRESET)
      #expect(socket.pendingError == 0)
      #expect(peer.log.count(.rst, from: .peer) == 1)
    }
  }

  @Test("a reset in the middle of much data, at a moment that the test chooses: outq stays")
  func resetMuchData() throws {
    try withRawPeer(.acknowledges(first: 3000)) { peer in
      let socket = try peer.connectedSocket()
      try sendAndFinish(socket, 40_000)
      try eventually("outq", equals: 37_001) { socket.outgoingQueue }
      try peer.reset()
      try eventually("the state", equals: .closed) { socket.state }
      #expect(socket.outgoingQueue == 37_001)
      #expect(throws: RigError("recv", code: ECONNRESET)) { try socket.receive() }
    }
  }

  @Test("all acknowledged, then reset: outq 0, CLOSED, ECONNRESET")
  func acknowledgedThenReset() throws {
    try withRawPeer(.acknowledgesThenResets) { peer in
      let socket = try peer.connectedSocket()
      try sendAndFinish(socket, 2)
      try eventually("the state", equals: .closed) { socket.state }
      #expect(socket.outgoingQueue == 0)
      #expect(throws: RigError("recv", code: ECONNRESET)) { try socket.receive() }
    }
  }

  @Test("two FINs lost: the third is acknowledged")
  func lostFINs() throws {
    try withRawPeer(.losesFINs(2)) { peer in
      let socket = try peer.connectedSocket()
      try sendAndFinish(socket, 1)
      #expect(try socket.receive().isEmpty)
      #expect(peer.log.count(.fin) == 3, "\(peer.log)")
      #expect(socket.outgoingQueue == 0)
      #expect(peer.received == [0])
    }
  }

  @Test("a peer that vanishes after some bytes: the bytes before that are acknowledged")
  func vanishes() throws {
    try withRawPeer(.vanishes(afterBytes: 10)) { peer in
      let socket = try peer.connectedSocket()
      try socket.send([UInt8](repeating: 0, count: 10))
      try eventually("outq", equals: 0) { socket.outgoingQueue }
      socket.setOption(CInt(IPPROTO_TCP), TCP_USER_TIMEOUT, 500)
      try sendAndFinish(socket, 7)
      #expect(throws: RigError("recv", code: ETIMEDOUT)) { try socket.receive() }
      #expect(socket.outgoingQueue == 8)
      #expect(socket.pendingError == 0)
    }
  }

  @Test("a good peer answers keepalive probes; one that vanished does not: ETIMEDOUT")
  func keepalive() throws {
    try withRawPeer { peer in
      let socket = try peer.connectedSocket()
      socket.setOption(CInt(IPPROTO_TCP), TCP_KEEPIDLE, 1)
      socket.setOption(CInt(IPPROTO_TCP), TCP_KEEPINTVL, 1)
      socket.setOption(CInt(IPPROTO_TCP), TCP_KEEPCNT, 1)
      socket.setOption(SOL_SOCKET, SO_KEEPALIVE, 1)
      try peer.awaitLog("an answered probe") { $0.count(.ack, from: .peer) >= 2 }
      #expect(socket.state == .established)
      peer.vanish()
      #expect(throws: RigError("recv", code: ETIMEDOUT)) { try socket.receive() }
    }
  }

  @Test("FINs that cross: CLOSING, then TIME-WAIT")
  func simultaneousClose() throws {
    try withRawPeer(.staysClosing) { peer in
      let socket = try peer.connectedSocket()
      try sendAndFinish(socket, 3)
      try eventually("the state", equals: .closing) { socket.state }
      #expect(socket.outgoingQueue == 1)
    }
    try withRawPeer(.closesSimultaneously) { peer in
      let socket = try peer.connectedSocket()
      try sendAndFinish(socket, 3)
      try eventually("the kernel's state", equals: [.timeWait]) {
        try peer.namespace.run { try KernelView.tcp(localPort: nil, remotePort: 7).map(\.state) }
      }
      #expect(socket.state == .closed)
      #expect(socket.pendingError == 0)
      #expect(try socket.receive().isEmpty)
    }
  }

  @Test("one byte per segment: all arrive, in order")
  func oneByteSegments() throws {
    try withRawPeer(.oneByteSegments(500)) { peer in
      let socket = try peer.connectedSocket()
      try eventually("bytes to read", equals: 500) { socket.incomingQueue }
      #expect(try socket.receive() == (0..<500).map { UInt8(truncatingIfNeeded: $0) })
    }
  }

  @Test("an urgent byte is taken out of the stream")
  func urgentByte() throws {
    try withRawPeer(.sendsUrgentByte) { peer in
      let socket = try peer.connectedSocket()
      try peer.awaitLog("the kernel's acknowledgement") { log in
        log.entries.contains { $0.side == .kernel && $0.acknowledgement == 1006 }
      }
      try peer.finish()
      #expect(try socket.receiveAll() == Array("abcd".utf8))
    }
  }

  @Test("a SYN answered with a reset is a refusal; one never answered, a time-out")
  func refusal() throws {
    try withRawPeer(.answersSYNWithReset) { peer in
      #expect(throws: RigError("connect", code: ECONNREFUSED)) { _ = try peer.connectedSocket() }
    }
    try withRawPeer(.neverAnswersSYN) { peer in
      peer.namespace.run {
        #expect(throws: RigError("connect", code: EINPROGRESS)) {
          _ = try PlainSocket.connected(to: RawPeer.peerAddress, port: 7, within: .milliseconds(100))
        }
      }
      #expect(peer.log.count(.syn) >= 1 && peer.log.count([], from: .peer) == 0)
    }
  }

  @Test("the peer connects to a listener of the kernel; bytes go both ways; the kernel's abort is one RST")
  func connects() throws {
    try withRawPeer { peer in
      let listener = try peer.namespace.run { try PlainSocket.listening(on: RawPeer.kernelAddress, port: 5000) }
      try peer.connect(toPort: 5000)
      let accepted = try listener.accept()
      try peer.send(Array("hello".utf8))
      #expect(try accepted.receive() == Array("hello".utf8))
      try accepted.send([1, 2, 3])
      try peer.awaitLog("the answer") { $0.distinctBytes() == 3 }
      #expect(peer.received == [1, 2, 3])
      accepted.abort()
      try peer.awaitLog("the reset") { $0.count(.rst) > 0 }
      #expect(peer.log.count(.rst) == 1 && peer.log.count(.fin) == 0, "\(peer.log)")
      #expect(throws: RigError.self) { try peer.connect(toPort: 5001) }
    }
  }

  @Test("a blind reset outside the window, and one that misses the exact sequence number: the connection lives")
  func blindResets() throws {
    try withRawPeer { peer in
      let socket = try peer.connectedSocket()
      try peer.converse { $0.send(.rst, sequence: $0.nextSequence &+ 200_000) }
      try peer.converse { $0.send(.rst, sequence: $0.nextSequence &+ 100) }
      try peer.awaitLog("a challenge") { log in
        guard let reset = log.entries.lastIndex(where: { $0.flags.contains(.rst) }) else { return false }
        return log.entries[reset...].contains { $0.side == .kernel && $0.flags == .ack }
      }
      #expect(socket.state == .established)
      #expect(socket.pendingError == 0)
    }
  }

  @Test("a SYN flood leaves half-open connections, and established ones unharmed")
  func flood() throws {
    try withRawPeer { peer in
      let listener = try peer.namespace.run {
        try PlainSocket.listening(on: RawPeer.kernelAddress, port: 5000, backlog: 8)
      }
      try peer.connect(toPort: 5000)
      let accepted = try listener.accept()
      peer.flood(port: 5000, count: 50)
      try eventually("half-open connections") {
        try peer.namespace.run { try KernelView.tcp(localPort: 5000).contains { $0.state == .synReceived } }
      }
      try peer.send([9])
      #expect(try accepted.receive() == [9])
    }
  }

  @Test("any closure can be a peer's behaviour")
  func custom() throws {
    let echo = Behaviour("echoes in capitals") { conversation, segment in
      conversation.take(segment)
      if !segment.payload.isEmpty { conversation.send(segment.payload.map { $0 & ~0x20 }) }
    }
    try withRawPeer(echo) { peer in
      let socket = try peer.connectedSocket()
      try socket.send(Array("quiet".utf8))
      #expect(try socket.receive() == Array("QUIET".utf8))
    }
  }

  private func sendAndFinish(_ socket: borrowing PlainSocket, _ count: Int) throws {
    try socket.send([UInt8](repeating: 0, count: count))
    try socket.finishSending()
  }
}
