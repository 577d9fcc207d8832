import AsyncHTTPClient
import Fin
import HTTPExample
import NIOCore
import Testing

@Suite("AsyncHTTPClient, the client of Swift's servers, and the example of HTTP", .timeLimit(.minutes(2)))
struct OtherClients {
  @Test("bodies of every form on one connection; a stream that fails in the middle is an error; a stop is announced")
  func requests() async throws {
    struct Broken: Error {}
    let server = HTTPServer { request, body, connection in
      switch request.path {
      case "/stream":
        return HTTPReply(.ok, .stream { write in for number in 0..<100 { try await write(Array("\(number) ".utf8)) } })
      case "/broken":
        return HTTPReply(
          .ok,
          .stream { write in
            try await write(Array("half".utf8))
            throw Broken()
          })
      default: return HTTPReply(.ok, .bytes(try await body.receiveAll(from: connection)))
      }
    }
    let listener = try Listener.bind(.loopback(port: 0))
    let (place, handle) = (listener.localAddress, listener.handle)
    let clients = Task {
      let client = AsyncHTTPClient.HTTPClient()
      do {
        func ask(_ path: String, _ body: HTTPClientRequest.Body? = nil) async throws -> String {
          var request = HTTPClientRequest(url: "http://\(place)\(path)")
          (request.method, request.body) = (body == nil ? .GET : .POST, body)
          let response = try await client.execute(request, timeout: .seconds(30))
          return String(buffer: try await response.body.collect(upTo: 1 << 20))
        }
        #expect(try await ask("/", .bytes(ByteBuffer(string: "hello"))) == "hello")
        let parts = AsyncStream { continuation in
          for part in ["one", "two", "three"] { continuation.yield(ByteBuffer(string: part)) }
          continuation.finish()
        }
        #expect(try await ask("/", .stream(parts, length: .unknown)) == "onetwothree")
        #expect(try await ask("/stream") == (0..<100).map { "\($0) " }.joined())
        await #expect(throws: (any Error).self) { try await ask("/broken") }
        #expect(try await ask("/", .bytes(ByteBuffer(string: "again"))) == "again")
        handle.stop(within: .seconds(60))
      } catch {
        handle.stop(within: .zero)
        try? await client.shutdown()
        throw error
      }
      try await client.shutdown()
    }
    let report = await listener.serve { connection in try await server.converse(over: connection) }
    try await clients.value
    // One connection until the stream that failed, and one behind it, which the stop ended while it was idle.
    #expect(report.served == 2 && report.endings[.aborted] == 1 && report.abortedAtStop == 0, "\(report)")
    #expect(report.handlersFailed == 1 && report.firstFailures.first?.error is Broken, "\(report)")
  }
}
