import Fin
import FinBase
import FinDoctor
import FinTerminal

/// The lines of `fin relay`, one for each connection that has ended.
struct RelayLog: Sendable {
  let lines: ServerLines

  func listening(at addresses: [SocketAddress], _ targets: [String], isTakenOver: Bool) {
    let places = addresses.map { "\($0)" }.joined(separator: ", ")
    let ends = targets.map { printable($0.utf8, limit: 128) }.joined(separator: ", then ")
    lines.write("listening", "listening at \(places), for \(ends)\(isTakenOver ? ", taken over" : "")") { json in
      json.write("isTakenOver", flag: isTakenOver)
      json.array("addresses") { json in for address in addresses { json.write(string: "\(address)") } }
      json.array("targets") { json in for target in targets { json.write(string: target) } }
    }
  }

  func ended(_ relayed: RelayedConnection) {
    if relayed.isCutShort { lines.countCutShort() }
    lines.write("ended", Self.line(relayed)) { Self.write(relayed, to: &$0) }
  }

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
}
