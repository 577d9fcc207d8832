/// A time limit of a pump.
public enum PumpLimit: Hashable, Sendable, CustomStringConvertible {
  /// No byte moved in either direction for the time of `idle`.
  case idle
  /// One side had finished, and no byte moved in the other direction for the time of `halfClosed`.
  case halfClosed
  /// The pump lasted longer than `within`.
  case whole

  public var description: String {
    switch self {
    case .idle: "no byte moved"
    case .halfClosed: "no byte moved after one side had finished"
    case .whole: "it lasted too long"
    }
  }
}

/// The way in which one direction of a pump ended, and what its destination got as the end.
public enum PumpEnding: Hashable, Sendable, CustomStringConvertible {
  /// The source finished, and the destination got a FIN after the last byte.
  case finished
  /// The source was reset, or lost by the kernel, and the destination was reset after the last byte.
  case reset
  /// A secured source ended without close_notify, and the destination was reset after the last byte: what came may be a
  /// part only.
  case truncated
  /// The destination ended first: its peer reset it, or closed it. The source was reset.
  case undeliverable
  /// A time limit of the pump passed, and both sides were reset.
  case timedOut(PumpLimit)
  /// One of the connections was closed from elsewhere, as a server's drain does, or the task was cancelled. Both sides
  /// were reset.
  case closed

  public var description: String {
    switch self {
    case .finished: "finished"
    case .reset: "reset"
    case .truncated: "truncated"
    case .undeliverable: "undeliverable"
    case .timedOut(let limit): "timed out (\(limit))"
    case .closed: "closed"
    }
  }
}

/// One direction of a pump: how much was moved, and how it ended.
public struct PumpedStream: Hashable, Sendable, CustomStringConvertible {
  /// The bytes that the kernel of this machine accepted for the destination. The destination's ``CloseReport`` has the
  /// number of those that its peer did not acknowledge.
  public let bytes: Int
  /// The bytes that were received from the source, and that the destination did not accept before it ended.
  public let bytesLost: Int
  /// The way in which the direction ended.
  public let ending: PumpEnding

  /// Makes a value for tests of code that reads reports.
  public init(bytes: Int, bytesLost: Int = 0, ending: PumpEnding) {
    self.bytes = bytes
    self.bytesLost = bytesLost
    self.ending = ending
  }

  /// The bytes and the ending, such as `1000 bytes, finished`.
  public var description: String {
    "\(bytes) bytes" + (bytesLost > 0 ? " (\(bytesLost) more lost)" : "") + ", \(ending)"
  }
}

/// The report of a pump: how each connection was closed, and what went each way.
public struct PumpReport: Hashable, Sendable, CustomStringConvertible {
  /// The close of the first connection.
  public let first: CloseReport
  /// The close of the second connection.
  public let second: CloseReport
  /// The direction from the first connection to the second.
  public let forward: PumpedStream
  /// The direction from the second connection to the first.
  public let backward: PumpedStream

  /// Makes a report with these values, for tests of code that reads reports.
  public init(first: CloseReport, second: CloseReport, forward: PumpedStream, backward: PumpedStream) {
    self.first = first
    self.second = second
    self.forward = forward
    self.backward = backward
  }

  /// Whether both sides finished, and both peers are known to have all that the other one sent.
  public var isDelivered: Bool {
    forward.ending == .finished && backward.ending == .finished && first.isDelivered && second.isDelivered
  }

  public var description: String { "forward \(forward); backward \(backward)" }
}
