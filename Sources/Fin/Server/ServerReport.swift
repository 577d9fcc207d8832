/// The report of a server from its start to its stop: every client, and how its connection ended.
public struct ServerReport: Sendable, CustomStringConvertible {
  /// The number of connections that ended in each way, including those aborted because their handler threw. One that a
  /// handler took with `detach()` counts as ``Ending/detached``, and one with a duplicate that outlives the handler as
  /// ``Ending/shared``.
  public internal(set) var endings: [Ending: Int] = [:]
  /// Connections that were reset at one of ``ServerLimits/conversation``'s limits, by the limit. Their handlers' errors
  /// are not counted.
  public internal(set) var overLimit: [ConversationLimits.Limit: Int] = [:]
  /// Connections that were reset because they came from no proxy of ``ServerLimits/proxies``, or without a
  /// valid header.
  public internal(set) var proxiesRefused = 0
  /// Clients of a server that secures them with which the handshake of TLS failed or took too long. Their connections
  /// were aborted, and no handler had them.
  public internal(set) var securingsFailed = 0
  /// The most recent of these errors.
  public internal(set) var lastSecuringFailure: SocketError?
  /// Bytes accepted by `send` and never acknowledged, summed over all connections.
  public internal(set) var bytesUnacknowledged = 0
  /// Handlers that threw; their connections were aborted, so that the peers learned of it.
  public internal(set) var handlersFailed = 0
  /// The first failures of handlers, 8 at most. All of them go to `onFailure`.
  public internal(set) var firstFailures: [HandlerFailure] = []
  /// The connections at the moment of the first stop.
  public internal(set) var atStop = StopCounts()
  /// Connections that were closed after the stop because neither side had ever sent a byte. Their handlers' errors are
  /// not counted.
  public internal(set) var closedSilent = 0
  /// Clients reset at once because their address already had the maximum number of connections, or because there were
  /// too many farewells already.
  public internal(set) var refused = 0
  /// Clients that were refused with ``ServerLimits/farewell``, by how their connections ended. No handler had them, and
  /// ``endings`` does not count them.
  public internal(set) var farewells: [Ending: Int] = [:]
  /// Connections aborted because the drain's time was over.
  public internal(set) var abortedAtStop = 0
  /// Handlers that had not returned when `serve` did. Their connections are closed; their threads still run.
  public internal(set) var handlersRunning = 0
  /// The number of times that accepting stopped because the process or the machine was out of descriptors or memory.
  public internal(set) var timesOutOfDescriptors = 0
  /// The number of times that accepting stopped because `accept` kept failing for another reason: a filter or a
  /// security module forbade it (`EPERM`, `EACCES`), or one client after another failed before it was accepted. The
  /// server tried again after pauses of 5 ms, growing to 1 s.
  public internal(set) var timesAcceptFailed = 0
  /// The most recent of these errors of `accept`.
  public internal(set) var lastAcceptFailure: SocketError?
  /// Clients still queued when the drain's time was over; the kernel reset them.
  public internal(set) var clientsReset = 0
  /// TCP handshakes that the client had not finished when the time for them was over: 3.5 s after the stop, or the end
  /// of the drain. Such a client may believe that it is connected; the kernel resets it when it sends.
  public internal(set) var handshakesCut = 0
  /// The error that ended the listener; `nil` if it was stopped.
  public internal(set) var failure: SocketError?

  /// Adds to the sum, which saturates at `Int.max`: a server may run as long as the machine does.
  mutating func add(bytesUnacknowledged more: Int) {
    let (sum, isTooMuch) = bytesUnacknowledged.addingReportingOverflow(more)
    bytesUnacknowledged = isTooMuch ? .max : sum
  }

  /// The connections of a server at one moment, by what their handlers did.
  public struct StopCounts: Hashable, Sendable {
    /// Neither side had sent a byte, and the handler waited for the first one.
    public internal(set) var silent = 0
    /// The handler waited between two requests, in `isNextComing(within:)`.
    public internal(set) var idle = 0
    /// All others.
    public internal(set) var busy = 0
  }

  /// Counts a failure of a handler, and keeps the first ones.
  mutating func add(_ failure: HandlerFailure) {
    handlersFailed += 1
    if firstFailures.count < 8 { firstFailures.append(failure) }
  }

  /// The number of connections that have ended: the sum of ``endings``.
  public var served: Int { endings.values.reduce(0, +) }

  /// The report as one line: `1,204 served: 1,198 peer finished, 4 reset, 2 timed out (lingering)`.
  public var description: String {
    let parts = endings.sorted { ($0.value, "\($1.key)") > ($1.value, "\($0.key)") }.map {
      "\(grouped($0.value)) \($0.key)"
    }
    var text = "\(grouped(served)) served"
    if !parts.isEmpty { text += ": " + parts.joined(separator: ", ") }
    for (count, one, many) in [
      (handlersFailed, "handler failed", "handlers failed"), (refused, "refused", "refused"),
      (farewells.values.reduce(0, +), "refused with a farewell", "refused with a farewell"),
      (proxiesRefused, "without a proxy's header", "without a proxy's header"),
      (closedSilent, "closed at the stop without a byte", "closed at the stop without a byte"),
      (abortedAtStop, "aborted at the stop", "aborted at the stop"),
      (clientsReset, "reset in the queue", "reset in the queue"),
      (handshakesCut, "handshake cut off", "handshakes cut off"),
      (timesOutOfDescriptors, "time at the descriptor limit", "times at the descriptor limit"),
      (handlersRunning, "handler still running", "handlers still running"),
      (bytesUnacknowledged, "byte not acknowledged", "bytes not acknowledged"),
    ] where count > 0 {
      text += "; \(grouped(count)) \(count == 1 ? one : many)"
    }
    for (limit, count) in overLimit.sorted(by: { $0.key.rawValue < $1.key.rawValue }) {
      text += "; \(grouped(count)) \(limit.rawValue)"
    }
    if timesAcceptFailed > 0 {
      text += "; accept failed \(grouped(timesAcceptFailed)) \(timesAcceptFailed == 1 ? "time" : "times")"
      if let lastAcceptFailure { text += " (last \(lastAcceptFailure))" }
    }
    if securingsFailed > 0 {
      text += "; \(grouped(securingsFailed)) not secured"
      if let lastSecuringFailure { text += " (last \(lastSecuringFailure))" }
    }
    if let first = firstFailures.first { text += "; first failure: \(first)" }
    if let failure { text += "; ended by: \(failure)" }
    return text
  }
}

/// A handler that threw: the peer of its connection, and the error.
public struct HandlerFailure: Sendable, CustomStringConvertible {
  /// The peer's address.
  public let remoteAddress: SocketAddress?
  /// The error that the handler threw.
  public let error: any Error

  /// The failure as one line: `192.0.2.1:4711: receive: reset by the peer`.
  public var description: String { (remoteAddress.map { "\($0): " } ?? "") + "\(error)" }
}

private func grouped(_ number: Int) -> String {
  var digits = String(number)
  var position = digits.count - 3
  while position > 0 {
    digits.insert(",", at: digits.index(digits.startIndex, offsetBy: position))
    position -= 3
  }
  return digits
}
