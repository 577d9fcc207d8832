@testable import Fin

/// The next phase for every phase × event, stated as rules. The lifecycle's table is checked against these rules, so
/// they must not read it.
enum LifecycleRules {
  static let before: Set<Phase> = [.fresh, .bound, .connecting, .listening, .paused, .stopping]
  static let open: Set<Phase> = [.connected, .sendFinished, .peerFinished, .bothFinished]
  static let closing: Set<Phase> = [.confirming, .confirmingLast, .lingering, .lingeringAcknowledged]

  /// Whether our FIN has been sent, in an open phase.
  static func weFinished(_ phase: Phase) -> Bool { phase == .sendFinished || phase == .bothFinished }
  /// Whether the peer's FIN has been read, in an open phase.
  static func peerFinished(_ phase: Phase) -> Bool { phase == .peerFinished || phase == .bothFinished }

  /// - Returns: the next phase; `nil` when the pair is illegal.
  static func next(_ phase: Phase, _ event: Lifecycle.Event) -> Phase? {
    // A closed socket accepts no event.
    if phase == .closed { return nil }
    switch event.kind {
    case .call: return call(phase, event)
    case .fact, .time: return fact(phase, event)
    }
  }

  private static func call(_ phase: Phase, _ event: Lifecycle.Event) -> Phase? {
    switch event {
    case .bind: return phase == .fresh ? .bound : nil
    // A fresh socket may connect, and so may a bound one.
    case .connect: return phase == .fresh || phase == .bound ? .connecting : nil
    // Only a socket with an address can listen.
    case .listen: return phase == .bound ? .listening : nil
    case .pause: return phase == .listening ? .paused : nil
    case .resume: return phase == .paused ? .listening : nil
    case .stop: return phase == .listening || phase == .paused ? .stopping : nil
    case .finishSending:
      guard open.contains(phase), !weFinished(phase) else { return nil }
      return peerFinished(phase) ? .bothFinished : .sendFinished
    case .closeConfirmed, .closeLingering:
      // A socket without a peer, or one that has lost it, closes at once. A close that is under way takes no second
      // policy.
      if before.contains(phase) || phase == .failed { return .closed }
      guard open.contains(phase) else { return nil }
      // When the peer has already finished, there is no reason to linger.
      if peerFinished(phase) { return .confirmingLast }
      return event == .closeConfirmed ? .confirming : .lingering
    case .closeBackground, .drop: return closing.contains(phase) ? nil : .closed
    // An abort is legal in every phase, and ends a graceful close.
    case .abort: return .closed
    // A descriptor in the middle of a connect attempt or of a close cannot be given away.
    case .detach: return closing.contains(phase) || phase == .connecting ? nil : .closed
    default: return nil
    }
  }

  private static func fact(_ phase: Phase, _ event: Lifecycle.Event) -> Phase? {
    switch event {
    case .established: return phase == .fresh || phase == .connecting ? .connected : nil
    case .connectFailed: return phase == .connecting ? .closed : nil
    case .drained: return phase == .stopping ? .closed : nil
    case .peerFinished:
      if open.contains(phase), !peerFinished(phase) { return weFinished(phase) ? .bothFinished : .peerFinished }
      if phase == .confirming || phase == .lingering { return .confirmingLast }
      return phase == .lingeringAcknowledged ? .closed : nil
    case .failed:
      if open.contains(phase) { return .failed }
      return closing.contains(phase) ? .closed : nil
    case .acknowledged:
      // Only while an acknowledgement is awaited. Only a lingering close continues after it.
      if phase == .lingering { return .lingeringAcknowledged }
      return phase == .confirming || phase == .confirmingLast ? .closed : nil
    // A deadline can expire only where something is awaited: a connect attempt, a drain, a close.
    case .deadline: return closing.contains(phase) || phase == .connecting || phase == .stopping ? .closed : nil
    default: return nil
    }
  }
}
