import Fin
import FinBase
import FinDoctor
import FinTerminal
import Synchronization

/// The lines of a command that serves clients, one for each event; as text, or as JSON by the schema that
/// `fin help json` prints for the command.
///
/// A line that cannot be written stops the server.
final class ServerLines: Sendable {
  private let inJSON: Bool
  private let server: ServeStop
  private let hiding: @Sendable (() -> Bool) -> Bool
  private let error = Mutex<KernelError?>(nil)
  private let cut = Atomic<Int>(0)

  /// - Parameter hiding: Calls its closure, which writes a line, while nothing else is on the terminal.
  init(inJSON: Bool, _ server: ServeStop, hiding: @escaping @Sendable (() -> Bool) -> Bool = { $0() }) {
    self.inJSON = inJSON
    self.server = server
    self.hiding = hiding
  }

  /// Counts a connection that the end of the server's time has cut short. A conversation may end itself then, perhaps
  /// before the library's drain counts it.
  func countCutShort() { cut.wrappingAdd(1, ordering: .relaxed) }

  // MARK: The events of every server

  /// Writes which client's connection did not begin, such as one without a proxy's header.
  func refused(_ failure: HandlerFailure) {
    let client = failure.remoteAddress.map { "\($0)" } ?? "unknown"
    write("refused", "\(client): refused (\(failure.error))") { json in
      json.write("client", string: client)
      json.write("reason", string: "\(failure.error)")
    }
  }

  func handedOver(_ report: HandoverReport) {
    write("handedOver", "\(report)") { json in
      json.write("successor", number: UInt64(report.successor.pid))
      json.write("attemptsFailed", number: UInt64(report.attemptsFailed))
    }
  }

  /// Writes the last line, and ends the command with its status.
  ///
  /// - Parameter more: Writes the keys that only this command has.
  func end(_ report: ServerReport, _ more: (inout JSONWriter) -> Void = { _ in }) throws {
    let cutShort = cut.load(ordering: .relaxed)
    let isCut = report.abortedAtStop + report.handlersRunning + cutShort > 0
    let status: ExitStatus = report.failure != nil ? .kernelFailure : isCut ? .problem : .success
    write("stopped", "stopped: \(report)") { json in
      json.write("status", number: UInt64(status.rawValue))
      json.write("served", number: UInt64(report.served))
      more(&json)
      json.write("refused", number: UInt64(report.refused))
      json.write("proxiesRefused", number: UInt64(report.proxiesRefused))
      json.write("abortedAtStop", number: UInt64(max(report.abortedAtStop, cutShort)))
      json.write("handlersRunning", number: UInt64(report.handlersRunning))
      json.write("clientsReset", number: UInt64(report.clientsReset))
      json.write("timesOutOfDescriptors", number: UInt64(report.timesOutOfDescriptors))
      if let failure = report.failure { json.write("failure", string: "\(failure)") }
    }
    if let failure = error.withLock({ $0 }) {
      throw ExitStatus.outputFailed.because("the output could not be written: \(failure)")
    }
    if status != .success { throw status.exit }
  }

  // MARK: Writing

  /// Writes the line of an event: the text, or an object with the keys that `body` writes.
  func write(_ event: String, _ text: @autoclosure () -> String, _ body: (inout JSONWriter) -> Void) {
    guard inJSON else { return write(text()) }
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
    let isFirstFailure = hiding {
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
