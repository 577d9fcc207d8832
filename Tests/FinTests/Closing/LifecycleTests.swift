import Glibc
import Synchronization
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite("Lifecycle: every phase and every event", .onThreads)
struct LifecycleTests {
  private static let pairs = Phase.allCases.flatMap { phase in Lifecycle.Event.allCases.map { (phase, $0) } }

  @Test("every phase and event lead to the phase that the rules state; all other pairs are illegal")
  func everyPair() {
    for (phase, event) in Self.pairs {
      #expect(
        Lifecycle.transition(phase, on: event)?.next == LifecycleRules.next(phase, event), "\(phase) × \(event)")
    }
  }

  @Test("an event that is illegal in a phase changes nothing")
  func illegalChangesNothing() throws {
    let pair = try Connection.pair()
    let core = pair.first.reference.core
    let before = core.phase
    for (phase, event) in Self.pairs where LifecycleRules.next(phase, event) == nil {
      core.record.phase.store(phase.rawValue, ordering: .releasing)
      #expect(core.advance(event) == nil, "\(phase) × \(event)")
      #expect(core.phase == phase, "\(phase) × \(event)")
    }
    core.record.phase.store(before.rawValue, ordering: .releasing)
    pair.first.close()
    pair.second.close()
  }

  @Test("every phase but closed can reach closed", arguments: Phase.allCases.filter { $0 != .closed })
  func reachesClosed(from start: Phase) {
    var reached: Set<Phase> = [start]
    var frontier = [start]
    while let phase = frontier.popLast() {
      for event in Lifecycle.Event.allCases {
        guard let next = Lifecycle.transition(phase, on: event)?.next, reached.insert(next).inserted else { continue }
        frontier.append(next)
      }
    }
    #expect(reached.contains(.closed))
  }

  @Test("every phase can be reached from fresh")
  func allReachable() {
    var reached: Set<Phase> = [.fresh]
    while true {
      let more = Set(
        reached.flatMap { phase in Lifecycle.Event.allCases.compactMap { LifecycleRules.next(phase, $0) } })
      if more.isSubset(of: reached) { break }
      reached.formUnion(more)
    }
    #expect(reached == Set(Phase.allCases))
  }

  @Test(
    "a deadline, a failure and an abort each end a closing phase",
    arguments: Phase.allCases.filter { $0.isClosing && $0 != .closed })
  func waysOut(of phase: Phase) {
    for event in [Lifecycle.Event.deadline, .failed, .abort] {
      let transition = Lifecycle.transition(phase, on: event)
      #expect(transition?.next == .closed, "\(phase) × \(event)")
      // A close that runs out of time, or is aborted, ends with a reset. After a failure by the peer or the kernel no
      // reset is needed.
      #expect(transition?.actions.contains(.armReset) == (event != .failed), "\(phase) × \(event)")
    }
    #expect(LifecycleRules.closing.contains(phase))
  }

  @Test("each transition to closed has one release or hand-over, and an outcome; no other transition has either")
  func releasedOnce() {
    for row in Lifecycle.transitions {
      let isOver = row.next == .closed
      #expect(row.actions.contains(.release) != row.actions.contains(.handOver) || !isOver, "\(row)")
      #expect(row.actions.isDisjoint(with: [.release, .handOver]) != isOver, "\(row)")
      #expect((row.outcome != nil) == isOver, "\(row)")
    }
  }

  @Test("a connection's state is recorded before it is lost: no release without a snapshot")
  func snapshotFirst() {
    for row in Lifecycle.transitions where row.actions.contains(.release) && !LifecycleRules.before.contains(row.phase)
    {
      #expect(row.actions.contains(.snapshot), "\(row)")
    }
    #expect(Lifecycle.Actions.snapshot.rawValue < Lifecycle.Actions.armReset.rawValue)
    #expect(Lifecycle.Actions.discardInput.rawValue < Lifecycle.Actions.snapshot.rawValue)
    #expect(Lifecycle.Actions.armReset.rawValue < Lifecycle.Actions.release.rawValue)
  }

  @Test("our FIN is sent once: by the first call that ends sending gracefully")
  func oneFIN() {
    for row in Lifecycle.transitions {
      let endsSending: Bool =
        switch row.event {
        case .finishSending, .closeConfirmed, .closeLingering, .closeBackground: true
        default: false
        }
      let canSend = row.phase == .connected || row.phase == .peerFinished
      #expect(row.actions.contains(.shutdownWrite) == (endsSending && canSend), "\(row)")
    }
  }

  @Test("the states of TCP have the numbers of netinet/tcp.h and the names of RFC 9293")
  func states() {
    let expected: [(TCPState, Int, String)] = [
      (.established, Int(TCP_ESTABLISHED), "ESTABLISHED"), (.synSent, Int(TCP_SYN_SENT), "SYN-SENT"),
      (.synReceived, Int(TCP_SYN_RECV), "SYN-RECEIVED"), (.finWait1, Int(TCP_FIN_WAIT1), "FIN-WAIT-1"),
      (.finWait2, Int(TCP_FIN_WAIT2), "FIN-WAIT-2"), (.timeWait, Int(TCP_TIME_WAIT), "TIME-WAIT"),
      (.closed, Int(TCP_CLOSE), "CLOSED"), (.closeWait, Int(TCP_CLOSE_WAIT), "CLOSE-WAIT"),
      (.lastAck, Int(TCP_LAST_ACK), "LAST-ACK"), (.listen, Int(TCP_LISTEN), "LISTEN"),
      (.closing, Int(TCP_CLOSING), "CLOSING"),
    ]
    #expect(expected.map(\.0).count == TCPState.allCases.count)
    for (state, number, name) in expected {
      #expect(Int(state.rawValue) == number, "\(state)")
      #expect("\(state)" == name)
    }
  }
}
