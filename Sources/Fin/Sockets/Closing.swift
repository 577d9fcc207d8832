internal import CFin
internal import Glibc
internal import Synchronization
internal import SystemPackage

extension Core {
  /// Ends a connection by a policy. Safe from any thread, any number of times: the first closes, the others get its report.
  ///
  /// Mark → wake → wait until everybody is out → what the policy says, as the lifecycle's table tells it → release.
  func close(_ policy: ClosePolicy) -> CloseReport {
    closeUnlessDetached(policy) ?? CloseReport(ending: .background)
  }

  /// The same in a task. Cancelled, it becomes an abort, and the report still comes.
  nonisolated(nonsending) func close(_ policy: ClosePolicy) async -> CloseReport {
    await closeUnlessDetached(policy) ?? CloseReport(ending: .background)
  }

  /// - Returns: `nil` when the descriptor was given away instead.
  func closeUnlessDetached(_ policy: ClosePolicy) -> CloseReport? {
    let start = Instant.now
    guard beginClosing(policy) else {
      gate.awaitRelease()
      return closing.withLock { $0.report }
    }
    gate.awaitQuiescence()
    var end = End(core: self, policy: policy, start: start)
    return finishClosing(end.run())
  }

  /// The same in a task.
  nonisolated(nonsending) func closeUnlessDetached(_ policy: ClosePolicy) async -> CloseReport? {
    let start = Instant.now
    guard beginClosing(policy) else {
      // Cancelled, this close is an abort as well, and cuts short the one that is under way.
      await withTaskCancellationHandler {
        await gate.awaitRelease()
      } onCancel: {
        cutShort()
      }
      return closing.withLock { $0.report }
    }
    await gate.awaitQuiescence()
    var end = End(core: self, policy: policy, start: start)
    return finishClosing(await end.run())
  }

  private func beginClosing(_ policy: ClosePolicy) -> Bool {
    if gate.beginClosing() { return true }
    // Forceful is graceful with no time left: an abort cuts short the close that is under way.
    if policy == .abort { cutShort() }
    return false
  }

  private func finishClosing(_ report: CloseReport) -> CloseReport {
    closing.withLock { $0.report = report }
    leave(.passing)
    gate.finishClosing()
    return report
  }

  /// Gives the descriptor away; what was received and not read comes with it.
  ///
  /// - Throws: `.closed` when a close has begun: a server's drain ends what its handler still owns.
  func detach() throws(SocketError) -> (number: CInt, unread: [UInt8]) {
    guard gate.beginClosing() else { throw error(.detach, .closed) }
    gate.awaitQuiescence()
    if phase == .paused { try? setReuse(true, .alone) }
    advance(.detach)
    let unread = unsafe buffer.map { Array($0.bytes) } ?? []
    // The number is gone from here; leaving the gate would release it.
    let number = handOver()
    gate.finishClosing()
    return (number, unread)
  }

  private func cutShort() {
    let waker: (any Wakeable)? = closing.withLock { state in
      state.isCut = true
      guard let waker = state.waker else { return nil }
      if !waker.isLent { return waker }
      // Under the lock, so that it is not woken after it was given back.
      waker.wake()
      return nil
    }
    waker?.wake()
  }
}
