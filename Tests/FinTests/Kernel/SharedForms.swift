import FinBase
import TestTraits
import Testing

@testable import Fin

@Suite("Fin's values have the numbers and the names that FinBase gives to readers of a published ledger", .onThreads)
struct SharedForms {
  @Test(
    "each phase is published as the phase of its name",
    arguments: [
      (.fresh, .fresh), (.bound, .bound), (.connecting, .connecting), (.listening, .listening), (.paused, .paused),
      (.stopping, .stopping), (.connected, .connected), (.sendFinished, .sendFinished), (.peerFinished, .peerFinished),
      (.bothFinished, .bothFinished), (.failed, .failed), (.confirming, .confirming),
      (.confirmingLast, .confirmingLast), (.lingering, .lingering),
      (.lingeringAcknowledged, .lingeringAcknowledged), (.closed, .closed),
    ] as [(Phase, LedgerFormat.Phase)])
  func phases(phase: Phase, published: LedgerFormat.Phase) {
    #expect(LedgerFormat.Phase(phase) == published && phase.description == published.description)
    #expect(phase.isClosing == published.isClosing)
  }

  @Test("no phase and no intent is missing on either side, and no two have one name")
  func complete() {
    #expect(Phase.allCases.map(\.rawValue) == LedgerFormat.Phase.allCases.map(\.rawValue))
    #expect(Set(Phase.allCases.map(\.description)).count == Phase.allCases.count)
    let intents: [(SocketIntent, LedgerFormat.Intent, String)] = [
      (.halfClosed, .halfClosed, "half closed"), (.readPaused, .readPaused, "reading paused"), (.idle, .idle, "idle"),
      (.pooled, .pooled, "pooled"), ([.idle, .pooled], [.idle, .pooled], "idle, pooled"),
    ]
    for (intent, published, name) in intents {
      #expect(intent.rawValue == published.rawValue && intent.description == name)
    }
  }

  @Test("every state of RFC 9293 has the kernel's number of that name")
  func states() {
    let names = TCPState.allCases.map { state in
      "\(state)".lowercased().filter { $0 != "-" }
    }
    #expect(
      names == [
        "established", "synsent", "synreceived", "finwait1", "finwait2", "timewait", "closed", "closewait", "lastack",
        "listen", "closing",
      ])
    #expect(TCPStates.name(0) == nil && TCPStates.name(12) == nil)
  }
}
