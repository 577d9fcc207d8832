internal import FinBase
internal import Synchronization

/// The use of one connection of a pool by one body.
struct PoolLease: Sendable {
  let core: Core
  private let number: Int
  private let desk: PoolDesk
  private let keeper: PoolKeeper
  /// Before the first byte of the request; `nil` when the kernel does not count.
  private let mark: RequestMark?

  /// Takes a connection that was lent, after a last look.
  ///
  /// - Returns: `nil` when an end, an error or bytes have come to it.
  init?(_ number: Int, _ core: Core, _ desk: PoolDesk, _ keeper: PoolKeeper) {
    // Before the look: what comes from here on is the body's.
    keeper.watch.remove(core)
    guard core.isAtRest else { return nil }
    core.ledger.declareInUse(core.record)
    self.core = core
    self.number = number
    self.desk = desk
    self.keeper = keeper
    mark = RequestMark(core)
    desk.began(number)
  }

  /// Gives the connection back after its body has returned.
  func giveBack() {
    if core.isRetired.load(ordering: .acquiring) { return desk.take(.discard(number, .asked)) }
    guard core.isAtRest, (try? keeper.watch.add(core, as: number)) != nil else {
      return desk.take(.discard(number, .unusable))
    }
    core.ledger.declarePooled(core.record, for: desk.limits.age + desk.limits.age + desk.limits.idle)
    desk.take(.giveBack(number))
  }

  /// Whether the request whose body has thrown is to be sent again. The connection is still open.
  ///
  /// - Parameter repeats: how many times it was sent again before.
  func mayRepeat(after error: any Error, _ retrying: Retrying, repeats: Int) -> Bool {
    let isOver = core.isKnownToBeOver || (error as? SocketError).map { $0.cause.endsConnection } ?? false
    let isUndelivered =
      isOver
      && mark?.provesUndelivered(on: core, peerReadsAfterItsEnd: desk.limits.serverReadsAfterItsEnd) ?? false
    let isWanted =
      switch retrying {
      case .undelivered: isUndelivered
      case .repeatable: isOver
      case .never: false
      }
    let mayRepeat = isWanted && repeats < desk.limits.repeats && !Task.isCancelled
    desk.count { report in
      report.failed += 1
      if isUndelivered { report.undelivered += 1 }
      if mayRepeat, isUndelivered { report.repeatedUndelivered += 1 }
      if mayRepeat, !isUndelivered { report.repeatedRepeatable += 1 }
    }
    return mayRepeat
  }

  /// Aborts the connection after its body has thrown, in a thread.
  func end() { desk.released(number, core.closeUnlessDetached(.abort)) }

  /// Aborts the connection after its body has thrown, in a task.
  nonisolated(nonsending) func end() async { desk.released(number, await core.closeUnlessDetached(.abort)) }
}

extension SocketError.Cause {
  /// Whether it says that the connection has ended, as opposed to this one call.
  fileprivate var endsConnection: Bool {
    switch self {
    case .reset, .lost, .truncated, .peerClosed, .endOfStream: true
    case .closed, .paused, .unverified, .tls, .timedOut, .cancelled, .reactorStopped, .finished, .limit,
      .descriptorsLost, .notText, .busy, .tooManyOperations, .invalid, .unresolved, .system:
      false
    }
  }
}

extension Ledger {
  /// Lets readers of a published ledger know that the connection waits in a pool.
  fileprivate func declarePooled(_ record: Record, for time: Duration) {
    if isPublished { declare(.pooled, until: Deadline(after: time), of: record) }
  }

  fileprivate func declareInUse(_ record: Record) {
    if isPublished { declare([], until: .passed, of: record) }
  }
}
