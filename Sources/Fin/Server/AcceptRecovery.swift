internal import SystemPackage

/// The state of a server that keeps accepting through errors: its spare descriptors, and the pause before the
/// next attempt.
struct AcceptRecovery: ~Copyable {
  var reserve: SpareDescriptors
  private var room = Backoff()
  private var refusals = Backoff()

  /// How a server continues after a failed accept.
  enum Way {
    /// Close the spare descriptors, and reopen them before the next attempt.
    case awaitRoom
    /// Make the next attempt after this time.
    case rest(Duration)
    /// Stop accepting: the listener itself has failed.
    case end
  }

  init(_ limits: ServerLimits) {
    reserve = SpareDescriptors(limits.descriptorsInReserve)
    reserve.fill()
  }

  /// Resets the pauses: a client was accepted, so the errors are over.
  mutating func succeeded() {
    room.reset()
    refusals.reset()
  }

  /// Decides how to continue after an error. An error that leads to a pause is counted in the report, once until the
  /// next success.
  mutating func way(after error: SocketError, _ listener: Core, _ report: inout ServerReport) -> Way {
    guard case .system(let code) = error.cause else { return .end }
    switch listener.acceptFailure(code) {
    case .capacity: return .awaitRoom
    case .client, .refused:
      if refusals.isFirst { report.timesAcceptFailed += 1 }
      report.lastAcceptFailure = error
      defer { refusals.grow() }
      return .rest(refusals.pause)
    case .listener: return .end
    }
  }

  /// Closes the spare descriptors, and counts that in the report, once until the next success.
  mutating func letGo(_ report: inout ServerReport) {
    if room.isFirst { report.timesOutOfDescriptors += 1 }
    reserve.empty()
  }

  /// Returns the pause before the next attempt to reopen the spare descriptors.
  mutating func nextPause() -> Duration {
    defer { room.grow() }
    return room.pause
  }
}
