import Fin
import FinBase
import FinDoctor
import FinTerminal
import Synchronization

/// The lines of `fin serve`, one for each connection that has ended; as text, or as JSON by the schema that
/// `fin help json serve` prints.
///
/// A line that cannot be written stops the server.
final class ServeLog: Sendable {
  private let inJSON: Bool
  private let server: ServeStop
  private let error = Mutex<KernelError?>(nil)
  private let cut = Mutex(0)

  init(inJSON: Bool, _ server: ServeStop) {
    self.inJSON = inJSON
    self.server = server
  }

  /// The error for which a line could not be written.
  var failure: KernelError? { error.withLock { $0 } }

  /// The number of conversations that the end of the server's time has cut short. A conversation with a program ends
  /// itself then, perhaps before the library's drain counts it.
  var cutShort: Int { cut.withLock { $0 } }

  func listening(at addresses: [SocketAddress], isTakenOver: Bool) {
    if !inJSON {
      let places = addresses.map { "\($0)" }.joined(separator: ", ")
      return write("listening at \(places)\(isTakenOver ? ", taken over" : "")")
    }
    write("listening") { json in
      json.write("isTakenOver", flag: isTakenOver)
      json.array("addresses") { json in for address in addresses { json.write(string: "\(address)") } }
    }
  }

  func ended(_ served: ServedConnection) {
    if served.reason == ServeConversation.serverStopped { cut.withLock { $0 += 1 } }
    if inJSON { write("ended") { Self.write(served, to: &$0) } } else { write(Self.line(served)) }
  }

  /// A client whose conversation did not begin, such as one without a proxy's header.
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
    guard inJSON else { return write("stopped: \(report)") }
    write("stopped") { Self.write(report, status, cutShort, to: &$0) }
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

  private static func write(_ report: ServerReport, _ status: ExitStatus, _ cutShort: Int, to json: inout JSONWriter) {
    json.write("status", number: UInt64(status.rawValue))
    json.write("served", number: UInt64(report.served))
    json.array("endings") { json in
      for (ending, count) in report.endings.sorted(by: { "\($0.key)" < "\($1.key)" }) {
        json.object { json in
          json.write("ending", string: "\(ending)")
          json.write("count", number: UInt64(count))
        }
      }
    }
    json.write("refused", number: UInt64(report.refused))
    json.write("farewells", number: UInt64(report.farewells.values.reduce(0, +)))
    json.write("proxiesRefused", number: UInt64(report.proxiesRefused))
    json.write("abortedAtStop", number: UInt64(max(report.abortedAtStop, cutShort)))
    json.write("handlersRunning", number: UInt64(report.handlersRunning))
    json.write("clientsReset", number: UInt64(report.clientsReset))
    json.write("timesOutOfDescriptors", number: UInt64(report.timesOutOfDescriptors))
    if let failure = report.failure { json.write("failure", string: "\(failure)") }
  }

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
    // One line at a time, whole.
    let isFirstFailure = error.withLock { error in
      guard error == nil, let code = Output.attempt(line + "\n") else { return false }
      error = KernelError(code: code)
      return true
    }
    if isFirstFailure { server.end() }
  }
}
