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

  @Option(
    help: ArgumentHelp("Take over from the server at this path, and hand over to the next one.", valueName: "path"))
  var handover: String?

  @Flag(help: "Require a header of the PROXY protocol, version 1 or 2, from the proxies of --trust.")
  var proxy = false

  @Option(help: ArgumentHelp("A proxy, or a block of them: 10.0.0.0/8. Can be given again.", valueName: "addr[/bits]"))
  var trust: [String] = []

  @OptionGroup var secured: SecuredServerOptions

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
    guard farewell == nil || perPeer != nil else {
      throw ValidationError("--farewell is for the clients that --per-peer refuses, which is missing.")
    }
    if case .unix? = try endpoint.address, proxy {
      throw ValidationError("--proxy needs clients with IP addresses, and not a Unix socket.")
    }
    _ = try trusted
    _ = try handingOver
  }

  private var endpoint: Endpoint {
    get throws {
      do throws(AddressError) { return try Endpoint(parsing: address) } catch { throw ValidationError("\(error).") }
    }
  }

  /// The proxies that are trusted; nil if no header is to be read.
  private var trusted: [AddressPrefix]? { get throws { try TrustedProxies.parse(trust, isWanted: proxy) } }

  private var handingOver: ServeHandover? {
    get throws { try handover.map { try ServeHandover(parsing: $0, of: "serve") } }
  }

  func run() throws {
    if let name = exec.first, !RunningProgram.isRunnable(name) {
      throw ExitStatus.unavailable.because("there is no command \(printable(name.utf8, limit: 128))")
    }
    let securing = try secured.securing()
    // Before any thread, so that all of them leave these signals to one.
    let signals = StopSignals()
    let over: Bell
    do throws(KernelError) { over = try Bell() } catch {
      throw ExitStatus.kernelFailure.because("no descriptor for an event: \(error)")
    }
    let timeouts = Timeouts(send: Timeout(idle.duration), receive: Timeout(idle.duration))
    let handover = try handingOver
    let taken = try handover?.take(endpoint, timeouts)
    let isTakenOver = taken != nil
    let listener = if let taken { taken } else { try Self.bind(endpoint, timeouts) }
    let server = ServeStop(listener.handle, grace: grace.duration, over)
    let log = ServeLog(inJSON: json, server)
    let offer = try Self.offer(handover, listener.handle, isTakenOver, server, handedOver: { log.handedOver($0) })
    log.listening(at: listener.localAddresses, isTakenOver: isTakenOver)
    signals.hear { if !server.stop() { signals.end(by: $0) } }
    let service = self.service(signals)
    let limits = ServerLimits(
      connectionsPerPeer: perPeer, farewell: farewell.map { Farewell($0) }, graceAfterAbort: .seconds(5),
      proxies: try trusted, proxyHeaderTime: min(.seconds(5), idle.duration))
    let report = listener.serve(
      threads: connections, limits: limits, closing: .abort, onFailure: { log.refused($0) }
    ) { connection in
      log.ended(service.serve(connection, securing, server))
    }
    offer?.withdraw()
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

  /// Offers the listener to a successor.
  static func offer(
    _ handover: ServeHandover?, _ listener: ListenerHandle, _ isTakenOver: Bool, _ server: ServeStop,
    handedOver: @escaping @Sendable (HandoverReport) -> Void
  ) throws -> ServeHandover.Offer? {
    do throws(SocketError) { return try handover?.offer(listener, server, handedOver: handedOver) } catch {
      guard isTakenOver else { throw ExitStatus.unavailable.because("\(error)") }
      // The clients are this server's already.
      Output.complain("no successor can take over: \(error)")
      return nil
    }
  }

  /// Listens at the address, or ends the command with the status for the reason.
  static func bind(_ endpoint: Endpoint, _ timeouts: Timeouts) throws -> Listener {
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
