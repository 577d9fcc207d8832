/// What a program says of a socket of its own: in the ledger that Fin keeps, and that it has published.
///
/// It is the program's word, and no more than that. It is taken only for sockets that the program itself holds.
public struct PublishedSocket: Hashable, Sendable {
  /// `Module/File.swift`, made visible.
  public var file: String
  /// The line that opened it.
  public var line: UInt32
  /// When it was opened: nanoseconds of `CLOCK_MONOTONIC`. Nil when what stands there makes no sense.
  public var opened: UInt64?
  /// Where it is in its life.
  public var phase: Phase
  /// Until when somebody waits for input, or for the end of a close.
  public var input = Wait.none
  /// Until when somebody waits for room to send.
  public var output = Wait.none
  /// What the program declared to be meant.
  public var purpose: Purpose = []
  /// Until when that holds: nanoseconds of `CLOCK_MONOTONIC`.
  public var purposeEnds: UInt64 = 0
  /// Whether another process wrote this, of which this one was forked: the line is true, the rest was.
  public var isInherited = false

  /// From its parts.
  init(file: String, line: UInt32, phase: Phase) {
    self.file = file
    self.line = line
    self.phase = phase
  }

  /// `Server/Handler.swift:112`
  public var site: String { "\(file):\(line)" }

  /// Whether somebody waits, and how long.
  public enum Wait: Hashable, Sendable {
    /// Nobody does.
    case none
    /// Until this moment of `CLOCK_MONOTONIC`, in nanoseconds.
    case until(UInt64)
    /// Without end.
    case forever

    init(_ number: UInt64) {
      switch number {
      case 0: self = .none
      case .max: self = .forever
      default: self = .until(number)
      }
    }
  }

  /// Fin's phases.
  public enum Phase: UInt8, CaseIterable, Hashable, Sendable, CustomStringConvertible {
    /// Made, without a name.
    case fresh
    /// Has a local address.
    case bound
    /// A handshake is under way.
    case connecting
    /// Takes clients.
    case listening
    /// Keeps its port and takes no clients.
    case paused
    /// Takes the clients that are queued already, and no more.
    case stopping
    /// Both directions are open.
    case connected
    /// The program has finished sending.
    case sendFinished
    /// The program has read the peer's end of file.
    case peerFinished
    /// Both.
    case bothFinished
    /// A reset or a time-out was heard.
    case failed
    /// Closing: waits until all is acknowledged.
    case confirming
    /// Closing: the peer has finished; waits until all is acknowledged.
    case confirmingLast
    /// Closing: reads and discards.
    case lingering
    /// Closing: all is acknowledged; reads and discards.
    case lingeringAcknowledged
    /// Released.
    case closed

    /// Whether a close has begun.
    public var isClosing: Bool { rawValue >= Phase.confirming.rawValue }

    public var description: String {
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

  /// What a program can declare.
  public struct Purpose: OptionSet, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt8

    public init(rawValue: UInt8) { self.rawValue = rawValue }

    /// One side has finished, the other goes on.
    public static let halfClosed = Purpose(rawValue: 1)
    /// What has arrived is left unread.
    public static let notReading = Purpose(rawValue: 2)
    /// Nothing may pass for a long time.
    public static let idle = Purpose(rawValue: 4)
    /// It waits in a pool.
    public static let kept = Purpose(rawValue: 8)

    public var description: String {
      let names: [(Purpose, String)] = [
        (.halfClosed, "half closed"), (.notReading, "not reading"), (.idle, "idle"), (.kept, "kept"),
      ]
      return names.filter { contains($0.0) }.map(\.1).joined(separator: ", ")
    }
  }

  /// The earliest end of a wait that has one.
  public var deadline: UInt64? {
    [input, output].compactMap { if case .until(let end) = $0 { end } else { nil } }.min()
  }
}

/// What a program publishes of its sockets, as far as it holds them.
public struct ProgramLedger: Sendable {
  /// By the descriptor in that program.
  public var sockets: [Int32: PublishedSocket] = [:]
  /// When it was read: nanoseconds of `CLOCK_MONOTONIC`.
  public var when: UInt64

  /// Nothing yet.
  init(when: UInt64) { self.when = when }
}
