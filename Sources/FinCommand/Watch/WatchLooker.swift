import FinBase
import FinDoctor
import FinTerminal
import Glibc
import Synchronization

/// The thread that looks at the machine, so that keys are answered meanwhile. It does one thing after the other: there
/// is never more than one look at a time.
final class WatchLooker: Sendable {
  /// A task for the thread.
  enum Request: Sendable {
    /// A look, with an explanation of this subject.
    case look(WatchSubject?, columns: Int)
    /// Ends these sockets, each known by its cookie.
    case end([WatchTarget])
    /// Writes the page of `fin report` into the current folder, about the present or the look of the history.
    case report(isPast: Bool)
    /// The look of the history at this moment, in milliseconds since 1970.
    case past(at: Int64)
    case step(WatchStep)
    /// An explanation of a subject of the look of the history.
    case explainPast(WatchSubject, columns: Int)
  }

  /// An answer of the thread.
  enum Answer: Sendable {
    case look(WatchLook)
    case explained(WatchSubject, [String])
    /// The reason why there is no look, and the status of a command that had none.
    case failure(String, ExitStatus)
    case ended([String])
    case reported(String)
    case past(WatchPast)
    /// The reason why there is no look before or after, as a sentence.
    case noStep(String)
  }

  private let options: Census.Options
  private let namespace: String?
  private let choice: WatchChoice
  private let past: WatchPastLooks
  private let heard: Bell
  private let called: Bell
  private let requests = Mutex<[Request]>([])
  private let answers = Mutex<[Answer]>([])

  /// - Parameters:
  ///   - options: The data to read.
  ///   - namespace: The network namespace to look at, by name or inode; nil for all.
  ///   - choice: The findings and programs to watch.
  ///   - past: The history, of which no look is shown yet.
  ///   - bell: Rings when there is an answer.
  /// - Throws: A `KernelError` when there is no descriptor.
  init(
    _ options: Census.Options, namespace: String?, _ choice: WatchChoice, _ past: WatchPastLooks, ringing bell: Bell
  ) throws(KernelError) {
    var options = options
    // A program may be between `socket` and `connect`. The next look sees whether it still is.
    options.secondLook = .milliseconds(20)
    self.options = options
    self.namespace = namespace
    self.choice = choice
    self.past = past
    heard = bell
    called = try Bell()
  }

  /// Starts the thread.
  /// - Returns: Whether there is one.
  func start() -> Bool {
    DetachedThread.start(stack: 4 << 20) { [self] in
      var looks = RepeatedLooks(options, waits: false)
      var taking = WatchTaking(choice)
      var past = past
      while true {
        called.wait(atMost: nil)
        while let request = requests.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) {
          switch request {
          case .look(let subject, let columns): look(&looks, &taking, subject, columns: columns)
          case .end(let targets): answer(.ended(WatchEnding(options).lines(ending: targets)))
          case .report(let isPast): answer(.reported(report(isPast ? past : nil)))
          case .past(let moment): show(at: moment, &past, &taking)
          case .step(let step): take(step, &past, &taking)
          case .explainPast(let subject, let columns):
            answer(.explained(subject, past.lines(about: subject, columns: columns)))
          }
        }
      }
    } == 0
  }

  func ask(_ request: Request) {
    requests.withLock { $0.append(request) }
    called.ring()
  }

  /// The answers since the last call.
  func take() -> [Answer] {
    answers.withLock { answers in
      defer { answers = [] }
      return answers
    }
  }

  private func answer(_ answer: Answer) {
    answers.withLock { $0.append(answer) }
    heard.ring()
  }

  private func look(
    _ looks: inout RepeatedLooks, _ taking: inout WatchTaking, _ subject: WatchSubject?, columns: Int
  ) {
    let begun = SystemClock.monotonic
    var isThere = true
    do {
      let found = try looks.next { census in
        guard let namespace else { return }
        let places = Self.places(of: namespace, in: census)
        isThere = !places.isEmpty
        census.keep(namespaces: places)
      }
      guard isThere else {
        return answer(.failure("no visible network namespace is called \(visible(namespace ?? ""))", .unavailable))
      }
      var look = taking.look(at: found.census, found.outcome.findings, budgets: found.outcome.budgets)
      look.took = .nanoseconds(SystemClock.monotonic - begun)
      answer(.look(look))
      if let subject {
        let explanation = WatchExplanation(columns: columns, found.census, found.outcome.findings)
        answer(.explained(subject, explanation.lines(about: subject)))
      }
    } catch {
      answer(.failure("\(error)", .kernelFailure))
    }
  }

  private func show(at moment: Int64, _ past: inout WatchPastLooks, _ taking: inout WatchTaking) {
    do throws(HistoryFault) {
      answer(.past(try past.look(at: moment, &taking)))
    } catch {
      answer(.failure(error.description, error.status))
    }
  }

  private func take(_ step: WatchStep, _ past: inout WatchPastLooks, _ taking: inout WatchTaking) {
    do throws(HistoryFault) {
      if let look = try past.look(step, &taking) { return answer(.past(look)) }
      answer(.noStep("this is the \(step == .before ? "first" : "last") look of the history"))
    } catch {
      answer(.noStep("no look is shown: \(error)"))
    }
  }

  static func places(of namespace: String, in census: Census) -> Set<Int> {
    Set(
      census.namespaces.indices.filter { place in
        census.namespaces[place].name == namespace || "\(census.namespaces[place].inode)" == namespace
      })
  }

  /// Writes the page, and returns a sentence about it.
  /// - Parameter past: The history whose look the page is about; nil for the present.
  private func report(_ past: WatchPastLooks?) -> String {
    do {
      if let subject = try past?.subject() { return try write(subject) }
      var record = try CensusRecord.take(options, without: getpid())
      if let namespace { record.census.keep(namespaces: Self.places(of: namespace, in: record.census)) }
      return try write(try ReportSubject(record, choice.mutes, .thisMachine()))
    } catch let refusal as ReplacedFile.Refusal {
      return "the report was not written: \(refusal.reason)"
    } catch {
      return "the report was not written: \(error)"
    }
  }

  private func write(_ subject: ReportSubject) throws -> String {
    let path = ReportCommand.fileName(subject)
    try ReplacedFile.write(ReportPage(subject).document, to: path, mode: 0o600)
    return "wrote \(visible(path)): \(subject.verdict)"
  }
}
