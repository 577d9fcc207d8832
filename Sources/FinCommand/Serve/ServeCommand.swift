import ArgumentParser
import Fin
import FinBase
import FinTerminal

/// `fin serve`: a server for tests and small tasks, which says how each connection ended.
struct ServeCommand: DocumentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve",
    abstract: "Serve clients with an echo or a command, and say how each connection ended.")

  static let commandOption: String? = "--exec"

  @OptionGroup var server: ServerOptions

  @Flag(exclusivity: .exclusive)
  var builtIn: BuiltInService?

  @Option(
    parsing: .remaining,
    help: ArgumentHelp("Run this command for each client. It takes the rest of the line.", valueName: "command …"))
  var exec: [String] = []

  @Option(
    help: ArgumentHelp("Send this to the clients that --per-peer refuses, instead of a reset.", valueName: "text"))
  var farewell: String?

  @Option(help: ArgumentHelp("Reset a client when no byte has moved for this time.", valueName: "time"))
  var idle = TimeSpan(milliseconds: 60_000)

  @Option(help: ArgumentHelp("Reset a client after this time in all; else never.", valueName: "time"))
  var whole: TimeSpan?

  @Option(
    help: ArgumentHelp("The time that clients have to end after SIGTERM, and a close has.", valueName: "time"))
  var grace = TimeSpan(milliseconds: 10_000)

  @OptionGroup var secured: SecuredServerOptions

  @Flag(help: "Print JSON, one object a line, instead of text.")
  var json = false

  func validate() throws {
    guard (builtIn != nil) != !exec.isEmpty else {
      throw ValidationError("One of --echo, --discard, --chargen and --exec COMMAND is needed, and only one.")
    }
    guard farewell == nil || server.perPeer != nil else {
      throw ValidationError("--farewell is for the clients that --per-peer refuses, which is missing.")
    }
  }

  func run() throws {
    if let name = exec.first, !RunningProgram.isRunnable(name) {
      throw ExitStatus.unavailable.because("there is no command \(printable(name.utf8, limit: 128))")
    }
    let securing = try secured.securing()
    let timeouts = Timeouts(send: Timeout(idle.duration), receive: Timeout(idle.duration))
    let started = try StartedServer.start(server, of: "serve", timeouts: timeouts, grace: grace.duration)
    let stop = started.stop
    let lines = ServerLines(inJSON: json, stop)
    let log = ServeLog(lines: lines)
    let offer = try started.offer(lines)
    log.listening(at: started.listener.localAddresses, isTakenOver: started.isTakenOver)
    started.hearSignals()
    let service = self.service(started.signals)
    let limits = ServerLimits(
      connectionsPerPeer: server.perPeer, farewell: farewell.map { Farewell($0) }, graceAfterAbort: .seconds(5),
      proxies: try server.trusted, proxyHeaderTime: min(.seconds(5), idle.duration))
    let report = started.listener.serve(
      threads: server.connections, limits: limits, closing: .abort, onFailure: { lines.refused($0) }
    ) { connection in
      log.ended(service.serve(connection, securing, stop))
    }
    offer?.withdraw()
    try log.end(report)
  }

  private func service(_ signals: StopSignals) -> ServeConversation {
    ServeConversation(
      service: builtIn.map { .builtIn($0) } ?? .program(exec, signals.maskBefore), idle: idle, whole: whole,
      closing: .lingering(within: grace.duration, idle: .seconds(2), discarding: 16 << 20))
  }
}
