/// The life of a socket as one table: phase × event → next phase, actions, outcome.
///
/// It makes no system call, reads no clock and imports nothing. The shell, which makes the system calls, passes each
/// event to the table and carries out the actions. A pair that is not in the table is illegal and changes nothing. The
/// diagrams of the documentation are drawn from this table.
public enum Lifecycle {
  /// Every legal transition, in the order of a socket's life.
  public static let transitions: [Transition] =
    opening + listening + conversation + closing + closingFacts + endings

  /// Returns the transition from `phase` on `event`; `nil` when the pair is illegal and changes nothing.
  public static func transition(_ phase: Phase, on event: Event) -> Transition? {
    let index = Int(index[Int(phase.rawValue) * Event.allCases.count + Int(event.rawValue)])
    return index < 0 ? nil : transitions[index]
  }

  private static let opening: [Transition] = [
    .init(.fresh, .bind, .bound),
    .init(.fresh, .connect, .connecting),
    .init(.bound, .connect, .connecting),
    .init(.fresh, .established, .connected),
    .init(.connecting, .established, .connected),
    // One socket per attempt: the state of a socket after a failed attempt is unspecified.
    .init(.connecting, .connectFailed, .closed, .release, .failure),
    .init(.connecting, .deadline, .closed, .release, .timedOut),
  ]

  private static let listening: [Transition] = [
    .init(.bound, .listen, .listening),
    .init(.listening, .pause, .paused, .shutdownRead),
    .init(.paused, .resume, .listening, .widenBacklog),
    .init(.listening, .stop, .stopping, .narrowBacklog),
    .init(.paused, .stop, .stopping),
    .init(.stopping, .drained, .closed, .release, .released),
    .init(.stopping, .deadline, .closed, .release, .released),
  ]

  private static let conversation: [Transition] = [
    .init(.connected, .finishSending, .sendFinished, .shutdownWrite),
    .init(.connected, .peerFinished, .peerFinished),
    .init(.peerFinished, .finishSending, .bothFinished, .shutdownWrite),
    .init(.sendFinished, .peerFinished, .bothFinished),
    .init(.connected, .failed, .failed),
    .init(.sendFinished, .failed, .failed),
    .init(.peerFinished, .failed, .failed),
    .init(.bothFinished, .failed, .failed),
  ]

  private static let closing: [Transition] = [
    .init(.connected, .closeConfirmed, .confirming, [.shutdownWrite, .watch]),
    .init(.sendFinished, .closeConfirmed, .confirming, .watch),
    .init(.connected, .closeLingering, .lingering, [.shutdownWrite, .watch, .discardInput]),
    .init(.sendFinished, .closeLingering, .lingering, [.watch, .discardInput]),
    .init(.peerFinished, .closeConfirmed, .confirmingLast, [.shutdownWrite, .watch]),
    .init(.peerFinished, .closeLingering, .confirmingLast, [.shutdownWrite, .watch]),
    .init(.bothFinished, .closeConfirmed, .confirmingLast, .watch),
    .init(.bothFinished, .closeLingering, .confirmingLast, .watch),
  ]

  private static let closingFacts: [Transition] = [
    // Once everything is acknowledged, unread input is discarded first: close(2) would otherwise send a reset.
    .init(.confirming, .acknowledged, .closed, [.discardInput, .snapshot, .release], .acknowledged),
    .init(.confirming, .peerFinished, .confirmingLast, .watch),
    .init(.confirmingLast, .acknowledged, .closed, [.snapshot, .release], .peerFinished),
    .init(.lingering, .acknowledged, .lingeringAcknowledged, [.watch, .discardInput]),
    .init(.lingering, .peerFinished, .confirmingLast, .watch),
    .init(.lingeringAcknowledged, .peerFinished, .closed, [.snapshot, .release], .peerFinished),
    // Our bytes have arrived; a peer that does not stop sending does not change that.
    .init(.lingeringAcknowledged, .deadline, .closed, [.snapshot, .armReset, .release], .acknowledged),
    // A graceful close whose time is over becomes an abort.
    .init(.confirming, .deadline, .closed, [.snapshot, .armReset, .release], .timedOut),
    .init(.confirmingLast, .deadline, .closed, [.snapshot, .armReset, .release], .timedOut),
    .init(.lingering, .deadline, .closed, [.snapshot, .armReset, .release], .timedOut),
    .init(.confirming, .failed, .closed, [.snapshot, .release], .failure),
    .init(.confirmingLast, .failed, .closed, [.snapshot, .release], .failure),
    .init(.lingering, .failed, .closed, [.snapshot, .release], .failure),
    .init(.lingeringAcknowledged, .failed, .closed, [.snapshot, .release], .failure),
  ]

  private static let endings: [Transition] = {
    var rows: [Transition] = []
    for phase in [Phase.connected, .sendFinished, .peerFinished, .bothFinished] {
      let fin: Actions = phase == .connected || phase == .peerFinished ? .shutdownWrite : []
      rows.append(
        .init(
          phase, .closeBackground, .closed, fin.union([.discardInput, .boundOrphan, .snapshot, .release]), .background))
      rows.append(.init(phase, .abort, .closed, [.snapshot, .armReset, .release], .aborted))
      rows.append(.init(phase, .drop, .closed, [.snapshot, .reportLeak, .release], .leaked))
      rows.append(.init(phase, .detach, .closed, .handOver, .detached))
    }
    for event in [Event.closeConfirmed, .closeLingering, .closeBackground, .abort] {
      rows.append(.init(.failed, event, .closed, [.snapshot, .release], .failure))
    }
    rows.append(.init(.failed, .drop, .closed, [.snapshot, .reportLeak, .release], .leaked))
    rows.append(.init(.failed, .detach, .closed, .handOver, .detached))
    for phase in [Phase.confirming, .confirmingLast, .lingering, .lingeringAcknowledged] {
      rows.append(.init(phase, .abort, .closed, [.snapshot, .armReset, .release], .aborted))
    }
    for phase in [Phase.fresh, .bound, .connecting, .listening, .paused, .stopping] {
      for event in [Event.closeConfirmed, .closeLingering, .closeBackground, .abort] {
        rows.append(.init(phase, event, .closed, .release, .released))
      }
      rows.append(.init(phase, .drop, .closed, [.reportLeak, .release], .leaked))
      if phase != .connecting { rows.append(.init(phase, .detach, .closed, .handOver, .detached)) }
    }
    return rows
  }()

  private static let index: [Int16] = {
    var index = [Int16](repeating: -1, count: Phase.allCases.count * Event.allCases.count)
    for (position, row) in transitions.enumerated() {
      let slot = Int(row.phase.rawValue) * Event.allCases.count + Int(row.event.rawValue)
      precondition(index[slot] < 0, "two rows for \(row.phase) × \(row.event)")
      index[slot] = Int16(position)
    }
    return index
  }()
}
