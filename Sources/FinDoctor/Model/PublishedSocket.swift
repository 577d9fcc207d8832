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
      case 0: self = .none
      case .max: self = .forever
      default: self = .until(number)
      }
    }
  }

  /// The phases of a socket in Fin.
  package enum Phase: UInt8, CaseIterable, Hashable, Sendable, CustomStringConvertible {
    /// Created, without an address.
    case fresh
    /// Has a local address.
    case bound
    /// A connect attempt is under way.
    case connecting
    /// Accepts clients.
    case listening
    /// Keeps its port and accepts no clients.
    case paused
    /// Accepts the clients that are already queued, and no more.
    case stopping
    /// Both directions are open.
    case connected
    /// The program has finished sending.
    case sendFinished
    /// The program has read the peer's end of file.
    case peerFinished
    /// Both directions have finished.
    case bothFinished
    /// A reset or a timeout has ended the connection.
    case failed
    /// Closing: waits until everything is acknowledged.
    case confirming
    /// Closing: the peer has finished; waits until everything is acknowledged.
    case confirmingLast
    /// Closing: reads and discards.
    case lingering
    /// Closing: everything is acknowledged; reads and discards.
    case lingeringAcknowledged
    /// The descriptor is released.
    case closed

    /// Whether a close has begun.
    package var isClosing: Bool { rawValue >= Phase.confirming.rawValue }

    package var description: String {
      switch self {
      case .fresh: "fresh"
      case .bound: "bound"
      case .connecting: "connecting"
      case .listening: "listening"
      case .paused: "paused"
      case .stopping: "stopping"
      case .connected: "connected"
      case .sendFinished: "send finished"
      case .peerFinished: "peer finished"
      case .bothFinished: "both finished"
      case .failed: "failed"
      case .confirming: "confirming"
      case .confirmingLast: "confirming last"
      case .lingering: "lingering"
      case .lingeringAcknowledged: "lingering, acknowledged"
      case .closed: "closed"
      }
    }
  }

  /// The intents that a program can declare.
  package struct Intent: OptionSet, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt8

    package init(rawValue: UInt8) { self.rawValue = rawValue }

    /// One side has finished, and the other continues.
    package static let halfClosed = Intent(rawValue: 1)
    /// Received data is left unread.
    package static let readPaused = Intent(rawValue: 2)
    /// No data may pass for a long time.
    package static let idle = Intent(rawValue: 4)
    /// The connection waits in a pool.
    package static let pooled = Intent(rawValue: 8)

    package var description: String {
      let names: [(Intent, String)] = [
        (.halfClosed, "half closed"), (.readPaused, "reading paused"), (.idle, "idle"), (.pooled, "pooled"),
      ]
      return names.filter { contains($0.0) }.map(\.1).joined(separator: ", ")
    }
  }

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
