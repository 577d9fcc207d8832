#if DEBUG
internal import FinBase
internal import Synchronization

/// A job that held an event loop, found in a debug build.
struct HeldLoop: Sendable {
  let time: Duration
  /// The place where the last socket that was used on the loop was opened; `nil` when none was used.
  let site: Ledger.Site?
  /// Whether the job itself used that socket.
  let isOwn: Bool

  /// The message for the program's author.
  var text: String {
    let start = "a job held an event loop for \(time.text), and no other task of that loop could run; "
    let end = ". Work that blocks belongs into Reactor.blocking { }. (Debug builds say this once for each place.)"
    guard let site else { return start + "no socket had been used there before" + end }
    let place = "opened at \(site.file):\(site.line)"
    return start + (isOwn ? "it used a socket \(place)" : "the last socket used there before was \(place)") + end
  }

  /// Writes the message to standard error, once for each place.
  static let report: @Sendable (HeldLoop) -> Void = { held in
    let place = held.site.map { "\($0.file):\($0.line)" } ?? ""
    let isNew = places.withLock { $0.count < 64 && $0.insert(place).inserted }
    if isNew { StandardError.write(held.text) }
  }

  private static let places = Mutex<Set<String>>([])
}

/// Notices jobs that hold an event loop, in debug builds. A loop's own thread uses it.
struct HoldWatch {
  /// The time from which on a job is reported.
  static let bound = Duration.milliseconds(100)

  private let report: @Sendable (HeldLoop) -> Void
  private var site: Ledger.Site?
  private var isOwn = false

  init(_ report: @escaping @Sendable (HeldLoop) -> Void) { self.report = report }

  /// Records that the job uses a socket.
  mutating func use(of site: Ledger.Site) {
    self.site = site
    isOwn = true
  }

  /// The state of the thread before a job.
  typealias Beginning = (moment: Instant, use: ThreadUse)

  mutating func begin() -> Beginning {
    isOwn = false
    return (.now, .now)
  }

  func end(_ beginning: Beginning) {
    let time = beginning.moment.elapsed
    guard time >= HoldWatch.bound else { return }
    // A thread that only had no processor for a while, on a busy machine, was held by no job.
    let use = ThreadUse.now
    let hasSlept = use.sleeps != beginning.use.sleeps
    guard hasSlept || use.processor - beginning.use.processor >= HoldWatch.bound else { return }
    report(HeldLoop(time: time, site: site, isOwn: isOwn))
  }
}
#endif
