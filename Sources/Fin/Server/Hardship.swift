internal import SystemPackage

/// Accepting that goes on through errors: what is kept back for it, and how long the next try has to wait.
struct Hardship: ~Copyable {
  var reserve: Reserve
  private var room = Backoff()
  private var refusals = Backoff()

  /// How a server goes on after an accept has failed.
  enum Way {
    /// The reserve is let go, and had again before the next try.
    case awaitRoom
    /// The next try is made after this time.
    case rest(Duration)
    /// The listener is at its end.
    case end
  }

  init(_ limits: Limits) {
    reserve = Reserve(limits.descriptorsInReserve)
    reserve.fill()
  }

  /// A client was taken: what was wrong is over.
  mutating func succeeded() {
    room.reset()
    refusals.reset()
  }

  /// Counts an error in the report, once until the next success.
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

  /// Lets go of the reserve, and counts that in the report, once until the next success.
  mutating func letGo(_ report: inout ServerReport) {
    if room.isFirst { report.timesOutOfDescriptors += 1 }
    reserve.empty()
  }

  /// How long to wait before the reserve is tried for again.
  mutating func nextPause() -> Duration {
    defer { room.grow() }
    return room.pause
  }
}
