import Fin
import HTTPExample
import HTTPTypes
import Testing

/// A server that notes each request that its handler answers whole.
private func noting(_ notes: Notes<String>, limits: HTTPLimits = HTTPLimits()) -> HTTPServer {
  HTTPServer(limits: limits) { request, body, connection in
    if request.path == "/refuse" { return HTTPReply(.forbidden) }
    let content = try await body.receiveAll(from: connection)
    notes.add("\(request.method.rawValue) \(request.path ?? "") \(text(content))")
    switch request.path {
    case "/nothing": return HTTPReply(.noContent)
    case "/same": return HTTPReply(.notModified)
    case "/stream":
      return HTTPReply(.ok, .stream { write in for part in ["one", "", "two"] { try await write(Array(part.utf8)) } })
    case "/trailers": return HTTPReply(.ok, .text(body.trailers.map { "\($0)" }.joined(separator: ",")))
    case "/host": return HTTPReply(.ok, .text(request.authority ?? "none"))
    default: return HTTPReply(.ok, .bytes(content))
    }
  }
}

private let get = "GET / HTTP/1.1\r\nHost: x\r\n"
private let post = "POST / HTTP/1.1\r\nHost: x\r\n"

@Suite(
  "Requests: what is not a request is answered with its error, and nothing behind it is served", .timeLimit(.minutes(2))
)
struct Requests {
  static let malformed: [(Int, String)] = [
    // Two programs in a row would find another end of the body.
    (400, post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (400, post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"),
    (400, post + "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
    (400, post + "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    (400, post + "Content-Length: 5, 6\r\n\r\nhello"),
    (400, post + "Content-Length: +5\r\n\r\nhello"),
    (400, post + "Content-Length: -5\r\n\r\nhello"),
    (400, post + "Content-Length: 0x5\r\n\r\nhello"),
    (400, post + "Content-Length: \r\n\r\nhello"),
    (400, post + "Content-Length: 99999999999999999999\r\n\r\nhello"),
    (400, post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    (501, post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    (501, post + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    (501, post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    (501, post + "Transfer-Encoding: chun\u{212A}ed\r\n\r\n0\r\n\r\n"),
    (400, post + "Transfer-Encoding:\u{B}chunked\r\n\r\n0\r\n\r\n"),
    (400, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    // Lines.
    (400, "GET / HTTP/1.1\nHost: x\n\n"),
    (400, "GET / HTTP/1.1\r\nHost: x\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: x\r\nA: b\rC: d\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: x\r\r\n\r\n"),
    (400, get + "A: b\r\n c: folded\r\n\r\n"),
    (400, get + "\tA: b\r\n\r\n"),
    (400, get + "A : b\r\n\r\n"),
    (400, get + "A\r\n\r\n"),
    (400, get + ": b\r\n\r\n"),
    (400, get + ":path: /other\r\n\r\n"),
    (400, get + "A: b\u{0}c\r\n\r\n"),
    (400, get + "A(b): c\r\n\r\n"),
    // The first line.
    (400, "\r\n\r\n" + get + "\r\n"),
    (400, "GET /\r\nHost: x\r\n\r\n"),
    (400, "GET  / HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, "GET / a HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, "GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, "G\u{E9}T / HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, "GET x HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, "GET * HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, "GET /#part HTTP/1.1\r\nHost: x\r\n\r\n"),
    (400, "GET / http/1.1\r\nHost: x\r\n\r\n"),
    (505, "GET / HTTP/2.0\r\nHost: x\r\n\r\n"),
    (505, "GET / HTTP/1.11\r\nHost: x\r\n\r\n"),
    (501, "CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n"),
    // The host.
    (400, "GET / HTTP/1.1\r\n\r\n"),
    (400, get + "Host: y\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    (400, "GET http://a@b/ HTTP/1.1\r\nHost: x\r\n\r\n"),
    // Chunks.
    (400, post + "Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n"),
    (400, post + "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n"),
    (400, post + "Transfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n"),
    (400, post + "Transfer-Encoding: chunked\r\n\r\n\r\nhello\r\n0\r\n\r\n"),
    (400, post + "Transfer-Encoding: chunked\r\n\r\n5;a=\u{1}\r\nhello\r\n0\r\n\r\n"),
    (400, post + "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n"),
    (400, post + "Transfer-Encoding: chunked\r\n\r\n5\r\nhello0\r\n\r\n"),
    (400, post + "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n"),
    (400, post + "Transfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n"),
    (400, post + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
    (400, post + "Transfer-Encoding: chunked\r\n\r\n0\r\nA b: c\r\n\r\n"),
  ]

  @Test("a malformed request is answered once, with its status and Connection: close, and the server finishes")
  func refused() async throws {
    let notes = Notes<String>()
    let (_, report) = try await withServer(noting(notes)) { place, _ in
      for (status, request) in Requests.malformed {
        let answer = try await talk(place, request + "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
        #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(request.debugDescription): \(answer)")
        #expect(answer.contains("\r\nConnection: close\r\n"), "\(request.debugDescription)")
        #expect(answer.components(separatedBy: "HTTP/1.1 ").count == 2, "\(request.debugDescription): \(answer)")
      }
    }
    #expect(notes.all == [])
    #expect(report.served == Requests.malformed.count && report.handlersFailed == 0, "\(report)")
  }

  @Test("each limit is kept: 414 for the target, 431 for fields, 413 for the body, 400 for chunk extensions")
  func limits() async throws {
    var limits = HTTPLimits()
    (limits.line, limits.head, limits.fields, limits.body, limits.extensions) = (100, 300, 10, 20, 30)
    let notes = Notes<String>()
    func fields(_ count: Int, _ length: Int) -> String {
      (0..<count).map { "\($0): \(String(repeating: "v", count: length))\r\n" }.joined()
    }
    let chunked = post + "Transfer-Encoding: chunked\r\n\r\n"
    let cases: [(Int, String)] = [
      (200, "GET /\(String(repeating: "a", count: 86)) HTTP/1.1\r\nHost: x\r\n\r\n"),
      (414, "GET /\(String(repeating: "a", count: 87)) HTTP/1.1\r\nHost: x\r\n\r\n"),
      (200, get + fields(1, 97) + "\r\n"), (431, get + fields(1, 98) + "\r\n"),
      (200, get + fields(9, 1) + "\r\n"), (431, get + fields(10, 1) + "\r\n"),
      (200, get + fields(3, 90) + "\r\n"), (431, get + fields(4, 90) + "\r\n"),
      (200, post + "Content-Length: 20\r\n\r\n12345678901234567890"),
      (413, post + "Content-Length: 21\r\n\r\n"),
      (200, chunked + "a\r\n1234567890\r\na\r\n1234567890\r\n0\r\n\r\n"),
      (413, chunked + "a\r\n1234567890\r\nb\r\n"),
      (200, chunked + "1;a=456789012345\r\nx\r\n1;a=456789012345\r\nx\r\n0\r\n\r\n"),
      (400, chunked + "1;a=456789012345\r\nx\r\n1;a=4567890123456\r\nx\r\n0\r\n\r\n"),
      (431, chunked + "0\r\n" + fields(11, 1) + "\r\n"),
      (400, chunked + "00000000000000001\r\nx\r\n0\r\n\r\n"),
    ]
    _ = try await withServer(noting(notes, limits: limits)) { place, _ in
      for (status, request) in cases {
        let answer = try await talk(place, request, finishing: status == 200)
        #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(request.debugDescription): \(answer)")
      }
    }
    #expect(notes.all.count == cases.count { $0.0 == 200 })
  }

  @Test("a request that comes too slowly gets 408, and a client that is silent between two requests gets a FIN")
  func slow() async throws {
    var (slow, silent) = (HTTPLimits(), HTTPLimits())
    (slow.headTime, silent.idle) = (.milliseconds(50), .milliseconds(50))
    _ = try await withServer(noting(Notes(), limits: slow)) { (place, _) async throws in
      #expect(try await talk(place, get).hasPrefix("HTTP/1.1 408 "))
    }
    _ = try await withServer(noting(Notes(), limits: silent)) { (place, _) async throws in
      #expect(try await talk(place, "") == "")
    }
  }

  @Test("requests that are sent ahead are answered in their order")
  func pipelined() async throws {
    let notes = Notes<String>()
    let requests = (0..<20).map { number in
      number % 2 == 0
        ? post + "Content-Length: 2\r\n\r\n\(10 + number)"
        : post + "Transfer-Encoding: Chunked\r\n\r\n1;x\r\n\(number / 10)\r\n1\r\n\(number % 10)\r\n0\r\n\r\n"
    }
    let (answer, _) = try await withServer(noting(notes)) { place, _ in
      try await talk(place, "\r\n" + requests.joined(separator: "\r\n"), finishing: true)
    }
    let bodies = answer.components(separatedBy: "Content-Length: 2\r\n\r\n").dropFirst().map { String($0.prefix(2)) }
    #expect(bodies == (0..<20).map { $0 % 2 == 0 ? "\(10 + $0)" : "\($0 / 10)\($0 % 10)" })
    #expect(notes.all == bodies.map { "POST / \($0)" })
  }

  @Test("an answer to HEAD, 204 and 304 have no body, and the connection goes on")
  func bodiless() async throws {
    let (answer, _) = try await withServer(noting(Notes())) { place, _ in
      try await talk(
        place,
        ["HEAD /host", "GET /nothing", "GET /same", "HEAD /stream", "GET /host"].map {
          $0 + " HTTP/1.1\r\nHost: x\r\n\r\n"
        }
        .joined(), finishing: true)
    }
    #expect(
      answer == "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n"
        + "HTTP/1.1 304 Not Modified\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
  }

  @Test("HTTP/1.0: the connection stays if it is asked to, and a stream ends with it")
  func oldVersion() async throws {
    _ = try await withServer(noting(Notes())) { place, _ in
      let kept = "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"
      let keptAnswer = "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n"
      let answer = try await talk(place, kept + kept + "GET / HTTP/1.0\r\n\r\n" + kept)
      #expect(answer == keptAnswer + keptAnswer + "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
      let stream = try await talk(place, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n" + kept)
      #expect(stream == "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nonetwo")
    }
  }

  @Test("chunks, trailers, the host of an absolute target, and Connection: close in any form of the list")
  func forms() async throws {
    _ = try await withServer(noting(Notes())) { place, _ in
      let stream = try await talk(
        place, "GET /stream HTTP/1.1\r\nHost: x\r\nConnection: x, Close\r\n\r\n" + get + "\r\n")
      #expect(
        stream == "HTTP/1.1 200 OK\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
          + "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
      let trailers = try await talk(
        place, "POST /trailers HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: b\r\nHost: y\r\n\r\n",
        finishing: true)
      #expect(trailers.hasSuffix("\r\n\r\nA: b,Host: y"))
      let host = try await talk(place, "GET http://other:80/host HTTP/1.1\r\nHost: x\r\n\r\n", finishing: true)
      #expect(host.hasSuffix("\r\n\r\nother:80"))
      #expect(
        try await talk(place, "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", finishing: true).hasPrefix("HTTP/1.1 200 "))
    }
  }

  @Test("Expect: 100-continue is answered when the handler asks for the body; refused without it, the server finishes")
  func expectation() async throws {
    let notes = Notes<String>()
    _ = try await withServer(noting(notes)) { place, _ in
      let connection = try await Connection.connect(to: place)
      try await connection.send(post + "Content-Length: 5\r\nExpect: 100-Continue\r\n\r\n")
      let interim = try await connection.receive(exactly: 25)
      #expect(interim.map(text) == "HTTP/1.1 100 Continue\r\n\r\n")
      try await connection.send("hello")
      let final = try await connection.receive(until: Array("hello".utf8))
      #expect(final.map(text) == "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
      await connection.close()

      let head = "POST /refuse HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
      let refusal = try await talk(place, head)
      #expect(refusal == "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
      let none = try await talk(place, get + "Content-Length: 0\r\nExpect: 100-continue\r\n\r\n", finishing: true)
      #expect(none == "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    }
    #expect(notes.all == ["POST / hello", "GET / "])
  }

  @Test("a handler that fails: the client gets 500 and a FIN, and the server reports the error")
  func failure() async throws {
    struct Broken: Error {}
    let (answer, report) = try await withServer(HTTPServer { _, _, _ in throw Broken() }) { place, _ in
      try await talk(place, get + "\r\n" + get + "\r\n")
    }
    #expect(answer == "HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    #expect(report.handlersFailed == 1 && report.firstFailures.first?.error is Broken, "\(report)")
    #expect(report.endings == [.peerFinished: 1], "\(report)")
  }
}
