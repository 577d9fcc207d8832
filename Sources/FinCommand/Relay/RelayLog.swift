import Fin
import FinBase
import FinDoctor
import FinTerminal
import Synchronization

/// The lines of `fin relay`, one for each connection that has ended; as text, or as JSON by the schema that
/// `fin help json relay` prints.
///
/// A line that cannot be written stops the relay.
final class RelayLog: Sendable {
  private let inJSON: Bool
  private let server: ServeStop
  private let rates: RelayRates
  private let error = Mutex<KernelError?>(nil)
  private let cut = Mutex(0)

  init(inJSON: Bool, _ server: ServeStop, _ rates: RelayRates) {
    self.inJSON = inJSON
    self.server = server
    self.rates = rates
  }

  /// The error for which a line could not be written.
  var failure: KernelError? { error.withLock { $0 } }

  /// The number of connections that the end of the relay's time has cut short.
  var cutShort: Int { cut.withLock { $0 } }

  func listening(at addresses: [SocketAddress], _ targets: [String], isTakenOver: Bool) {
    if !inJSON {
      let places = addresses.map { "\($0)" }.joined(separator: ", ")
      let ends = targets.map { printable($0.utf8, limit: 128) }.joined(separator: ", then ")
      return write("listening at \(places), for \(ends)\(isTakenOver ? ", taken over" : "")")
    }
    write("listening") { json in
      json.write("isTakenOver", flag: isTakenOver)
      json.array("addresses") { json in for address in addresses { json.write(string: "\(address)") } }
      json.array("targets") { json in for target in targets { json.write(string: target) } }
    }
  }

  func ended(_ relayed: RelayedConnection) {
    if relayed.isCutShort { cut.withLock { $0 += 1 } }
    if inJSON { write("ended") { Self.write(relayed, to: &$0) } } else { write(Self.line(relayed)) }
  }

  /// A client whose connection did not begin, such as one without a proxy's header.
  func refused(_ failure: HandlerFailure) {
    let client = failure.remoteAddress.map { "\($0)" } ?? "unknown"
    guard inJSON else { return write("\(client): refused (\(failure.error))") }
    write("refused") { json in
      json.write("client", string: client)
      json.write("reason", string: "\(failure.error)")
    }
  }

  func handedOver(_ report: HandoverReport) {
    guard inJSON else { return write("\(report)") }
    write("handedOver") { json in
      json.write("successor", number: UInt64(report.successor.pid))
      json.write("attemptsFailed", number: UInt64(report.attemptsFailed))
    }
  }

  func stopped(_ report: ServerReport, _ status: ExitStatus) {
    rates.end()
    guard inJSON else { return write("stopped: \(report)") }
    write("stopped") { json in
      json.write("status", number: UInt64(status.rawValue))
      json.write("served", number: UInt64(report.served))
      json.write("refused", number: UInt64(report.refused))
      json.write("proxiesRefused", number: UInt64(report.proxiesRefused))
      json.write("abortedAtStop", number: UInt64(max(report.abortedAtStop, cutShort)))
      json.write("handlersRunning", number: UInt64(report.handlersRunning))
      json.write("clientsReset", number: UInt64(report.clientsReset))
      json.write("timesOutOfDescriptors", number: UInt64(report.timesOutOfDescriptors))
      if let failure = report.failure { json.write("failure", string: "\(failure)") }
    }
  }

  // MARK: A connection

  /// `127.0.0.1:40312 to 10.0.0.7:80: both finished; 12 bytes there, 3,400 back; 0.4 ms`
  static func line(_ relayed: RelayedConnection) -> String {
    var text = relayed.client
    if let original = relayed.original { text += " for \(original)" }
    if let target = relayed.target { text += " to \(target)" }
    guard let report = relayed.report else {
      return text + ": reset (\(relayed.reason ?? "no reason")); \(Phrase.time(relayed.nanoseconds))"
    }
    let (there, back) = (report.forward, report.backward)
    text += ": " + endings(there.ending, back.ending)
    text += "; \(Phrase.noun(there.bytes, "byte")) there, \(Phrase.number(back.bytes)) back"
    if there.bytesLost > 0 { text += "; \(Phrase.noun(there.bytesLost, "byte")) of the client's lost" }
    if back.bytesLost > 0 { text += "; \(Phrase.noun(back.bytesLost, "byte")) of the target's lost" }
    for (close, name) in [(report.second, "target"), (report.first, "client")] where close.bytesUnacknowledged > 0 {
      text += "; \(Phrase.noun(close.bytesUnacknowledged, "byte")) not acknowledged by the \(name)"
    }
    return text + "; \(Phrase.time(relayed.nanoseconds))"
  }

  /// `both finished`; `the client finished, the target reset`
  static func endings(_ there: PumpEnding, _ back: PumpEnding) -> String {
    if there == back {
      switch there {
      case .finished: return "both finished"
      case .timedOut(let limit): return "timed out (\(limit))"
      case .closed: return "reset (the relay stopped)"
      case .reset, .truncated, .undeliverable: break
      }
    }
    return [(there, "the client"), (back, "the target")].compactMap { ending, name in
      switch ending {
      case .finished: "\(name) finished"
      case .reset: "\(name) reset"
      case .truncated: "\(name) was cut off, without close_notify"
      // The other direction says what happened.
      case .undeliverable: there == back ? "\(name) reset" : nil
      case .timedOut(let limit): "\(name) timed out (\(limit))"
      case .closed: "\(name) was reset (the relay stopped)"
      }
    }.joined(separator: ", ")
  }

  private static func write(_ relayed: RelayedConnection, to json: inout JSONWriter) {
    json.write("client", string: relayed.client)
    if let original = relayed.original { json.write("original", string: original) }
    if let target = relayed.target { json.write("target", string: target) }
    if let reason = relayed.reason { json.write("reason", string: reason) }
    json.write("milliseconds", decimal: Double(relayed.nanoseconds) / 1_000_000)
    if !relayed.attempts.isEmpty {
      json.array("attempts") { json in
        for attempt in relayed.attempts {
          json.object { json in
            json.write("address", string: "\(attempt.address)")
            json.write("cause", string: "\(attempt)")
          }
        }
      }
    }
    guard let report = relayed.report else { return }
    json.write("isDelivered", flag: report.isDelivered)
    json.object("there") { write(report.forward, to: &$0) }
    json.object("back") { write(report.backward, to: &$0) }
    json.object("clientClose") { write(report.first, to: &$0) }
    json.object("targetClose") { write(report.second, to: &$0) }
  }

  private static func write(_ stream: PumpedStream, to json: inout JSONWriter) {
    json.write("bytes", number: UInt64(stream.bytes))
    json.write("bytesLost", number: UInt64(stream.bytesLost))
    json.write("ending", string: "\(stream.ending)")
  }

  private static func write(_ close: CloseReport, to json: inout JSONWriter) {
    json.write("ending", string: "\(close.ending)")
    json.write("bytesUnacknowledged", number: UInt64(close.bytesUnacknowledged))
    json.write("bytesDiscarded", number: UInt64(close.bytesDiscarded))
    if let notify = close.closeNotify {
      json.write("closeNotifySent", flag: notify.sent)
      json.write("closeNotifyReceived", flag: notify.received)
    }
  }

  // MARK: Writing

  private func write(_ event: String, _ body: (inout JSONWriter) -> Void) {
    var json = JSONWriter()
    json.object { json in
      json.write("version", number: UInt64(1))
      json.write("fin", string: CommandVersion.current)
      json.write("event", string: event)
      body(&json)
    }
    write(String(decoding: json.text.bytes, as: UTF8.self))
  }

  private func write(_ line: String) {
    let isFirstFailure = rates.hidden {
      // One line at a time, whole.
      error.withLock { error in
        guard error == nil, let code = Output.attempt(line + "\n") else { return false }
        error = KernelError(code: code)
        return true
      }
    }
    if isFirstFailure { server.end() }
  }
}
