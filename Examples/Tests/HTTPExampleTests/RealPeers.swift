import Fin
import Foundation
import HTTPExample
import HTTPTypes
import Testing

private let server = HTTPServer { request, body, connection in
  switch request.path {
  case "/stream":
    return HTTPReply(.ok, .stream { write in for number in 1...1000 { try await write(Array("\(number)\n".utf8)) } })
  case "/broken":
    return HTTPReply(
      .ok,
      .stream { write in
        try await write(Array("half".utf8))
        throw HTTPError.truncated
      })
  case "/broken-length": return HTTPReply(.ok, .bytes([UInt8](repeating: 7, count: 8 << 20)))
  default: return HTTPReply(.ok, .bytes(try await body.receiveAll(from: connection)))
  }
}

@Suite("Real peers: curl, ab, requests and Python's server", .timeLimit(.minutes(3)))
struct RealPeers {
  @Test("curl: keep-alive, HEAD, HTTP/1.0, Expect, a chunked upload, a stream", .enabled(if: Program.exists("curl")))
  func curl() async throws {
    let (_, report) = try await withServer(server) { place, _ in
      let several = try await Program.run(
        "curl -sS -w '%{http_code}/%{num_connects} ' -d hello http://\(place)/1 http://\(place)/2 http://\(place)/3")
      #expect(several == (0, "hello200/1 hello200/0 hello200/0 "))

      let expecting = try await Program.run(
        "curl -sSv -H 'Expect: 100-continue' --data-binary @- http://\(place)/", input: "hello")
      #expect(expecting.status == 0 && expecting.output.contains("< HTTP/1.1 100 Continue"), "\(expecting)")
      #expect(expecting.output.hasSuffix("hello"), "\(expecting)")

      let numbers = (1...20_000).map { "\($0)\n" }.joined()
      let chunked = try await Program.run("curl -sS -T - http://\(place)/ | cksum; printf %s | cksum", input: numbers)
      let expected = try await Program.run("cksum; printf %s | cksum", input: numbers)
      #expect(chunked == expected)

      let old = try await Program.run("curl -sS --http1.0 -i http://\(place)/stream | tail -n 1")
      #expect(old == (0, "1000\n"))
      let stream = try await Program.run("curl -sS http://\(place)/stream | wc -l")
      #expect(stream.output.trimmingCharacters(in: .whitespacesAndNewlines) == "1000")
      let head = try await Program.run("curl -sS -I http://\(place)/broken-length")
      #expect(head == (0, "HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n"))
    }
    #expect(report.handlersFailed == 0 && report.endings == [.peerFinished: 6], "\(report)")
  }

  @Test(
    "curl says that a stream which fails in the middle is incomplete, also in HTTP/1.0",
    .enabled(if: Program.exists("curl")))
  func curlBroken() async throws {
    _ = try await withServer(server) { place, _ in
      for option in ["--http1.1", "--http1.0"] {
        // 18: a partial transfer; 56: a reset.
        let broken = try await Program.run("curl -sS \(option) http://\(place)/broken")
        #expect([18, 56].contains(broken.status), "\(broken)")
      }
    }
  }

  @Test(
    "ab: 3,000 requests on 16 connections that are kept, and 300 on connections of their own, none failed",
    .enabled(if: Program.exists("ab")))
  func loadGenerator() async throws {
    let (_, report) = try await withServer(server) { place, _ in
      let kept = try await Program.run("ab -q -k -n 3000 -c 16 http://\(place)/")
      #expect(kept.status == 0 && kept.output.contains("Keep-Alive requests:    3000\n"), "\(kept.output)")
      let single = try await Program.run("ab -q -n 300 -c 16 http://\(place)/")
      for run in [kept, single] {
        #expect(run.output.contains("Failed requests:        0\n"), "\(run.output)")
        #expect(!run.output.contains("Non-2xx"), "\(run.output)")
      }
    }
    #expect(report.handlersFailed == 0 && report.served >= 316, "\(report)")
  }

  /// A Python that has the module requests.
  private static let pythonWithRequests = ["/usr/bin/python3", "python3"].first { python in
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [python, "-c", "import requests"]
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }

  @Test(
    "requests: a session keeps its connection; bodies with a length and in chunks, both ways",
    .enabled(if: pythonWithRequests != nil))
  func pythonRequests() async throws {
    let python = try #require(Self.pythonWithRequests)
    let (_, report) = try await withServer(server) { place, _ in
      let script = """
        import requests
        with requests.Session() as s:
          s.trust_env = False
          url = "http://\(place)"
          assert s.post(url + "/", data=b"hello").content == b"hello"
          assert s.post(url + "/", data=(b"part %d" % n for n in range(3))).content == b"part 0part 1part 2"
          with s.get(url + "/stream", stream=True) as r:
            assert sum(1 for line in r.iter_lines()) == 1000
          assert s.head(url + "/").status_code == 200
          try:
            s.get(url + "/broken").content
            assert False, "half a body was taken for a whole one"
          except requests.exceptions.RequestException as e:
            print(type(e).__name__)
        """
      let run = try await Program.run("\(python) -", input: script)
      #expect(run == (0, "ChunkedEncodingError\n") || run == (0, "ConnectionError\n"))
    }
    #expect(report.served == 1, "\(report)")
  }

  @Test(
    "the client with Python's server: HTTP/1.0 that ends with the connection, and HTTP/1.1 that is kept",
    .enabled(if: Program.exists("python3")))
  func pythonServer() async throws {
    for (version, connections) in [("HTTP/1.0", 3), ("HTTP/1.1", 1)] {
      let script = """
        from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
        class Handler(BaseHTTPRequestHandler):
          protocol_version = "\(version)"
          def log_message(self, *arguments): pass
          def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            if self.protocol_version == "HTTP/1.1": self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        print(server.server_address[1], flush=True)
        server.serve_forever()
        """
      let (process, port) = try await Program.start(["python3", "-c", script])
      defer { Program.kill(process) }
      let place = Endpoint(.loopback(port: try #require(UInt16(port))))
      let (_, report) = try await withClient(of: place) { client async throws in
        for body in ["hello", String(repeating: "x", count: 200_000), ""] {
          #expect(text(try await client.fetch(.post, "/", .text(body)).body) == body)
        }
      }
      #expect(report.dialed == connections && report.failed == 0, "\(version): \(report)")
    }
  }

  @Test(
    "the program http: it serves curl and its own client, SIGTERM ends it, and its exit status is 0",
    .enabled(if: Program.exists("curl")))
  func program() async throws {
    let http = try Program.ours("http")
    let (process, line) = try await Program.start(["stdbuf", "-oL", http, "serve", "127.0.0.1:0"])
    defer { Program.kill(process) }
    let place = try #require(line.split(separator: " ").last)
    let curl = try await Program.run("curl -sS http://\(place)/ http://\(place)/count -d hello http://\(place)/echo")
    #expect(curl.status == 0, "\(curl)")
    let own = try await Program.run("\(http) get \(place) /count")
    #expect(own.status == 0 && own.output.hasPrefix("200 OK\n1\n2\n"), "\(own)")
    let missing = try await Program.run("\(http) get \(place) /none")
    #expect(missing.status == 0 && missing.output.hasPrefix("404 Not Found\n"), "\(missing)")
    let idle = try await Connection.connect(to: Endpoint(parsing: String(place)))
    try await idle.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    _ = try await idle.receive(until: Array("hello\n".utf8))
    process.terminate()
    #expect(try await idle.receive(upTo: 1) == nil)
    await idle.close()
    #expect(await Program.status(of: process) == 0)
    #expect(try await Program.run("\(http) get \(place) /").status == 1)
  }
}
