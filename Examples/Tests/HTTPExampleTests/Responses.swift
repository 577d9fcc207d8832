import Fin
import HTTPExample
import HTTPTypes
import Synchronization
import Testing

@Suite(
  "The client: a connection is used again when its response was whole, and a request sent again when it may be",
  .timeLimit(.minutes(2)))
struct Responses {
  static let server = HTTPServer { request, body, connection in
    switch request.path {
    case "/large": return HTTPReply(.ok, .bytes([UInt8](repeating: 7, count: 300_000)))
    case "/stream":
      return HTTPReply(
        .ok, .stream { write in for _ in 0..<10 { try await write([UInt8](repeating: 7, count: 30_000)) } })
    case "/refuse": return HTTPReply(.contentTooLarge)
    case "/nothing": return HTTPReply(.noContent)
    default: return HTTPReply(.ok, .bytes(try await body.receiveAll(from: connection)))
    }
  }

  @Test("requests of every form share one connection, also when the body of a response is left")
  func reuse() async throws {
    let (_, report) = try await withServer(Self.server) { place, _ in
      let (_, report) = try await withClient(of: place) { client async throws in
        #expect(text(try await client.fetch(.post, "/", .text("hello")).body) == "hello")
        #expect(try await client.fetch(.get, "/large").body.count == 300_000)
        #expect(try await client.fetch(.get, "/stream").body.count == 300_000)
        #expect(try await client.fetch(.head, "/large").response.headerFields[.contentLength] == "300000")
        #expect(try await client.fetch(.get, "/nothing").response.status == .noContent)
        let parts = HTTPContent.stream { write in
          for part in ["one", "", "two"] { try await write(Array(part.utf8)) }
        }
        #expect(text(try await client.fetch(.put, "/", parts).body) == "onetwo")
        for path in ["/large", "/stream"] {
          let request = HTTPRequest(method: .get, scheme: nil, authority: nil, path: path)
          let first = try await client.send(request) { _, body, connection in
            try await body.receive(from: connection, upTo: 9)
          }
          #expect(first == [UInt8](repeating: 7, count: 9))
        }
        #expect(text(try await client.fetch(.post, "/", .text("bye")).body) == "bye")
      }
      #expect(report.dialed == 1 && report.leases == 9 && report.failed == 0, "\(report)")
    }
    #expect(report.endings == [.peerFinished: 1], "\(report)")
  }

  @Test("a connection that was said to be the last one is not used again, and ends with a FIN in both directions")
  func last() async throws {
    let (_, report) = try await withServer(Self.server) { place, _ in
      let (_, report) = try await withClient(of: place) { client async throws in
        for _ in 0..<3 {
          let (response, body) = try await client.fetch(.post, "/", fields: [.connection: "close"], .text("hello"))
          #expect(response.headerFields[.connection] == "close" && text(body) == "hello")
        }
      }
      #expect(report.dialed == 3 && report.failed == 0 && report.retired == [.asked: 3], "\(report)")
      // The server may not have finished yet when the client's FIN is acknowledged.
      let finished = report.endings[.peerFinished, default: 0] + report.endings[.acknowledged, default: 0]
      #expect(finished == 3, "\(report)")
    }
    #expect(report.endings == [.peerFinished: 3], "\(report)")
  }

  @Test("a server that says close and does not: the response is whole, and the connection is not used again")
  func announcedOnly() async throws {
    let (_, report) = try await withRawServer { connection in
      while try await receiveRequest(connection) != nil {
        try await connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")
      }
    } _: { place in
      try await withClient(of: place) { client async throws in
        for _ in 0..<2 { #expect(text(try await client.fetch(.get, "/").body) == "hi") }
      }
    }
    #expect(report.dialed == 2 && report.reused == 0 && report.retired == [.asked: 2], "\(report)")
    #expect(report.failed == 0, "the response was whole: no body has failed")
  }

  @Test("a server that resets behind its last response: the response is whole, and its request is not sent again")
  func resetBehind() async throws {
    let (_, report) = try await withRawServer { connection in
      _ = try await receiveRequest(connection)
      try await connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi")
      // The client has it all then.
      while try connection.bytesUnacknowledged() > 0 { await Task.yield() }
      try await Task.sleep(for: .milliseconds(50))
      await connection.abort()
    } _: { place in
      try await withClient(of: place) { client async throws in
        for _ in 0..<2 { #expect(text(try await client.fetch(.get, "/", retrying: .repeatable).body) == "hi") }
      }
    }
    #expect(report.leases == 2 && report.failed == 0, "\(report)")
  }

  @Test("a request that says close is the last one, also if the server does not say so")
  func asked() async throws {
    let (_, report) = try await withRawServer { connection in
      while try await receiveRequest(connection) != nil {
        try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
      }
    } _: { place in
      try await withClient(of: place) { client async throws in
        let fields: HTTPFields = [.connection: "Close"]
        for _ in 0..<2 { #expect(text(try await client.fetch(.get, "/", fields: fields).body) == "hi") }
      }
    }
    #expect(report.dialed == 2 && report.reused == 0, "\(report)")
  }

  @Test("an answer that comes while the body is being sent is received, although the server closes")
  func early() async throws {
    _ = try await withServer(Self.server) { place, _ in
      let (_, report) = try await withClient(of: place) { client async throws in
        let body = HTTPContent.bytes([UInt8](repeating: 7, count: 8 << 20))
        #expect(try await client.fetch(.post, "/refuse", body).response.status == .contentTooLarge)
        #expect(text(try await client.fetch(.post, "/", .text("hello")).body) == "hello")
      }
      #expect(report.dialed == 2, "\(report)")
    }
  }

  @Test("a server that answers and resets while the body is being sent: the answer is received all the same")
  func earlyReset() async throws {
    let (_, report) = try await withRawServer { connection in
      _ = try await receiveRequest(connection)
      try await connection.send("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno")
      while try connection.bytesUnacknowledged() > 0 { await Task.yield() }
      await connection.abort()
    } _: { place in
      try await withClient(of: place) { client async throws in
        let body = HTTPContent.bytes([UInt8](repeating: 7, count: 32 << 20))
        let (response, text) = try await client.fetch(.post, "/", body, retrying: .never)
        #expect(response.status == .contentTooLarge && text == Array("no".utf8))
      }
    }
    #expect(report.leases == 1 && report.failed == 0, "\(report)")
  }

  @Test("interim responses are passed over, 8 at most; one that changes the protocol is an error")
  func interim() async throws {
    try await withRawServer { connection in
      while let request = try await receiveRequest(connection) {
        let count = Int(request.dropFirst(5).prefix { $0 != " " }) ?? 0
        let interim =
          count > 100 ? "HTTP/1.1 101 Switching Protocols\r\n\r\n" : "HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n"
        try await connection.send(String(repeating: interim, count: min(count, 100)) + "HTTP/1.1 204\r\n\r\n")
      }
    } _: { place in
      _ = try await withClient(of: place) { client async throws in
        for count in [0, 1, 8] { #expect(try await client.fetch(.get, "/\(count)").response.status == .noContent) }
        for count in [9, 101] {
          await #expect(throws: HTTPError.self) { try await client.fetch(.get, "/\(count)", retrying: .never) }
        }
      }
    }
  }

  @Test(
    "a malformed response is an error",
    arguments: [
      "HTTP/1.1 200\nContent-Length: 0\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 600 No\r\n\r\n",
      "HTTP/1.1 +20 No\r\n\r\n",
      "HTTP/2 200 OK\r\n\r\n", "ICY 200 OK\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
      "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
      "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nhello\r\n", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
    ])
  func malformed(_ response: String) async throws {
    try await withRawServer { connection in
      _ = try await receiveRequest(connection)
      try await connection.send(response)
      _ = try await connection.receive(upTo: 1)
    } _: { place in
      let (_, report) = try await withClient(of: place) { client async throws in
        await #expect(throws: HTTPError.self) { try await client.fetch(.get, "/", retrying: .repeatable) }
      }
      #expect(report.leases == 1 && report.failed == 1, "\(report)")
    }
  }

  @Test("a body without a stated length is limited too")
  func endless() async throws {
    var limits = HTTPLimits()
    limits.body = 1000
    try await withRawServer { connection in
      guard let request = try await receiveRequest(connection) else { return }
      let count = Int(request.dropFirst(5).prefix { $0 != " " }) ?? 0
      try await connection.send("HTTP/1.1 200 OK\r\n\r\n" + String(repeating: "a", count: count))
    } _: { [limits] place in
      _ = try await withClient(of: place, limits: limits) { client async throws in
        #expect(try await client.fetch(.get, "/1000").body.count == 1000)
        await #expect(throws: HTTPError.self) { try await client.fetch(.get, "/1001", retrying: .never) }
      }
    }
  }

  @Test("a path that would end the request line is refused, and no connection is used")
  func path() async throws {
    try await withRawServer { _ in
    } _: { place in
      let (_, report) = try await withClient(of: place) { client async throws in
        await #expect(throws: HTTPError.self) { try await client.fetch(.get, "/ HTTP/1.1\r\nHost: y\r\n\r\nGET /") }
      }
      #expect(report.failed == 1, "\(report)")
    }
  }

  @Test("a request that reached a server which then closed is sent again only if it may be executed twice")
  func repeating() async throws {
    let seen = Mutex(0)
    try await withRawServer { connection in
      // The first two connections end without an answer.
      guard try await receiveRequest(connection) != nil,
        seen.withLock({
          $0 += 1; return $0
        }) > 2
      else { return }
      try await connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    } _: { place in
      _ = try await withClient(of: place) { client async throws in
        await #expect(throws: HTTPError.truncated) { try await client.fetch(.post, "/") }
        #expect(text(try await client.fetch(.put, "/", retrying: .repeatable).body) == "hi")
      }
    }
    #expect(seen.withLock { $0 } == 3)
  }

  @Test("a server that closes idle connections: the next request gets another one, and none fails")
  func idle() async throws {
    var limits = HTTPLimits()
    limits.idle = .milliseconds(500)
    let server = HTTPServer(limits: limits) { _, _, _ in HTTPReply(.ok, .text("hi")) }
    _ = try await withServer(server) { place, _ in
      let (_, report) = try await withClient(of: place) { client async throws in
        for _ in 0..<3 {
          #expect(text(try await client.fetch(.get, "/").body) == "hi")
          // Until the pool has seen the server's FIN.
          while client.pool.report.open > 0 { try await Task.sleep(for: .milliseconds(5)) }
        }
      }
      // On a busy machine one may end before it got its request: then the pool dials again.
      #expect(report.dialed >= 3 && report.reused == 0 && report.failed == report.undelivered, "\(report)")
    }
  }
}
