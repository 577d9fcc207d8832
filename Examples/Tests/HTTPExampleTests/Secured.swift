#if TLS
import Fin
import Foundation
import HTTPExample
import HTTPTypes
import Testing

/// A certificate for `localhost`, which openssl makes.
private struct Certificate {
  let identity: TLSIdentity
  let path: String

  init() async throws {
    path = NSTemporaryDirectory() + "http-example-\(UUID())"
    let run = try await Program.run(
      "mkdir \(path) && cd \(path) && openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2"
        + " -keyout key.pem -out chain.pem -subj /CN=localhost -addext subjectAltName=DNS:localhost")
    try #require(run.status == 0, "\(run.output)")
    identity = TLSIdentity(certificates: path + "/chain.pem", key: path + "/key.pem")
  }

  func remove() { try? FileManager.default.removeItem(atPath: path) }
}

@Suite("Secured: the end of a response is the server's, and nothing on the path can forge it", .timeLimit(.minutes(2)))
struct Secured {
  @Test(
    "curl and the client's pool are served over TLS", .enabled(if: Program.exists("openssl") && Program.exists("curl")))
  func served() async throws {
    let certificate = try await Certificate()
    defer { certificate.remove() }
    let settings = try TLSServer(certificate.identity)
    let listener = try Listener.bind(.loopback(port: 0))
    let (handle, roots) = (listener.handle, certificate.path + "/chain.pem")
    let place = try Endpoint(parsing: "localhost:\(listener.localAddress.port ?? 0)")
    let clients = Task {
      defer { handle.stop(within: .seconds(60)) }
      let curl = try await Program.run(
        "curl -sS -4 --cacert \(roots) -w '%{http_code}/%{num_connects} ' -d hello https://\(place)/ https://\(place)/")
      #expect(curl == (0, "hello200/1 hello200/0 "))
      let pool = ConnectionPool(to: place, securing: try TLSClient(trust: .roots(path: roots)))
      let client = HTTPClient(over: pool, host: "localhost")
      for _ in 0..<3 { #expect(text(try await client.fetch(.post, "/", .text("hello")).body) == "hello") }
      let report = await pool.close()
      // While the pool looks at a session ticket that came after a response, the next request may get another one.
      #expect(report.dialed <= 2 && report.failed == 0 && Array(report.endings.keys) == [.peerFinished], "\(report)")
    }
    let report = await listener.serve(securing: settings) { connection in
      try await Responses.server.converse(over: connection)
    }
    try await clients.value
    // curl closes without reading the close_notify of the server: its connection ends with a reset.
    #expect((2...3).contains(report.served) && report.securingsFailed == 0 && report.handlersFailed == 0, "\(report)")
  }

  @Test(
    "a FIN without close_notify is no end of a response that ends with the connection",
    .enabled(if: Program.exists("openssl")))
  func forgedEnd() async throws {
    let certificate = try await Certificate()
    defer { certificate.remove() }
    let settings = try TLSServer(certificate.identity)
    let roots = certificate.path + "/chain.pem"
    let listener = try Listener.bind(.loopback(port: 0))
    let handle = listener.handle
    let place = try Endpoint(parsing: "localhost:\(listener.localAddress.port ?? 0)")
    let clients = Task {
      defer { handle.stop(within: .seconds(60)) }
      let pool = ConnectionPool(to: place, securing: try TLSClient(trust: .roots(path: roots)))
      let client = HTTPClient(over: pool, host: "localhost")
      #expect(text(try await client.fetch(.get, "/true", retrying: .never).body) == "hello")
      await #expect { try await client.fetch(.get, "/forged", retrying: .never) } throws: { error in
        (error as? SocketError)?.cause == .truncated
      }
      await pool.close()
    }
    await listener.serve(securing: settings) { connection in
      let connection = connection.share()
      guard let request = try await receiveRequest(connection) else { return }
      try await connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello")
      // What anything on the path can do.
      if request.hasPrefix("GET /forged") { try connection.withDescriptor { _ = shutdown($0.rawValue, CInt(SHUT_WR)) } }
      if request.hasPrefix("GET /forged") { _ = try await connection.receive(upTo: 1) }
    }
    try await clients.value
  }
}
#endif
