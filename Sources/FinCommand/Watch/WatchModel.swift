import FinDoctor
import FinTerminal

/// All that `fin watch` shows, and how keys and looks change it. It is a value: a picture follows from it alone.
struct WatchModel: Sendable {
  /// The machine, as the head of the picture names it.
  struct Machine: Sendable {
    var host = ""
    var kernel = ""
  }

  /// The chosen line of a pane, and the first one that is visible.
  struct Cursor: Sendable {
    var key: WatchKey?
    var line = 0
    var top = 0
  }

  /// A text that is being typed.
  enum Input: Equatable, Sendable {
    case filter(String)
    /// The number of sockets to end.
    case count(String)
  }

  /// A text in the place of the pane.
  enum Overlay: Sendable {
    /// A finding, by its number.
    case finding(Int, WatchStage)
    case explanation(WatchSubject)
    case help
    case difference
    case command([String])
    case ending([WatchTarget])
    /// The answer of the looking thread to a task.
    case answer(title: String, [String])
  }

  var machine = Machine()
  /// The time between looks that was asked for.
  var every = Duration.seconds(1)
  /// The time between looks.
  var interval = Duration.seconds(1)
  var columns = 80
  var rows = 24
  /// The look that is shown; nil before the first one.
  private(set) var look: WatchLook?
  private(set) var newest: WatchLook?
  private(set) var isFrozen = false
  /// The look of the history that was shown last; nil without --at.
  private(set) var past: WatchPast?
  /// Whether the picture is one of the history.
  private(set) var isPast = false
  private(set) var pane = WatchPane.findings
  private(set) var filter = WatchFilter()
  private(set) var filterText = ""
  private(set) var cursors: [WatchPane: Cursor] = [:]
  private(set) var sorts: [WatchPane: Int] = [:]
  private(set) var reversed: Set<WatchPane> = []
  var input: Input?
  private(set) var overlay: Overlay?
  private(set) var scroll = 0
  private(set) var mark: WatchLook?
  var message: String?
  /// The last explanation, for its subject.
  private(set) var explained: (subject: WatchSubject, lines: [String])?
  /// The reason why the last look failed.
  private(set) var failure: String?
  /// The lines of the pane, as positions in the look's list.
  private(set) var lines: [Int] = []

  // MARK: Looks

  /// Takes a look over. A frozen picture keeps the one that it shows.
  mutating func take(_ look: WatchLook) {
    newest = look
    failure = nil
    if isFrozen || isPast { return }
    show(look)
  }

  /// Begins in the history: the picture waits for its look.
  mutating func beginInThePast() { isPast = true }

  /// Takes a look of the history over. A person who has gone on to the present sees it on the way back.
  mutating func take(past look: WatchPast) {
    past = look
    if isPast { show(look.look) }
  }

  mutating func take(explanation lines: [String], of subject: WatchSubject) { explained = (subject, lines) }

  mutating func take(failure sentence: String) { failure = sentence }

  mutating func take(answer title: String, _ lines: [String]) { open(.answer(title: title, lines)) }

  private mutating func show(_ look: WatchLook) {
    self.look = look
    arrange()
  }

  /// The subject that the looking thread explains with each look.
  var wanted: WatchSubject? {
    switch overlay {
    case .explanation(let subject): subject
    case .finding(let number, .explanation): finding(number)?.subject
    case .finding, .help, .difference, .command, .ending, .answer, nil: nil
    }
  }

  func finding(_ number: Int) -> WatchFinding? { look?.findings.first { $0.number == number } }

  // MARK: The chosen line

  var cursor: Cursor { cursors[pane] ?? Cursor() }
  var sort: WatchSort { pane.sorts.isEmpty ? .worst : pane.sorts[(sorts[pane] ?? 0) % pane.sorts.count] }
  var isReversed: Bool { reversed.contains(pane) }

  /// The number of lines of the pane that fit.
  var room: Int {
    let height = max(1, rows - WatchDrawing.frame)
    return pane == .findings ? WatchFindingsPane.room(in: height) : max(1, height - 1)
  }

  /// Makes the list of lines again, and keeps the choice on the same thing.
  mutating func arrange() {
    guard let look else { return }
    lines = WatchOrder.lines(of: pane, in: look, filter, by: sort, reversed: isReversed)
    var cursor = cursor
    if let key = cursor.key, lines.indices.contains(cursor.line),
      WatchOrder.key(of: lines[cursor.line], pane, in: look) == key
    {
      // It is where it was.
    } else if let key = cursor.key,
      let line = lines.firstIndex(where: { WatchOrder.key(of: $0, pane, in: look) == key })
    {
      // At the top, the choice stays at the top, unless a person has moved it.
      cursor.line = line
    }
    cursors[pane] = cursor
    settle()
  }

  /// Brings the choice into the list, and the list so that the choice is visible.
  mutating func settle() {
    var cursor = cursor
    cursor.line = min(max(cursor.line, 0), max(0, lines.count - 1))
    cursor.top = min(max(cursor.top, cursor.line - room + 1, 0), cursor.line)
    cursor.top = min(cursor.top, max(0, lines.count - room))
    if cursor.key != nil, let look, lines.indices.contains(cursor.line) {
      cursor.key = WatchOrder.key(of: lines[cursor.line], pane, in: look)
    }
    cursors[pane] = cursor
    scroll = min(max(scroll, 0), max(0, overlayLines.count - overlayRoom))
  }

  /// Moves the choice. From then on it stays with the thing that is chosen.
  mutating func move(to line: Int) {
    guard let look, !lines.isEmpty else { return }
    var cursor = cursor
    cursor.line = min(max(line, 0), lines.count - 1)
    cursor.key = WatchOrder.key(of: lines[cursor.line], pane, in: look)
    cursors[pane] = cursor
    settle()
  }

  mutating func show(_ pane: WatchPane) {
    self.pane = pane
    close()
    arrange()
  }

  mutating func sortNext() {
    guard !pane.sorts.isEmpty else { return message = "the lifecycle has an order of its own" }
    sorts[pane] = ((sorts[pane] ?? 0) + 1) % pane.sorts.count
    message = "sorted by \(sort.rawValue)"
    startAgain()
  }

  mutating func reverse() {
    guard !pane.sorts.isEmpty else { return message = "the lifecycle has an order of its own" }
    reversed.formSymmetricDifference([pane])
    startAgain()
  }

  private mutating func startAgain() {
    cursors[pane] = Cursor()
    arrange()
  }

  /// Filters by this text; a text that is no filter changes nothing, and the message says why.
  mutating func setFilter(_ text: String) {
    do throws(WatchFilter.Problem) {
      filter = try WatchFilter(text)
      filterText = filter.isEmpty ? "" : text
      startAgain()
    } catch {
      message = error.sentence
    }
  }

  /// The machine of the picture.
  var place: Machine { isPast ? past?.machine ?? Machine() : machine }

  /// Goes from the history to the present, or back.
  /// - Returns: Whether the present is shown now.
  mutating func goBetweenTimes() -> Bool {
    guard let past else {
      message = "b goes between a look of the history and the present: fin watch --at"
      return false
    }
    if isPast, !past.machine.host.isEmpty, !machine.host.isEmpty, past.machine.host != machine.host {
      message = "the history is of \(past.machine.host), and this machine is \(machine.host)"
      return false
    }
    isPast.toggle()
    isFrozen = false
    if isPast {
      show(past.look)
    } else if let newest {
      show(newest)
    } else {
      (look, lines) = (nil, [])
    }
    return !isPast
  }

  mutating func freeze() {
    if isPast { return message = "a look of the history stands still: b shows the present" }
    isFrozen.toggle()
    if !isFrozen, let newest { show(newest) }
  }

  mutating func setMark() {
    mark = look
    message = look == nil ? "there is no look yet" : "marked: d shows the difference from here"
  }

  // MARK: Texts in the place of the pane

  mutating func open(_ overlay: Overlay) {
    self.overlay = overlay
    scroll = 0
  }

  mutating func close() {
    (overlay, scroll, input) = (nil, 0, nil)
  }

  mutating func scroll(to line: Int) {
    scroll = line
    settle()
  }

  /// The lines of the text in the place of the pane.
  var overlayLines: [String] { overlay.map { WatchText(self).lines(of: $0) } ?? [] }
  /// The number of its lines that fit below its title.
  var overlayRoom: Int { max(1, rows - WatchDrawing.frame - 1) }
}

/// The parts of a finding that Enter shows, one after the other.
enum WatchStage: Int, Sendable {
  case evidence, fix, explanation
}
