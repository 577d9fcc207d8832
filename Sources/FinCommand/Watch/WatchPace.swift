/// The time between looks, which grows if looks take longer than it.
struct WatchPace: Sendable {
  /// The time that was asked for.
  let every: Duration
  private(set) var interval: Duration

  init(every: Duration) {
    self.every = every
    interval = every
  }

  /// Notes the time that a look took. A machine that is busy with looks is not watched but burdened, so a look that
  /// takes longer than the time between two is followed by a pause of the same length.
  mutating func note(_ took: Duration) {
    if took <= every {
      // Half of the way back: one fast look among slow ones changes little.
      interval = interval <= every * 1.25 ? every : every + (interval - every) / 2
    } else {
      interval = max(took * 2, every)
    }
  }
}
