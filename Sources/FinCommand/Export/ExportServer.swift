import Fin
import FinDoctor
import FinTerminal
import Synchronization

/// The server of `fin export`: reads requests, and answers with metrics.
final class ExportServer: Sendable {
  /// The times and numbers that bound it.
  struct Bounds: Sendable {
    /// The time for a request to arrive, from its first byte, and for the first one from the connection on.
    var request = Duration.seconds(10)
    /// The time between two requests of a connection.
    var idle = Duration.seconds(120)
    /// The time for an answer to be taken.
    var answer = Timeout.seconds(10)
    /// The time for a census, where the scraper says none.
    var look = Duration.seconds(30)
    /// The connections without a whole request.
    var waiting = 256
    /// The requests that are answered at the same time.
    var requests = 40
    /// All connections together, those that are closing included.
    var connections = 512
  }

  let looks: SharedLooks
  let metricsPath: String
  let showsItself: Bool
  let bounds: Bounds
  private let waiting: WaitingConnections
  private let requests = Mutex(0)

  init(_ looks: SharedLooks, metricsPath: String, showsItself: Bool, bounds: Bounds = Bounds()) {
    self.looks = looks
    self.metricsPath = metricsPath
    self.showsItself = showsItself
    self.bounds = bounds
    waiting = WaitingConnections(limit: bounds.waiting)
  }

  /// Serves a listener until it is stopped.
  func serve(_ listener: borrowing Listener) async -> ServerReport {
    // A client that is refused may still be sending: what it sends is taken and thrown away for a moment, so that the
    // kernel does not reset the connection before the answer has arrived.
    await listener.serve(
      connections: bounds.connections,
      closing: .lingering(within: .seconds(2), idle: .milliseconds(500), discarding: 1 << 20)
    ) { connection in
      await self.serve(connection.share())
    }
  }

  /// Serves one client, one request after the other.
  private func serve(_ connection: SharedConnection) async {
    var reader = RequestReader(connection, bounds)
    var staysOpen = true
    var isFirst = true
    while staysOpen {
      if let oldest = waiting.begin(connection) { _ = await oldest.abort() }
      let read = await reader.next(isFirst: isFirst)
      waiting.end(connection)
      isFirst = false
      let answer: HTTPAnswer
      var hasBody = true
      switch read {
      case .end: return
      case .refused(let refusal):
        answer = HTTPAnswer(refusal)
        staysOpen = false
      case .request(let request):
        staysOpen = request.staysOpen
        hasBody = request.method != "HEAD"
        answer = await self.answer(request)
      }
      do {
        try await connection.send(answer.bytes(hasBody: hasBody, staysOpen: staysOpen), within: bounds.answer)
      } catch {
        // The client has gone, or does not read: there is no one to tell.
        _ = await connection.abort()
        return
      }
    }
  }

  private func answer(_ request: HTTPRequest) async -> HTTPAnswer {
    guard request.method == "GET" || request.method == "HEAD" else {
      return HTTPAnswer(.methodNotAllowed, "only GET and HEAD are answered")
    }
    let begins = requests.withLock { count in
      if count >= bounds.requests { return false }
      count += 1
      return true
    }
    guard begins else {
      return HTTPAnswer(.unavailable, "\(bounds.requests) requests are being answered: try again later")
    }
    defer { requests.withLock { $0 -= 1 } }
    switch request.path {
    case metricsPath: return await metrics(request)
    case "/": return landingPage()
    case "/-/healthy": return HTTPAnswer(.ok, "fin export runs")
    case "/-/ready": return await readiness(request)
    default: return HTTPAnswer(.notFound, "there is nothing here; the metrics are at \(metricsPath)")
    }
  }

  /// The time for a census: shorter than that of the scraper, so that it gets an answer.
  private func patience(_ request: HTTPRequest) -> Duration {
    guard let timeout = request.scrapeTimeout else { return bounds.look }
    return max(timeout - .milliseconds(250), timeout / 2)
  }

  private func metrics(_ request: HTTPRequest) async -> HTTPAnswer {
    switch await looked(request) {
    case .failure(let refusal): return HTTPAnswer(refusal)
    case .success(let result):
      let age = (ContinuousClock.now - result.taken) / .seconds(1)
      var samples = result.samples + [MetricSample(.age, [], .number(age))]
      if showsItself { samples += OwnProcess.samples() }
      let exposition = request.exposition
      return HTTPAnswer(.ok, type: exposition.contentType, exposition.text(samples, isOfExporter: true))
    }
  }

  private func readiness(_ request: HTTPRequest) async -> HTTPAnswer {
    switch await looked(request) {
    case .failure(let refusal): HTTPAnswer(refusal)
    case .success: HTTPAnswer(.ok, "a census can be taken")
    }
  }

  private func looked(_ request: HTTPRequest) async -> Result<SharedLooks.Look, HTTPRequest.Refusal> {
    let time = patience(request)
    guard let result = await looks.look(within: time) else {
      return .failure(.init(.unavailable, "the census takes longer than \(time)"))
    }
    if let failure = result.failure { return .failure(.init(.unavailable, failure)) }
    return .success(result)
  }

  private func landingPage() -> HTTPAnswer {
    let page = """
      <!DOCTYPE html>
      <html lang="en"><head><title>fin export</title></head><body>
      <h1>fin export</h1>
      <p>The sockets of this machine, for Prometheus. Version \(CommandVersion.current).</p>
      <ul>
      <li><a href="\(metricsPath)">Metrics</a></li>
      <li><a href="/-/healthy">Health</a></li>
      <li><a href="/-/ready">Readiness</a></li>
      </ul></body></html>

      """
    return HTTPAnswer(.ok, type: "text/html; charset=utf-8", Array(page.utf8))
  }
}
