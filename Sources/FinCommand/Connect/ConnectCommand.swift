import ArgumentParser
import Fin
import FinBase
import FinTerminal
import Glibc

/// `fin connect`: standard input to a connection, the connection to standard output, and how it ended.
struct ConnectCommand: DocumentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "connect",
    abstract: "Connect standard input and output to a server, and say how the connection ended.")

  @Argument(
    help: ArgumentHelp("The server: a name or an address with a port, a path, or @name.", valueName: "host:port|path"))
  var server: String

  @Option(
    name: .customLong("from"),
    help: ArgumentHelp("Connect from this local address: 10.0.0.7, 10.0.0.7:4000.", valueName: "addr[:port]"))
  var source: String?

  @Option(help: ArgumentHelp("The time to connect in, with all addresses of a name.", valueName: "time"))
  var within = TimeSpan(milliseconds: 30_000)

  @Option(
    help: ArgumentHelp("End when no byte has moved in either direction for this time; else never.", valueName: "time"))
  var idle: TimeSpan?

  @Option(help: ArgumentHelp("The time for the close, in which the sent bytes must arrive.", valueName: "time"))
  var grace = TimeSpan(milliseconds: 10_000)

  @OptionGroup var secured: SecuredClientOptions

  @Flag(
    name: .customLong("no-half-close"),
    help: "Do not finish sending when the input ends. For servers that take that for a hang-up.")
  var keepsSending = false

  @Flag(help: "Say which addresses were tried, with the cause and the time of each failure.")
  var verbose = false

  @Flag(help: "Print the report as JSON, on standard error as well.")
  var json = false

  func validate() throws {
    _ = try endpoint
    _ = try dialOptions
  }

  private var endpoint: Endpoint {
    get throws {
      do throws(AddressError) { return try Endpoint(parsing: server) } catch { throw ValidationError("\(error).") }
    }
  }

  private var dialOptions: DialOptions {
    get throws {
      guard let source else { return DialOptions() }
      if let address = IPAddress(source) { return DialOptions(source: address) }
      guard let end = try? Endpoint(parsing: source).address, case .ip(let address, let port) = end else {
        let shown = printable(source.utf8, limit: 128)
        throw ValidationError("\(shown): --from needs an IP address, with or without a port.")
      }
      return DialOptions(source: address, sourcePorts: port == 0 ? nil : port...port)
    }
  }

  func run() throws {
    let report = try report()
    if json { ConnectJSON.write(report) } else { Output.complain(report.sentence) }
    if let signals = report.signals, let number = report.signal {
      // The shell that waits for this command learns of the signal.
      signals.end(by: number)
    }
    if report.status != .success { throw report.status.exit }
  }

  private func report() throws -> ConnectReport {
    var options = try dialOptions
    let attempts = DialLog(isVerbose: verbose)
    options.onFailure = { attempts.add($0) }
    let began = SystemClock.monotonic
    let idleTimeout = idle.map { Timeout($0.duration) } ?? .never
    let timeouts = Timeouts(connect: Timeout(within.duration), send: idleTimeout, receive: idleTimeout)
    let connection: SharedConnection
    let endpoint = try endpoint
    do throws(SocketError) {
      let plain = try Connection.connect(to: endpoint, timeouts: timeouts, options: options)
      #if TLS
      connection = try (secured.isWanted ? secure(plain, endpoint) : plain).share()
      #else
      connection = plain.share()
      #endif
    } catch {
      return ConnectReport(refusedBy: error, attempts.failures, time: SystemClock.monotonic - began)
    }
    if verbose {
      let local = connection.localAddress.map { ", from \($0)" } ?? ""
      Output.complain(
        "connected to \(connection.remoteAddress.map { "\($0)" } ?? server)\(local), "
          + "in \(Phrase.time(SystemClock.monotonic - began))")
      if let facts = Self.facts(of: connection) { Output.complain("secured with \(facts.sentence)") }
    }
    // Before this, a signal ends the command at once: nothing was sent.
    let signals = StopSignals()
    let conversation: Conversation
    do throws(KernelError) {
      conversation = try Conversation(connection, idle: idle, grace: grace.duration, halfCloses: !keepsSending)
    } catch {
      connection.abort()
      throw ExitStatus.kernelFailure.because("no descriptor for an event: \(error)")
    }
    signals.hear { conversation.interrupt($0) }
    let progress = ConnectProgress(isWanted: !json)
    var report = conversation.run(progress)
    report.attempts = attempts.failures
    report.signals = signals
    report.secured = Self.facts(of: connection)
    return report
  }

  private static func facts(of connection: SharedConnection) -> SecuredFacts? {
    #if TLS
    SecuredFacts(of: connection)
    #else
    nil
    #endif
  }

  #if TLS
  /// Secures the connection, as the client of the server that was asked for.
  private func secure(_ plain: consuming Connection, _ endpoint: Endpoint) throws(SocketError) -> Connection {
    try plain.secured(as: .client(of: endpoint, secured.settings()), within: Timeout(within.duration))
  }
  #endif
}
