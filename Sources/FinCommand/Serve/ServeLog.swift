import Fin
import FinDoctor
import FinTerminal

/// The lines of `fin serve`, one for each connection that has ended.
struct ServeLog: Sendable {
  let lines: ServerLines

  func listening(at addresses: [SocketAddress], isTakenOver: Bool) {
    let places = addresses.map { "\($0)" }.joined(separator: ", ")
    lines.write("listening", "listening at \(places)\(isTakenOver ? ", taken over" : "")") { json in
      json.write("isTakenOver", flag: isTakenOver)
      json.array("addresses") { json in for address in addresses { json.write(string: "\(address)") } }
    }
  }

  func ended(_ served: ServedConnection) {
    if served.reason == ServeConversation.serverStopped { lines.countCutShort() }
    lines.write("ended", Self.line(served)) { Self.write(served, to: &$0) }
  }

  /// Writes the last line, and ends the command with its status.
  func end(_ report: ServerReport) throws {
    try lines.end(report) { json in
      json.array("endings") { json in
        for (ending, count) in report.endings.sorted(by: { "\($0.key)" < "\($1.key)" }) {
          json.object { json in
            json.write("ending", string: "\(ending)")
            json.write("count", number: UInt64(count))
          }
        }
      }
      json.write("farewells", number: UInt64(report.farewells.values.reduce(0, +)))
    }
  }

  /// `127.0.0.1:40312: peer finished; 12 bytes received, 12 sent; 0.4 ms; cat exited with status 0`
  static func line(_ served: ServedConnection) -> String {
    var text = served.client
    if let original = served.original { text += " for \(original)" }
    text += ": \(served.close.ending)"
    if let reason = served.reason { text += " (\(reason))" }
    text += "; \(Phrase.noun(served.bytesReceived, "byte")) received, \(Phrase.number(served.bytesSent)) sent"
    if served.close.bytesUnacknowledged > 0 {
      text += ", \(Phrase.number(served.close.bytesUnacknowledged)) of them not acknowledged"
    }
    if served.close.bytesDiscarded > 0 {
      text += "; \(Phrase.noun(served.close.bytesDiscarded, "byte")) discarded at the close"
    }
    if let notify = served.close.closeNotify { text += "; " + SecuredFacts.ends(notify) }
    text += "; \(Phrase.time(served.nanoseconds))"
    guard let program = served.program else { return text }
    switch program.exit {
    case .exited(let status): text += "; \(program.name) exited with status \(status)"
    case .signalled(let signal): text += "; \(program.name) was ended by signal \(signal)"
    case nil: break
    }
    if program.bytesUnread > 0 { text += " and left \(Phrase.noun(program.bytesUnread, "byte")) unread" }
    return text
  }

  private static func write(_ served: ServedConnection, to json: inout JSONWriter) {
    json.write("client", string: served.client)
    if let original = served.original { json.write("original", string: original) }
    json.write("ending", string: "\(served.close.ending)")
    if let reason = served.reason { json.write("reason", string: reason) }
    json.write("isDelivered", flag: served.close.isDelivered)
    json.write("bytesReceived", number: UInt64(served.bytesReceived))
    json.write("bytesSent", number: UInt64(served.bytesSent))
    json.write("bytesUnacknowledged", number: UInt64(served.close.bytesUnacknowledged))
    json.write("bytesDiscarded", number: UInt64(served.close.bytesDiscarded))
    SecuredFacts.write(served.secured, served.close, to: &json)
    json.write("milliseconds", decimal: Double(served.nanoseconds) / 1_000_000)
    guard let program = served.program else { return }
    json.object("program") { json in
      json.write("name", string: program.name)
      json.write("pid", number: UInt64(program.pid))
      switch program.exit {
      case .exited(let status): json.write("exitStatus", signed: Int(status))
      case .signalled(let signal): json.write("signal", number: UInt64(signal))
      case nil: break
      }
      json.write("bytesUnread", number: UInt64(program.bytesUnread))
    }
  }
}
