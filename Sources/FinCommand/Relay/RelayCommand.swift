import ArgumentParser
import Fin
import FinBase
import FinTerminal
import Glibc
import SystemPackage

/// `fin relay`: passes connections on to a target, with their ends, and says how each ended.
struct RelayCommand: DocumentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "relay",
    abstract: "Pass connections on to a server, with their ends, and say how each ended.")

  @Argument(
    help: ArgumentHelp("Where to listen: localhost:7777, :7777 (everywhere), a path, or @name.", valueName: "addr"))
  var address: String

  @Argument(
    help: ArgumentHelp("A server: host:port, a path, or @name. The first that answers.", valueName: "target"))
  var targets: [String]

  @Option(help: ArgumentHelp("The number of clients that are served at a time; the others wait.", valueName: "count"))
  var connections = 100

  @Option(
    name: .customLong("per-peer"),
    help: ArgumentHelp("The number of clients of one IP address at a time; others are reset.", valueName: "count"))
  var perPeer: Int?

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

  @Option(
    help: ArgumentHelp("Take over from the relay at this path, or offer it there.", valueName: "path"))
  var handover: String?

  @Flag(help: "Require a header of the PROXY protocol, version 1 or 2, from the proxies of --trust.")
  var proxy = false

  @Option(help: ArgumentHelp("A proxy, or a block of them: 10.0.0.0/8. Can be given again.", valueName: "addr[/bits]"))
  var trust: [String] = []

  @Flag(name: .customLong("send-proxy"), help: "Tell the target the client in a PROXY header, version 2.")
  var sendsProxy = false

  @OptionGroup var secured: SecuredServerOptions

  @OptionGroup var securedTarget: SecuredTargetOptions

  @Flag(help: "Print JSON, one object a line, instead of text.")
  var json = false

  func validate() throws {
    guard (1...10_000).contains(connections) else {
      throw ValidationError("--connections is \(connections); it can be 1 to 10000.")
    }
    guard perPeer.map({ $0 > 0 }) ?? true else { throw ValidationError("--per-peer must be 1 or more.") }
    if case .unix? = try endpoint.address, proxy {
      throw ValidationError("--proxy needs clients with IP addresses, and not a Unix socket.")
    }
    let targets = try targetEndpoints
    if securedTarget.isWanted, securedTarget.name == nil, targets.count > 1 {
      throw ValidationError("With several targets, --target-tls needs --target-name: the name of their certificates.")
    }
    _ = try trusted
    _ = try handingOver
  }

  private var endpoint: Endpoint {
    get throws {
      do throws(AddressError) { return try Endpoint(parsing: address) } catch { throw ValidationError("\(error).") }
    }
  }

  private var targetEndpoints: [Endpoint] {
    get throws {
      try targets.map { text in
        do throws(AddressError) { return try Endpoint(parsing: text) } catch { throw ValidationError("\(error).") }
      }
    }
  }

  private var trusted: [AddressPrefix]? { get throws { try TrustedProxies.parse(trust, isWanted: proxy) } }

  private var handingOver: ServeHandover? {
    get throws { try handover.map { try ServeHandover(parsing: $0, of: "relay") } }
  }

  func run() throws {
    let securing = try secured.securing()
    let securingTarget = try securedTarget.securing(try targetEndpoints[0])
    // Before any thread, so that all of them leave these signals to one.
    let signals = StopSignals()
    let over: Bell
    do throws(KernelError) { over = try Bell() } catch {
      throw ExitStatus.kernelFailure.because("no descriptor for an event: \(error)")
    }
    DescriptorRoom.makeRoom(for: connections * RelayConversation.descriptors + 64)
    let endpoint = try endpoint
    let timeouts = Timeouts(connect: Timeout(within.duration))
    let handover = try handingOver
    let taken = try handover?.take(endpoint, timeouts)
    let isTakenOver = taken != nil
    let listener = if let taken { taken } else { try ServeCommand.bind(endpoint, timeouts) }
    let server = ServeStop(listener.handle, grace: grace.duration, over)
    let rates = RelayRates(isWanted: !json)
    let log = RelayLog(inJSON: json, server, rates)
    let offer = try ServeCommand.offer(
      handover, listener.handle, isTakenOver, server, handedOver: { log.handedOver($0) })
    log.listening(at: listener.localAddresses, targets, isTakenOver: isTakenOver)
    signals.hear { if !server.stop() { signals.end(by: $0) } }
    let conversation = RelayConversation(
      targets: try targetEndpoints, timeouts: timeouts, idle: idle.duration, halfClosed: halfClosed.duration,
      whole: whole?.duration, grace: grace.duration, sendsProxy: sendsProxy, securing: securing,
      securingTarget: securingTarget, meter: rates.meter)
    rates.begin()
    let limits = ServerLimits(
      connectionsPerPeer: perPeer, graceAfterAbort: .seconds(5), proxies: try trusted,
      proxyHeaderTime: min(.seconds(5), idle.duration))
    let report = listener.serve(
      threads: connections, limits: limits, closing: .abort, onFailure: { log.refused($0) }
    ) { connection in
      rates.change(by: 1)
      let relayed = conversation.run(connection)
      rates.change(by: -1)
      log.ended(relayed)
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
