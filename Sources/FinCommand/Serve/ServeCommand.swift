import ArgumentParser
import Fin
import FinBase
import FinTerminal
import SystemPackage

/// `fin serve`: a server for tests and small tasks, which says how each connection ended.
struct ServeCommand: DocumentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Serve clients with an echo or a command, and say how each connection ended.")

  static let commandOption: String? = "--exec"

  @Argument(
    help: ArgumentHelp("Where to listen: localhost:7777, :7777 (everywhere), a path, or @name.", valueName: "addr"))
  var address: String

  @Flag(exclusivity: .exclusive)
  var builtIn: BuiltInService?

  @Option(
    parsing: .remaining,
    help: ArgumentHelp("Run this command for each client. It takes the rest of the line.", valueName: "command …"))
  var exec: [String] = []

  @Option(help: ArgumentHelp("The number of clients that are served at a time; the others wait.", valueName: "count"))
  var connections = 100

  @Option(
    name: .customLong("per-peer"),
    help: ArgumentHelp("The number of clients of one IP address at a time; others are reset.", valueName: "count"))
  var perPeer: Int?

  @Option(help: ArgumentHelp("Reset a client when no byte has moved for this time.", valueName: "time"))
  var idle = TimeSpan(milliseconds: 60_000)

  @Option(help: ArgumentHelp("Reset a client after this time in all; else never.", valueName: "time"))
  var whole: TimeSpan?

  @Option(
    help: ArgumentHelp("The time that clients have to end after SIGTERM, and a close has.", valueName: "time"))
  var grace = TimeSpan(milliseconds: 10_000)

  @Flag(help: "Print JSON, one object a line, instead of text.")
  var json = false

  func validate() throws {
    guard (builtIn != nil) != !exec.isEmpty else {
      throw ValidationError("One of --echo, --discard, --chargen and --exec COMMAND is needed, and only one.")
    }
    guard (1...10_000).contains(connections) else {
      throw ValidationError("--connections is \(connections); it can be 1 to 10000.")
    }
    guard perPeer.map({ $0 > 0 }) ?? true else { throw ValidationError("--per-peer must be 1 or more.") }
    _ = try endpoint
  }

  private var endpoint: Endpoint {
    get throws {
      do throws(AddressError) { return try Endpoint(parsing: address) } catch { throw ValidationError("\(error).") }
    }
  }

  func run() throws {
    if let name = exec.first, !RunningProgram.isRunnable(name) {
      throw ExitStatus.unavailable.because("there is no command \(printable(name.utf8, limit: 128))")
    }
    // Before any thread, so that all of them leave these signals to one.
    let signals = StopSignals()
    let listener = try bind(endpoint)
    let server = try ServeStop(listener.handle, grace: grace.duration)
    let log = ServeLog(inJSON: json, server)
    log.listening(at: listener.localAddresses)
    signals.hear { if !server.stop() { signals.end(by: $0) } }
    let service = self.service(signals)
    let limits = ServerLimits(connectionsPerPeer: perPeer, graceAfterAbort: .seconds(5))
    let report = listener.serve(threads: connections, limits: limits, closing: .abort) { connection in
      log.ended(service.serve(connection.share(), server))
    }
    let isCut = report.abortedAtStop + report.handlersRunning + log.cutShort > 0
    let status: ExitStatus = report.failure != nil ? .kernelFailure : isCut ? .problem : .success
    log.stopped(report, status)
    if let failure = log.failure {
      throw ExitStatus.outputFailed.because("the output could not be written: \(failure)")
    }
    if status != .success { throw status.exit }
  }

  private func service(_ signals: StopSignals) -> ServeConversation {
    ServeConversation(
      service: builtIn.map { .builtIn($0) } ?? .program(exec, signals.maskBefore), idle: idle, whole: whole,
      closing: .lingering(within: grace.duration, idle: .seconds(2), discarding: 16 << 20))
  }

  private func bind(_ endpoint: Endpoint) throws -> Listener {
    let timeouts = Timeouts(send: Timeout(idle.duration), receive: Timeout(idle.duration))
    do throws(SocketError) { return try Listener.bind(endpoint, timeouts: timeouts) } catch {
      let status: ExitStatus =
        switch error.cause {
        case .unresolved: .noHost
        case .system(.permissionDenied), .system(.notPermitted): .notPermitted
        default: .unavailable
        }
      throw status.because("\(error)")
    }
  }
}
