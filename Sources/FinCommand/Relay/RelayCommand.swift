import ArgumentParser
import Fin
import FinBase
import FinTerminal
import Glibc

/// `fin relay`: passes connections on to a target, with their ends, and says how each ended.
struct RelayCommand: DocumentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "relay",
    abstract: "Pass connections on to a server, with their ends, and say how each ended.")

  @OptionGroup var server: ServerOptions

  @Argument(
    help: ArgumentHelp("A server: host:port, a path, or @name. The first that answers.", valueName: "target"))
  var targets: [String]

  @Option(help: ArgumentHelp("The time to connect to a target in.", valueName: "time"))
  var within = TimeSpan(milliseconds: 10_000)

  @Option(help: ArgumentHelp("Reset both sides when no byte has moved for this time.", valueName: "time"))
  var idle = TimeSpan(milliseconds: 600_000)

  @Option(
    name: .customLong("half-closed"),
    help: ArgumentHelp("The same, once one side has finished.", valueName: "time"))
  var halfClosed = TimeSpan(milliseconds: 60_000)

  @Option(help: ArgumentHelp("Reset both sides after this time in all; else never.", valueName: "time"))
  var whole: TimeSpan?

  @Option(
    help: ArgumentHelp("The time to end in after SIGTERM, and for bytes before a reset.", valueName: "time"))
  var grace = TimeSpan(milliseconds: 10_000)

  @Flag(name: .customLong("send-proxy"), help: "Tell the target the client in a PROXY header, version 2.")
  var sendsProxy = false

  @OptionGroup var secured: SecuredServerOptions

  @OptionGroup var securedTarget: SecuredTargetOptions

  @Flag(help: "Print JSON, one object a line, instead of text.")
  var json = false

  func validate() throws {
    let targets = try targetEndpoints
    if securedTarget.isWanted, securedTarget.name == nil, targets.count > 1 {
      throw ValidationError("With several targets, --target-tls needs --target-name: the name of their certificates.")
    }
  }

  private var targetEndpoints: [Endpoint] { get throws { try targets.map { try ServerOptions.endpoint($0) } } }

  func run() throws {
    let securing = try secured.securing()
    let securingTarget = try securedTarget.securing(try targetEndpoints[0])
    DescriptorRoom.makeRoom(for: server.connections * RelayConversation.descriptors + 64)
    let timeouts = Timeouts(connect: Timeout(within.duration))
    let started = try StartedServer.start(server, of: "relay", timeouts: timeouts, grace: grace.duration)
    let rates = RelayRates(isWanted: !json)
    let lines = ServerLines(inJSON: json, started.stop) { rates.hidden($0) }
    let log = RelayLog(lines: lines)
    let offer = try started.offer(lines)
    log.listening(at: started.listener.localAddresses, targets, isTakenOver: started.isTakenOver)
    started.hearSignals()
    let conversation = RelayConversation(
      targets: try targetEndpoints, timeouts: timeouts, idle: idle.duration, halfClosed: halfClosed.duration,
      whole: whole?.duration, grace: grace.duration, sendsProxy: sendsProxy, securing: securing,
      securingTarget: securingTarget, meter: rates.meter)
    rates.begin()
    let limits = ServerLimits(
      connectionsPerPeer: server.perPeer, graceAfterAbort: .seconds(5), proxies: try server.trusted,
      proxyHeaderTime: min(.seconds(5), idle.duration))
    let report = started.listener.serve(
      threads: server.connections, limits: limits, closing: .abort, onFailure: { lines.refused($0) }
    ) { connection in
      rates.change(by: 1)
      let relayed = conversation.run(connection)
      rates.change(by: -1)
      log.ended(relayed)
    }
    offer?.withdraw()
    rates.end()
    try lines.end(report)
  }
}

/// The room for descriptors of this process.
enum DescriptorRoom {
  /// Raises the limit of open descriptors to this number, as far as the hard limit allows. Lowers nothing.
  static func makeRoom(for count: Int) {
    var limit = rlimit()
    let number = __rlimit_resource_t(RLIMIT_NOFILE.rawValue)
    guard unsafe getrlimit(number, &limit) == 0, limit.rlim_cur < rlim_t(count) else { return }
    limit.rlim_cur = min(rlim_t(count), limit.rlim_max)
    unsafe setrlimit(number, &limit)
  }
}
