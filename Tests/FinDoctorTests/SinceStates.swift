import TestTraits
import Testing

@testable import FinDoctor

@Suite("The age of a TCP state is bounded only by timestamps that the state leaves unchanged", .onThreads)
struct SinceStates {
  private func socket(
    _ state: SocketState, timer: SocketTimer = .off, expires: UInt32 = 0,
    _ change: (inout InetSocket) -> Void = { _ in }
  ) -> InetSocket {
    var socket = InetSocket()
    (socket.state, socket.timer, socket.expires, socket.inode) = (state, timer, expires, 7)
    change(&socket)
    return socket
  }

  private func times(_ sent: UInt32, _ received: UInt32, _ acknowledged: UInt32) -> (inout InetSocket) -> Void {
    { socket in
      socket.info.lastDataSent = sent
      socket.info.lastDataReceived = received
      socket.info.lastAcknowledgementReceived = acknowledged
      (socket.info.bytesReceived, socket.info.bytesSent) = (5, 5)
    }
  }

  @Test("CLOSE-WAIT and FIN-WAIT-2: the age lies between the last acknowledgement and the last data")
  func halfClosed() {
    #expect(AgeBounds.inState(socket(.closeWait, times(9000, 8000, 3000))) == AgeBounds(atLeast: 2990, atMost: 8010))
    #expect(AgeBounds.inState(socket(.finWait2, times(9000, 8000, 3000))) == AgeBounds(atLeast: 2990, atMost: 9050))
    #expect(AgeBounds.inState(socket(.closeWait)) == .unknown)
  }

  @Test("idle time counts from the last byte sent or received")
  func idle() {
    for (sent, received) in [(9000, 100), (100, 9000)] as [(UInt32, UInt32)] {
      #expect(AgeBounds.idle(socket(.established, times(sent, received, 50))) == AgeBounds(atLeast: 90, atMost: 110))
    }
  }

  @Test("TIME-WAIT: an exact age, from the rest of its minute; closed FIN-WAIT-2: a lower bound, from its timer")
  func resting() {
    #expect(
      AgeBounds.inState(socket(.timeWait, timer: .timeWait, expires: 58_000)) == AgeBounds(atLeast: 1990, atMost: 2010))
    #expect(AgeBounds.inState(socket(.timeWait, timer: .timeWait, expires: 61_000)) == .unknown)
    var limits = KernelLimits()
    limits.finTimeout = .seconds(30)
    let closed = socket(.finWait2, timer: .timeWait, expires: 20_000)
    #expect(AgeBounds.inState(closed, limits: limits) == AgeBounds(atLeast: 9990))
  }

  @Test("ESTABLISHED: a timestamp that has not changed since the handshake is the age")
  func age() {
    #expect(AgeBounds.inState(socket(.established, times(9000, 8000, 3000))) == AgeBounds(atLeast: 8990))
    let silent = socket(.established) { socket in
      self.times(500, 8000, 400)(&socket)
      socket.info.bytesReceived = 0
    }
    #expect(AgeBounds.inState(silent) == AgeBounds(atLeast: 7990, atMost: 8010))
    let queued = socket(.established) { socket in
      self.times(8000, 200, 200)(&socket)
      socket.inode = 0
    }
    // The client has sent data since, so nothing bounds how long it has waited.
    #expect(AgeBounds.inState(queued).atMost == nil)
  }

  @Test("an unacknowledged FIN: its age comes from retransmissions, not from an hour of silence before it")
  func finishing() {
    let once = socket(.lastAck, timer: .retransmit, expires: 300) { socket in
      self.times(3_600_000, 3_600_000, 3_600_000)(&socket)
      socket.sendQueue = 1
      (socket.info.retransmitTimeout, socket.info.backoff, socket.info.bytesRetransmitted) = (800_000, 2, 0)
    }
    // 200 and 400 ms have elapsed, and 500 of the 800.
    #expect(AgeBounds.inState(once) == AgeBounds(atLeast: 1090, atMost: 3_600_010))
    #expect(AgeBounds.inState(socket(.finWait1, timer: .persist, times(5, 5, 5))) == .unknown)
  }

  @Test("SYN-SENT and SYN-RECEIVED: the age comes from the timer and the number of retransmissions")
  func connecting() {
    let first = socket(.synSent, timer: .retransmit, expires: 400) { $0.info.retransmitTimeout = 1_000_000 }
    #expect(AgeBounds.inState(first) == AgeBounds(atLeast: 590, atMost: 610))
    let third = socket(.synSent, timer: .retransmit) { socket in
      socket.retransmits = 3
      (socket.info.retransmitTimeout, socket.info.totalTimeoutTime) = (1_000_000, 3003)
    }
    #expect(AgeBounds.inState(third) == AgeBounds(atLeast: 3993, atMost: 5013))
    let request = socket(.synReceived) { $0.retransmits = 2 }
    #expect(AgeBounds.inState(request) == AgeBounds(atLeast: 2990, atMost: 7010))
  }

  @Test("random states and numbers never trap, and never give a lower bound above the upper one")
  func anything() {
    var dice = SeededDice(seed: 11)
    for _ in 0..<20_000 {
      var socket = InetSocket()
      socket.state = SocketState(rawValue: UInt8(dice.next() % 15))
      socket.timer = SocketTimer(rawValue: UInt8(dice.next() % 6))
      socket.retransmits = UInt8(truncatingIfNeeded: dice.next())
      socket.expires = UInt32(truncatingIfNeeded: dice.next())
      socket.sendQueue = UInt32(dice.next() % 3)
      socket.inode = UInt32(dice.next() % 2)
      let bytes = dice.bytes(most: 280)
      socket.info = unsafe TCPDetail(bytes.span.bytes)
      let since = AgeBounds.inState(socket)
      if since.lower > since.upper { Issue.record("\(socket)") }
      if let idle = AgeBounds.idle(socket), idle.atMost == nil { Issue.record("\(socket)") }
      var text = TextBuffer()
      since.write(short: &text)
      if text.count > 24 { Issue.record("\(text.text)") }
    }
  }
}
