import Peers
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

/// A hand-made peer, what happens on the connection before the close, and the ending that each policy reports. We have
/// sent 100 bytes.
struct Situation: Sendable, CustomTestStringConvertible {
  let name: String
  let behaviour: Behaviour
  /// Bytes unacknowledged when the close begins, and still when it ends.
  var unacknowledged = 0
  var neverSent = 0
  var peerFinishes = false
  var peerResets = false
  let confirmed: Ending
  let lingering: Ending
  var background = Ending.background
  /// A reset that arrives before close(2) is reported; one that arrives after it cannot be.
  var mayHearReset = false
  var abort = Ending.aborted

  var testDescription: String { name }

  func ending(_ policy: ClosePolicy) -> Ending {
    switch policy {
    case .confirmed: confirmed
    case .lingering: lingering
    case .background: background
    case .abort: abort
    }
  }

  static let all = [
    Situation(
      name: "the peer finished first", behaviour: .good, peerFinishes: true, confirmed: .peerFinished,
      lingering: .peerFinished),
    Situation(
      name: "the peer never finishes", behaviour: .neverFinishes, confirmed: .acknowledged, lingering: .acknowledged),
    Situation(
      name: "all acknowledged, then a reset before the close", behaviour: .neverFinishes, peerResets: true,
      confirmed: .discardedByPeer, lingering: .discardedByPeer, background: .discardedByPeer, abort: .discardedByPeer),
    Situation(
      name: "nothing acknowledged, and a reset before the close", behaviour: .neverAcknowledges, unacknowledged: 100,
      peerResets: true, confirmed: .reset, lingering: .reset, background: .reset, abort: .reset),
    Situation(
      name: "nothing acknowledged, and our FIN is answered by a reset", behaviour: .resetsMidDrain,
      unacknowledged: 100, confirmed: .reset, lingering: .reset, mayHearReset: true),
    Situation(
      name: "nothing is acknowledged", behaviour: .neverAcknowledges, unacknowledged: 100,
      confirmed: .timedOut(.confirming), lingering: .timedOut(.lingering)),
    Situation(
      name: "all is acknowledged but the last byte", behaviour: .acknowledgesAllButLastByte, unacknowledged: 1,
      confirmed: .timedOut(.confirming), lingering: .timedOut(.lingering)),
    Situation(
      name: "all is acknowledged but the FIN", behaviour: .acknowledgesDataNeverFIN,
      confirmed: .timedOut(.confirming), lingering: .timedOut(.lingering)),
    Situation(
      name: "the peer finished first and acknowledges no FIN", behaviour: .acknowledgesDataNeverFIN,
      peerFinishes: true, confirmed: .timedOut(.confirmingLast), lingering: .timedOut(.confirmingLast)),
    Situation(
      name: "the window never opens", behaviour: .zeroWindowForEver, unacknowledged: 100, neverSent: 100,
      confirmed: .timedOut(.confirming), lingering: .timedOut(.lingering)),
    Situation(
      name: "FINs cross, and the peer acknowledges ours", behaviour: .closesSimultaneously,
      confirmed: .peerFinished, lingering: .peerFinished),
    Situation(
      name: "FINs cross, and ours is never acknowledged", behaviour: .staysClosing,
      confirmed: .timedOut(.confirmingLast), lingering: .timedOut(.confirmingLast)),
  ]
}

@Suite("Promise 2: close always answers: every policy, every ending", .needsTUN, .onThreads)
struct EndingsTests {
  @Test(
    "a close report names the ending and the bytes", .faults(20, 21, 23, 25, 32), arguments: Situation.all,
    ClosePolicy.brief)
  func report(_ situation: Situation, _ policy: ClosePolicy) throws {
    try withRawPeer(situation.behaviour) { peer in
      let connection = try connection(to: peer)
      try connection.send([UInt8](repeating: 7, count: 100))
      if situation.neverSent == 0 { try peer.awaitLog("our bytes") { $0.distinctBytes() == 100 } }
      try connection.awaitUnacknowledged(situation.unacknowledged)
      if situation.peerFinishes {
        try peer.finish()
        #expect(try connection.receive(upTo: 1) == nil)
      }
      if situation.peerResets {
        try peer.reset()
        try connection.awaitState(.closed)
      }
      let report = connection.close(policy)
      let isLuckilyHeard = situation.mayHearReset && report.ending == .reset
      #expect(report.ending == situation.ending(policy) || isLuckilyHeard, "\(report)\n\(peer.log)")
      #expect(report.bytesUnacknowledged == situation.unacknowledged, "\(report)")
      #expect(report.bytesNeverSent == situation.neverSent, "\(report)")
      #expect(report.bytesDiscarded == 0)
      #expect(report.duration < .milliseconds(400) + slack, "\(report)")
      // The report says delivered only when every byte was seen to be acknowledged.
      #expect(!report.isDelivered || situation.unacknowledged == 0)
    }
  }

  @Test(
    "a FIN that arrives together with the acknowledgement of ours is seen, at whichever check",
    arguments: [(SystemCall.recv, 1), (.recv, 2), (.ioctl, 1)])
  func finBetweenLooks(_ call: SystemCall, _ number: Int) throws {
    try withRawPeer(.neverAcknowledges) { peer in
      let connection = try connection(to: peer).share()
      let isDone = Flag()
      let script = Script(
        .nth(
          number, call,
          .after {
            do {
              try eventually("our FIN") { try peer.converse { $0.finSequence } != nil }
              try peer.converse {
                $0.takeFIN()
                $0.finish()
              }
              try eventually("the peer's, and its word of ours") {
                try TCPInfo.read(connection.reference.core.number).state == .closed
              }
              isDone.set()
            } catch {}
          }))
      let report = Seam.$script.withValue(script) { connection.close(.confirmed(within: .seconds(10))) }
      #expect(isDone.isSet)
      #expect(report.ending == .peerFinished, "\(report)\n\(peer.log)")
    }
  }

  @Test("a timeout of zero or less: one check, no wait", .faults(29), arguments: [Duration.zero, .seconds(-5)])
  func noTime(within: Duration) throws {
    for policy in [ClosePolicy.confirmed(within: within), .lingering(within: within, idle: within, discarding: 1000)] {
      try withRawPeer(.neverAcknowledges) { peer in
        let connection = try connection(to: peer).share()
        try connection.send([1, 2, 3])
        let script = Script()
        let report = Seam.$script.withValue(script) { connection.close(policy) }
        #expect(script.count(.poll) == 0)
        #expect(report.ending == .timedOut(policy.event == .closeConfirmed ? .confirming : .lingering))
        #expect(report.bytesUnacknowledged == 3)
        #expect(report.duration < .seconds(1))
      }
      // An acknowledgement that had arrived by then is seen.
      try withRawPeer(.neverFinishes) { peer in
        let connection = try connection(to: peer)
        try connection.send([1, 2, 3])
        let finished = connection.finishSending()
        try finished.awaitUnacknowledged(0)
        try finished.awaitState(.finWait2)
        #expect(finished.close(policy).ending == .acknowledged)
      }
    }
  }

  @Test("a peer whose window stays full: bytesNeverSent counts the data that never left, without the FIN", .faults(23))
  func neverSent() throws {
    var halfOpen = Behaviour.neverAcknowledges
    halfOpen.window = 500
    try withRawPeer(halfOpen) { peer in
      let connection = try connection(to: peer)
      try connection.send([UInt8](repeating: 1, count: 500))
      try peer.awaitLog("what fits into the window") { $0.distinctBytes() == 500 }
      try connection.send([UInt8](repeating: 2, count: 300))
      let report = connection.close(.confirmed(within: .milliseconds(100)))
      #expect(report.ending == .timedOut(.confirming))
      #expect(report.bytesUnacknowledged == 800)
      #expect(report.bytesNeverSent == 300)
    }
  }

  @Test("a reset in the middle of much data: bytes acknowledged by then do not count as unacknowledged", .faults(20))
  func resetInTheMiddle() throws {
    try withRawPeer(.acknowledges(first: 3000)) { peer in
      let connection = try connection(to: peer).share()
      try connection.send([UInt8](repeating: 1, count: 40_000))
      try connection.awaitUnacknowledged(37_000)
      let closing = onThread { connection.close(.confirmed) }
      try eventually("the phase", equals: .confirming) { connection.phase }
      try peer.reset()
      let report = try closing.join()
      #expect(report.ending == .reset)
      #expect(report.bytesUnacknowledged == 37_000)
      #expect(!report.isDelivered)
    }
  }

  @Test("a peer program that closes without reading while we linger: acknowledged, then discarded", .faults(25))
  func discardedWhileLingering() throws {
    try withRawPeer(.acknowledgesThenResets) { peer in
      let connection = try connection(to: peer)
      try connection.send([1, 2, 3])
      let report = connection.close(.lingering)
      #expect(report.ending == .discardedByPeer)
      #expect(report.bytesUnacknowledged == 0)
      #expect(!report.isDelivered)
    }
  }

  @Test("the first two FINs are lost: the close waits until the third is acknowledged", .faults(22))
  func lostFINs() throws {
    try withRawPeer(.losesFINs(2)) { peer in
      let connection = try connection(to: peer)
      try connection.send([1])
      let report = connection.close(.lingering)
      #expect(report.ending == .peerFinished, "\(peer.log)")
      #expect(report.isDelivered)
      #expect(peer.log.count(.fin) == 3)
      #expect(peer.received == [1])
    }
  }

  @Test("a reset between the last check and our FIN: all bytes are counted, and none for a FIN", .faults(20))
  func resetBeforeFIN() throws {
    for count in [1, 5] {
      try withRawPeer(.neverAcknowledges) { peer in
        let connection = try connection(to: peer).share()
        try connection.send([UInt8](repeating: 1, count: count))
        let port = connection.port
        let script = Script(
          .first(
            .shutdown,
            .before {
              try? peer.reset()
              try? eventually("the connection is gone") {
                try peer.namespace.run { try KernelView.tcp(localPort: port).isEmpty }
              }
            }))
        let report = Seam.$script.withValue(script) { connection.close() }
        #expect(report.ending == .reset)
        #expect(report.bytesUnacknowledged == count)
      }
    }
  }
}
