import ArgumentParser
import Fin
import FinDoctor
import FinTerminal
import Glibc

/// `fin export`: serves the metrics of the machine to Prometheus.
struct ExportCommand: DocumentedCommand {
  static let configuration = CommandConfiguration(
    commandName: "export", abstract: "Serve the metrics of the machine's sockets, for Prometheus.")

  /// The port of ``listenAddress``.
  static let port = 10_995

  @Option(
    name: .customLong("web.listen-address"),
    help: ArgumentHelp(
      "Listen at this address: :10995 for all of the machine's, [::1]:10995. May be given several times.",
      valueName: "address"))
  var listenAddress: [String] = ["127.0.0.1:\(port)"]

  @Option(
    name: .customLong("web.telemetry-path"), help: ArgumentHelp("Serve the metrics under this path.", valueName: "path")
  )
  var telemetryPath = "/metrics"

  @Option(
    name: .customLong("web.max-requests"),
    help: ArgumentHelp(
      "Answer at most this many requests at the same time, and others with status 503.", valueName: "count"))
  var maxRequests = 40

  @Flag(name: .customLong("web.disable-exporter-metrics"), help: "Leave out the metrics of fin itself: process_*.")
  var disableExporterMetrics = false

  @Option(
    name: .customLong("limit.programs"), help: ArgumentHelp("Name at most this many programs.", valueName: "count"))
  var programs = MetricLimits().programs

  @Option(
    name: .customLong("limit.listeners"), help: ArgumentHelp("Name at most this many listeners.", valueName: "count"))
  var listeners = MetricLimits().listeners

  @Option(
    name: .customLong("limit.destinations"),
    help: ArgumentHelp("Name at most this many destinations.", valueName: "count"))
  var destinations = MetricLimits().destinations

  @Option(
    name: .customLong("limit.namespaces"),
    help: ArgumentHelp("Name at most this many network namespaces.", valueName: "count"))
  var namespaces = MetricLimits().namespaces

  @OptionGroup var muting: MuteOption

  @OptionGroup var looking: CensusOptions

  func validate() throws {
    guard telemetryPath.hasPrefix("/"),
      telemetryPath.utf8.allSatisfy({ $0 > 32 && $0 < 127 && !"\"<>?#&".utf8.contains($0) })
    else { throw ValidationError("--web.telemetry-path must begin with / and be a plain path.") }
    guard !["/", "/-/healthy", "/-/ready"].contains(telemetryPath) else {
      throw ValidationError("--web.telemetry-path is the path of another page.")
    }
    guard (1...10_000).contains(maxRequests) else {
      throw ValidationError("--web.max-requests can be 1 to 10000.")
    }
    for (name, value) in [
      ("programs", programs), ("listeners", listeners), ("destinations", destinations), ("namespaces", namespaces),
    ] where !(1...1000).contains(value) {
      throw ValidationError("--limit.\(name) can be 1 to 1000.")
    }
  }

  func run() throws {
    var limits = MetricLimits()
    (limits.programs, limits.listeners) = (programs, listeners)
    (limits.destinations, limits.namespaces) = (destinations, namespaces)
    let mutes = try muting.read()
    let endpoints = try listenAddress.map { text in
      do throws(AddressError) {
        return try Endpoint(parsing: text)
      } catch {
        throw ValidationError("--web.listen-address: \(error)")
      }
    }
    // Blocked before the first thread is started, so that every thread leaves them to `sigwait`.
    let signals = EndSignals()
    let looks = SharedLooks(MachineLooks(looking.census, mutes, limits, version: CommandVersion.current))
    var bounds = ExportServer.Bounds()
    bounds.requests = maxRequests
    bounds.connections = bounds.waiting + bounds.requests + 216
    let server = ExportServer(
      looks, metricsPath: telemetryPath, showsItself: !disableExporterMetrics, bounds: bounds)
    let serving = Serving()
    for (text, endpoint) in zip(listenAddress, endpoints) { serving.begin(text, endpoint, server) }
    var isOver = false
    while serving.begun < endpoints.count { isOver = signals.wait() || isOver }
    if serving.failures.isEmpty {
      for address in serving.addresses { Output.write("serves http://\(address)\(telemetryPath)\n") }
      while !isOver, serving.failures.isEmpty { isOver = signals.wait() }
    }
    serving.stop(within: .seconds(5))
    while serving.isRunning { _ = signals.wait() }
    if let (text, error) = serving.failures.first {
      throw ExitStatus.unavailable.because("\(visible(text)): \(error)")
    }
  }
}
