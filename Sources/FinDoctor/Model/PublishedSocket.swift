package import FinBase

/// A program's own data about one of its sockets, from the ledger that Fin keeps and the program has published.
///
/// It is only the program's word. It is accepted only for sockets that the program itself holds.
package struct PublishedSocket: Hashable, Sendable {
  /// The source file that opened it, as `Module/File.swift`, escaped for printing.
  package var file: String
  /// The line that opened it.
  package var line: UInt32
  /// The time of opening: nanoseconds of `CLOCK_MONOTONIC`. Nil when the recorded time lies in the future.
  package var opened: UInt64?
  /// The phase of its life.
  package var phase: Phase
  /// The running wait for input, or for the end of a close.
  package var input = Wait.none
  /// The running wait for room to send.
  package var output = Wait.none
  /// The intent that the program declared.
  package var intent: Intent = []
  /// The time at which the intent expires: nanoseconds of `CLOCK_MONOTONIC`.
  package var intentEnds: UInt64 = 0
  /// Whether the entry was not written for this descriptor of this process: a process wrote it from which this one was
  /// forked, or the program made a second descriptor without Fin. The line is true; the rest was true where it
  /// was written.
  package var isInherited = false

  /// Makes one from its values.
  init(file: String, line: UInt32, phase: Phase) {
    self.file = file
    self.line = line
    self.phase = phase
  }

  /// The place that opened it: `Server/Handler.swift:112`
  package var site: String { "\(file):\(line)" }

  /// Whether an operation waits, and until when.
  package enum Wait: Hashable, Sendable {
    /// No operation waits.
    case none
    /// An operation waits until this moment of `CLOCK_MONOTONIC`, in nanoseconds.
    case until(UInt64)
    /// An operation waits without a deadline.
    case forever

    init(_ number: UInt64) {
      switch number {
      case LedgerFormat.noWait: self = .none
      case LedgerFormat.noDeadline: self = .forever
      default: self = .until(number)
      }
    }
  }

  /// The phases of a socket in Fin.
  package typealias Phase = LedgerFormat.Phase
  /// The intents that a program can declare.
  package typealias Intent = LedgerFormat.Intent

  /// The earliest deadline of the running waits.
  package var deadline: UInt64? {
    [input, output].compactMap { if case .until(let end) = $0 { end } else { nil } }.min()
  }
}

/// The data that a program publishes about the sockets that it holds.
package struct ProgramLedger: Sendable {
  /// The sockets, by their descriptor in that program.
  package var sockets: [Int32: PublishedSocket] = [:]
  /// The time of reading: nanoseconds of `CLOCK_MONOTONIC`.
  package var when: UInt64

  /// Makes an empty ledger.
  init(when: UInt64) { self.when = when }
}
