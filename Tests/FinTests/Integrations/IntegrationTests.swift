#if Logging && Metrics && ServiceLifecycle
import CoreMetrics
import Fin
import Logging
import Peers
import ServiceLifecycle
import Synchronization
import TestTraits
import Testing

@Suite("Integrations, each behind a trait that is off by default")
struct Integrations {
  @Test("a leak goes to the log as a warning that names where the socket was opened", .onThreads)
  func logging() throws {
    let lines = LogLines()
    let logger = Logger(label: "test", factory: { _ in lines.handler })
    let ledger = Ledger()
    ledger.leakPolicy = .log(to: logger)
    try Ledger.$current.withValue(ledger) { _ = try Connection.pair().first.localAddress }
    let written = lines.all
    #expect(written.count == 2)
    #expect(
      written.allSatisfy { $0.hasPrefix("warning leaked: a connection") && $0.contains("IntegrationTests.swift") })
  }

  @Test("the ledger's counts reach the metrics backend, and each change is reported once", .onThreads)
  func metrics() throws {
    let backend = CountingMetrics()
    let ledger = Ledger()
    let metrics = LedgerMetrics(of: ledger, factory: backend)
    try Ledger.$current.withValue(ledger) {
      let pair = try Connection.pair()
      metrics.update()
      #expect(backend.values["fin_sockets_open"] == 2)
      pair.first.close(.abort)
      metrics.update()
      metrics.update()
      #expect(backend.values["fin_sockets_open"] == 1)
      #expect(backend.values["fin_sockets_opened"] == 2)
      #expect(backend.values["fin_sockets_closed"] == 1)
      pair.second.close(.abort)
    }
  }

  @Test("a service group's graceful shutdown drains the listener")
  func lifecycle() async throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let address = listener.localAddress
    let service = ListenerService(listener, threads: 2) { connection in
      while let line = try connection.receiveLine() { try connection.send("\(line)\n") }
    }
    let group = ServiceGroup(
      services: [service], logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }))
    async let running: Void = group.run()
    // Not in a thread that this test waits for: that would block one of the few pool threads that run the group's own
    // tasks.
    let line = try await withConnection(to: Endpoint(address)) { connection in
      try await connection.send("x\n")
      return try await connection.receiveLine()
    }.result
    #expect(line == "x")
    await group.triggerGracefulShutdown()
    try await running
    #expect(service.report?.endings == [.peerFinished: 1])
  }
}

private final class LogLines: Sendable {
  private let lines = Mutex<[String]>([])
  var all: [String] { lines.withLock { $0 } }
  var handler: Handler { Handler(lines: self) }

  struct Handler: LogHandler {
    let lines: LogLines
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace
    init(lines: LogLines) { self.lines = lines }
    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
      get { metadata[key] }
      set { metadata[key] = newValue }
    }
    func log(event: LogEvent) {
      lines.lines.withLock { $0.append("\(event.level) \(event.message)") }
    }
  }
}

private final class CountingMetrics: MetricsFactory {
  private let state = Mutex<[String: Int64]>([:])
  var values: [String: Int64] { state.withLock { $0 } }

  private final class Handler: CounterHandler, RecorderHandler {
    let label: String
    let backend: CountingMetrics
    init(label: String, backend: CountingMetrics) {
      self.label = label
      self.backend = backend
    }
    func increment(by amount: Int64) { backend.state.withLock { $0[label, default: 0] += amount } }
    func reset() {}
    func record(_ value: Int64) { backend.state.withLock { $0[label] = value } }
    func record(_ value: Double) { record(Int64(value)) }
  }

  func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
    Handler(label: label, backend: self)
  }
  func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
    Handler(label: label, backend: self)
  }
  func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler { NOOPMetricsHandler.instance }
  func destroyCounter(_ handler: any CounterHandler) {}
  func destroyRecorder(_ handler: any RecorderHandler) {}
  func destroyTimer(_ handler: any TimerHandler) {}
}
#endif
