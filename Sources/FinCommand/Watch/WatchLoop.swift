import FinBase
import FinDoctor
import FinTerminal
import Glibc

/// Shows the picture and answers keys, until a key or a signal ends it.
struct WatchLoop: ~Copyable {
  /// The reason why it ended.
  enum Ending {
    case quit
    case signal(CInt)
    /// The terminal is gone.
    case gone
    /// No look succeeded.
    case failure(String, ExitStatus)
  }

  private var terminal: FullScreen
  private let looker: WatchLooker
  private let hasColour: Bool
  private var model = WatchModel()
  private var pace: WatchPace
  private var shown: Screen?
  private var isLooking = false
  /// The moment of the next look, in nanoseconds of the monotonic clock.
  private var due: Int64 = 0

  /// - Parameter moment: The moment of the history to begin with, in milliseconds since 1970; nil for the present.
  init(
    _ terminal: consuming FullScreen, _ looker: WatchLooker, every: Duration, at moment: Int64?, hasColour: Bool
  ) {
    self.terminal = terminal
    self.looker = looker
    self.hasColour = hasColour
    pace = WatchPace(every: every)
    (model.every, model.interval) = (every, every)
    let origin = ReportOrigin.thisMachine()
    model.machine.host = origin.host ?? ""
    model.machine.kernel = origin.kernel.map { String($0.split(separator: " ").dropFirst().first ?? "") } ?? ""
    if let moment {
      model.beginInThePast()
      looker.ask(.past(at: moment))
    }
  }

  /// Runs it. The terminal is given back when this returns.
  mutating func run() -> Ending {
    defer { terminal.leave() }
    guard terminal.enter() else { return .gone }
    resize()
    while true {
      let now = SystemClock.monotonic
      if !isLooking, !model.isPast, now >= due { look(now) }
      guard draw() else { return .gone }
      let left = isLooking || model.isPast ? nil : max(0, due - SystemClock.monotonic)
      switch terminal.next(within: left) {
      case .nothing: break
      case .keys(let keys):
        for key in keys { if let ending = press(key) { return ending } }
      case .resized: resize()
      case .resumed: guard resume() else { return .gone }
      case .signal(SIGTSTP): guard stop() else { return .gone }
      case .signal(let number): return .signal(number)
      case .gone: return .gone
      case .bell: if let ending = takeAnswers() { return ending }
      }
    }
  }

  private mutating func look(_ now: Int64) {
    isLooking = true
    due = now + Int64(clamping: Int(pace.interval / .nanoseconds(1)))
    looker.ask(.look(model.wanted, columns: model.columns))
  }

  private mutating func resize() {
    (model.columns, model.rows) = terminal.size
    model.settle()
    shown = nil
  }

  /// Draws what has changed.
  /// - Returns: False if the terminal is gone.
  private mutating func draw() -> Bool {
    let screen = WatchDrawing.draw(model)
    let bytes = ScreenChange.bytes(from: shown, to: screen, hasColour: hasColour)
    shown = screen
    return bytes.isEmpty || terminal.show(bytes)
  }

  private mutating func press(_ key: Key) -> Ending? {
    switch model.press(key) {
    case .nothing: break
    case .quit: return .quit
    case .interrupt: return .signal(SIGINT)
    case .stop: return stop() ? nil : .gone
    case .redraw: shown = nil
    case .look where model.isPast: explainPast()
    case .look: due = min(due, SystemClock.monotonic)
    case .step(let step): looker.ask(.step(step))
    case .report: looker.ask(.report(isPast: model.isPast))
    case .end(let targets): looker.ask(.end(targets))
    }
    model.settle()
    return nil
  }

  private func explainPast() {
    if let wanted = model.wanted { looker.ask(.explainPast(wanted, columns: model.columns)) }
  }

  private mutating func stop() -> Bool {
    terminal.stop()
    return resume()
  }

  private mutating func resume() -> Bool {
    guard terminal.enter() else { return false }
    resize()
    return true
  }

  private mutating func takeAnswers() -> Ending? {
    for answer in looker.take() {
      switch answer {
      case .look(let look):
        isLooking = false
        pace.note(look.took)
        let more = pace.interval - model.interval
        if more > .zero { due += Int64(clamping: Int(more / .nanoseconds(1))) }
        model.interval = pace.interval
        model.take(look)
        // The picture may want an explanation that was not asked for with this look.
        if !model.isPast, let wanted = model.wanted, model.explained?.subject != wanted { due = SystemClock.monotonic }
      case .explained(let subject, let lines): model.take(explanation: lines, of: subject)
      case .failure(let sentence, let status):
        isLooking = false
        if model.newest == nil, model.past == nil { return .failure(sentence, status) }
        model.take(failure: sentence)
      case .ended(let lines):
        model.take(answer: "ended", lines)
        due = SystemClock.monotonic
      case .reported(let sentence), .noStep(let sentence): model.message = sentence
      case .past(let look):
        model.take(past: look)
        if model.isPast { explainPast() }
      }
    }
    model.settle()
    return nil
  }
}
