@testable import Fin

/// Where every phase × event leads, said by rule: what the table of the lifecycle is judged by, so it must not read it.
enum LifecycleRules {
  static let before: Set<Phase> = [.fresh, .bound, .connecting, .listening, .paused, .stopping]
  static let open: Set<Phase> = [.connected, .sendFinished, .peerFinished, .bothFinished]
  static let closing: Set<Phase> = [.confirming, .confirmingLast, .lingering, .lingeringAcknowledged]

  /// Whether our FIN is out, in an open phase.
  static func weFinished(_ phase: Phase) -> Bool { phase == .sendFinished || phase == .bothFinished }
  /// Whether the peer's FIN was read, in an open phase.
  static func peerFinished(_ phase: Phase) -> Bool { phase == .peerFinished || phase == .bothFinished }

  /// - Returns: the next phase; `nil` when the pair is illegal.
  static func next(_ phase: Phase, _ event: Event) -> Phase? {
    // Nothing happens to what is over.
    if phase == .closed { return nil }
    switch event.kind {
    case .call: return call(phase, event)
    case .fact, .time: return fact(phase, event)
    }
  }

  private static func call(_ phase: Phase, _ event: Event) -> Phase? {
    switch event {
    case .bind: return phase == .fresh ? .bound : nil
    // A bound socket may connect, and a fresh one.
    case .connect: return phase == .fresh || phase == .bound ? .connecting : nil
    // Without an address there is nothing to listen on.
    case .listen: return phase == .bound ? .listening : nil
    case .pause: return phase == .listening ? .paused : nil
    case .resume: return phase == .paused ? .listening : nil
    case .stop: return phase == .listening || phase == .paused ? .stopping : nil
    case .finishSending:
      guard open.contains(phase), !weFinished(phase) else { return nil }
      return peerFinished(phase) ? .bothFinished : .sendFinished
    case .closeConfirmed, .closeLingering:
      // What has no peer, or has lost it, needs no grace; what is closing already takes no second policy.
      if before.contains(phase) || phase == .failed { return .closed }
      guard open.contains(phase) else { return nil }
      // When the peer has finished there is nothing to linger for.
      if peerFinished(phase) { return .confirmingLast }
      return event == .closeConfirmed ? .confirming : .lingering
    case .closeBackground, .drop: return closing.contains(phase) ? nil : .closed
    // An abort is possible always, and ends a graceful close.
    case .abort: return .closed
    // A number in the middle of a handshake or of a close is nothing to give away.
    case .detach: return closing.contains(phase) || phase == .connecting ? nil : .closed
    default: return nil
    }
  }

  private static func fact(_ phase: Phase, _ event: Event) -> Phase? {
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
      // Only while an acknowledgement is awaited; and only a lingering close goes on after it.
      if phase == .lingering { return .lingeringAcknowledged }
      return phase == .confirming || phase == .confirmingLast ? .closed : nil
    // Time is up where something is awaited: a handshake, a drain, a close.
    case .deadline: return closing.contains(phase) || phase == .connecting || phase == .stopping ? .closed : nil
    default: return nil
    }
  }
}
