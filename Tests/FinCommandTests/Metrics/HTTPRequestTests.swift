import FinDoctor
import TestTraits
import Testing

@testable import FinCommand

@Suite("fin export: requests", .onThreads)
struct HTTPRequestTests {
  private func parse(_ text: String) throws -> HTTPRequest { try HTTPRequest(head: Array(text.utf8)[...]) }

  private func refusal(_ text: String) -> HTTPStatus? {
    do {
      _ = try parse(text)
      return nil
    } catch {
      return (error as? HTTPRequest.Refusal)?.status
    }
  }

  @Test("a request of Prometheus is read as it is meant")
  func prometheus() throws {
    let request = try parse(
      """
      GET /metrics?collect=x HTTP/1.1\r
      Host: localhost:10995\r
      User-Agent: Prometheus/2.42.0\r
      Accept: application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
      text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r
      Accept-Encoding: gzip\r
      X-Prometheus-Scrape-Timeout-Seconds:  2.5 \r
      \r\n
      """)
    #expect(request.method == "GET" && request.path == "/metrics" && request.staysOpen)
    #expect(request.exposition == .openMetrics && request.scrapeTimeout == .milliseconds(2500))
  }

  @Test(
    "the form of the answer follows Accept",
    arguments: [
      (nil, false), ("*/*", false), ("text/plain", false), ("application/openmetrics-text", true),
      ("application/openmetrics-text; version=1.0.0", true), ("application/openmetrics-text; version=0.0.1", false),
      ("application/openmetrics-text;q=0.1, text/plain", false),
      ("text/plain;q=0.1, APPLICATION/OPENMETRICS-TEXT", true),
      ("application/openmetrics-text;q=0, */*", false), (";;,q=,", false), ("application/openmetrics-text;q=x", false),
    ] as [(String?, Bool)])
  func accept(field: String?, isOpenMetrics: Bool) throws {
    let line = field.map { "Accept: \($0)\r\n" } ?? ""
    let request = try parse("GET / HTTP/1.1\r\nHost: a\r\n\(line)\r\n")
    #expect(request.exposition == (isOpenMetrics ? .openMetrics : .text))
  }

  @Test(
    "a scraper's time-out that is no time is ignored",
    arguments: ["", "0", "-1", "nan", "inf", "x", "1e400"])
  func timeouts(text: String) throws {
    let request = try parse("GET / HTTP/1.1\r\nHost: a\r\nX-Prometheus-Scrape-Timeout-Seconds: \(text)\r\n\r\n")
    #expect(request.scrapeTimeout == nil)
  }

  @Test("the connection stays open in 1.1 unless it is to close, and ends in 1.0")
  func connections() throws {
    #expect(try parse("GET / HTTP/1.1\r\nHost: a\r\n\r\n").staysOpen)
    #expect(try !parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: foo, Close\r\n\r\n").staysOpen)
    #expect(try !parse("GET / HTTP/1.0\r\n\r\n").staysOpen)
    #expect(try !parse("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").staysOpen)
    #expect(try parse("GET http://a.b:1/metrics HTTP/1.1\r\nHost: a\r\n\r\n").path == "/metrics")
    #expect(try parse("GET http://a.b:1 HTTP/1.1\r\nHost: a\r\n\r\n").path == "/")
  }

  @Test(
    "a request that two readers could understand differently is refused",
    arguments: [
      ("\r\n\r\n", HTTPStatus.badRequest), ("GET /\r\n\r\n", .badRequest), ("GET  / HTTP/1.1\r\n\r\n", .badRequest),
      ("GET / HTTP/1.1\r\n\r\n", .badRequest), ("GET / HTTP/1.1\nHost: a\n\n", .badRequest),
      ("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n", .badRequest),
      ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", .badRequest),
      ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", .badRequest),
      ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", .badRequest),
      ("GET / HTTP/1.1\r\n: a\r\n\r\n", .badRequest), ("G T / HTTP/1.1\r\nHost: a\r\n\r\n", .badRequest),
      ("GET / HTTP/1.1\r\nHost: a\u{0}\r\n\r\n", .badRequest), ("GET metrics HTTP/1.1\r\nHost: a\r\n\r\n", .badRequest),
      ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", .badRequest), ("GET / FTP/1.1\r\nHost: a\r\n\r\n", .badRequest),
      ("PRI * HTTP/2.0\r\n\r\n", .versionNotSupported), ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", .versionNotSupported),
      ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", .contentTooLarge),
      ("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n", .contentTooLarge),
      ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", .contentTooLarge),
      ("GET /\(String(repeating: "x", count: 3000)) HTTP/1.1\r\nHost: a\r\n\r\n", .targetTooLong),
      ("GET / HTTP/1.1\r\nHost: a\r\n\(String(repeating: "X: y\r\n", count: 80))\r\n", .headTooLarge),
    ])
  func refused(text: String, status: HTTPStatus) {
    #expect(refusal(text) == status)
  }

  @Test("any bytes are read or refused, and nothing else happens")
  func anyBytes() {
    var random = SystemRandomNumberGenerator()
    let alphabet = Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n:;\u{0}é".utf8)
    for _ in 0..<2000 {
      let length = Int.random(in: 0...60, using: &random)
      let bytes = (0..<length).map { _ in alphabet.randomElement(using: &random) ?? 0 } + Array("\r\n\r\n".utf8)
      #expect(HTTPRequest.headLength(bytes[...]) != nil)
      _ = try? HTTPRequest(head: bytes.prefix(HTTPRequest.headLength(bytes[...]) ?? 0))
    }
  }
}
