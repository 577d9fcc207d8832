import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand

/// A `fin export` of one test.
struct Exporter {
  let child: Child
  let port: UInt16

  init(_ arguments: String...) throws {
    child = try Child.spawn(Fin.path, ["export", "--web.listen-address", "127.0.0.1:0"] + arguments)
    let line = try child.readLine() ?? ""
    guard let match = line.firstMatch(of: /^serves http:\/\/127\.0\.0\.1:(\d+)/), let port = UInt16(match.output.1)
    else {
      throw RigError("fin export said: \(line)")
    }
    self.port = port
  }

  func connect() throws -> PlainSocket { try PlainSocket.connected(to: "127.0.0.1", port: port) }

  /// The whole answer to one request, after which the server closes.
  func get(_ path: String, _ fields: String = "", method: String = "GET") throws -> String {
    let socket = try connect()
    socket.setOption(SOL_SOCKET, SO_RCVTIMEO_seconds: 300)
    // A census takes long on a busy machine.
    let fields = fields.contains("Timeout") ? fields : fields + "X-Prometheus-Scrape-Timeout-Seconds: 300\r\n"
    try socket.send(Array("\(method) \(path) HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\(fields)\r\n".utf8))
    return String(decoding: try socket.receiveAll(), as: UTF8.self)
  }

  static func status(_ answer: String) -> String {
    String(answer.dropFirst("HTTP/1.1 ".count).prefix(3))
  }

  /// The largest resident memory so far, in kB.
  var peak: Int {
    let status = TextFile.read("/proc/\(child.number)/status") ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") } ?? ""
    return line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
  }
}

extension PlainSocket {
  fileprivate func setOption(_ level: CInt, SO_RCVTIMEO_seconds seconds: Int) {
    var time = timeval(tv_sec: seconds, tv_usec: 0)
    _ = unsafe setsockopt(descriptor, level, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
  }
}

@Suite("fin export: metrics over HTTP", .onThreads, .timeLimit(.minutes(30)))
struct ExportTests {
  @Test("each path has its answer; only GET and HEAD are answered; a HEAD has the same fields and no body")
  func paths() throws {
    let exporter = try Exporter("--own-namespace")
    let metrics = try exporter.get("/metrics")
    #expect(metrics.hasPrefix("HTTP/1.1 200 OK\r\n"))
    #expect(metrics.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"))
    #expect(metrics.contains("\nfin_build_info{") && metrics.contains("\nprocess_open_fds "))
    let open = try exporter.get("/metrics", "Accept: application/openmetrics-text; version=1.0.0\r\n")
    #expect(open.contains("Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"))
    #expect(open.hasSuffix("\n# EOF\n"))
    #expect(try exporter.get("/").contains("<a href=\"/metrics\">"))
    #expect(try Exporter.status(exporter.get("/-/healthy")) == "200")
    #expect(try Exporter.status(exporter.get("/-/ready")) == "200")
    #expect(try Exporter.status(exporter.get("/favicon.ico")) == "404")
    let post = try exporter.get("/metrics", method: "POST")
    #expect(Exporter.status(post) == "405" && post.contains("\r\nAllow: GET, HEAD\r\n"))
    let head = try exporter.get("/-/healthy", method: "HEAD")
    let got = try exporter.get("/-/healthy")
    let empty = got.firstRange(of: "\r\n\r\n").map { String(got[..<$0.upperBound]) }
    #expect(head == empty)
  }

  @Test("requests in a row, in one piece and in pieces of one byte, are answered in their order")
  func pipelined() throws {
    let exporter = try Exporter("--own-namespace")
    let socket = try exporter.connect()
    let requests =
      "GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\n\r\n"
      + "HEAD / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nGET /never HTTP/1.1\r\n\r\n"
    for byte in requests.utf8 { try socket.send([byte]) }
    let answers = String(decoding: try socket.receiveAll(), as: UTF8.self)
    let statuses = answers.matches(of: /HTTP\/1\.1 (\d+)/).map { String($0.output.1) }
    #expect(statuses == ["200", "404", "200"])
  }

  @Test("a request that is cut at any byte is refused at once, and the next client is served")
  func cut() throws {
    let exporter = try Exporter("--own-namespace")
    let request = Array("GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n".utf8)
    for length in 1..<request.count {
      let socket = try exporter.connect()
      try socket.send(Array(request[..<length]))
      try socket.finishSending()
      let answer = String(decoding: try socket.receiveAll(), as: UTF8.self)
      // An empty line is no request yet.
      #expect(Exporter.status(answer) == "400", "\(length)")
    }
    let silent = try exporter.connect()
    try silent.finishSending()
    #expect(try silent.receiveAll().isEmpty)
    #expect(try Exporter.status(exporter.get("/-/healthy")) == "200")
  }

  @Test("garbage behind a request: the request is answered, the garbage is refused, and the connection ends")
  func garbage() throws {
    let exporter = try Exporter("--own-namespace")
    let socket = try exporter.connect()
    try socket.send(Array("GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n".utf8))
    let rest = (0..<4000).map { UInt8(truncatingIfNeeded: $0 &* 31) } + Array("\r\n\r\n".utf8)
    try socket.send(rest)
    let answers = String(decoding: try socket.receiveAll(), as: UTF8.self)
    #expect(answers.matches(of: /HTTP\/1\.1 (\d+)/).map { String($0.output.1) } == ["200", "400"])
  }

  @Test("a head of 1 GB: refused, the client is cut off long before its end, and the memory stays bounded")
  func endless() throws {
    let exporter = try Exporter("--own-namespace")
    _ = try exporter.get("/metrics")
    let before = exporter.peak
    let socket = try exporter.connect()
    try socket.send(Array("GET / HTTP/1.1\r\n".utf8))
    let piece = Array(String(repeating: "X-Field: yyyyyyyyyyyyyyy\r\n", count: 4000).utf8)
    var sent = 0
    // The server reads some of it, so that its answer arrives, and then resets.
    while sent < 1 << 30, (try? socket.send(piece)) != nil { sent += piece.count }
    #expect(sent < 64 << 20, "\(sent) bytes were taken")
    #expect(exporter.peak - before < 8192, "\(before) kB, then \(exporter.peak) kB")
    #expect(try Exporter.status(exporter.get("/-/healthy")) == "200")
  }

  @Test(
    "thousands of clients that never send a whole request do not keep a scrape out, and the memory stays bounded",
    .enabled(if: Programs.find("python3") != nil, "needs python3"))
  func slow() throws {
    let exporter = try Exporter("--own-namespace")
    _ = try exporter.get("/metrics")
    let before = exporter.peak
    let program = """
      import resource, select, socket, sys
      soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
      count = min(10000, hard - 50)
      resource.setrlimit(resource.RLIMIT_NOFILE, (count + 50, hard))
      kept = []
      for n in range(count):
          s = socket.socket(); s.settimeout(20)
          s.connect(("127.0.0.1", int(sys.argv[1])))
          try: s.send(b"GET /metrics HTTP/1.1\\r\\nHost")
          except OSError: pass
          kept.append(s)
      print("ready", count, flush=True); sys.stdin.read()
      """
    try withChild(try #require(Programs.find("python3")), ["-c", program, "\(exporter.port)"]) { crowd in
      let line = try crowd.readLine(within: .seconds(120)) ?? ""
      #expect(line.hasPrefix("ready"))
      let begun = ContinuousClock.now
      #expect(try Exporter.status(exporter.get("/-/healthy")) == "200")
      #expect(ContinuousClock.now - begun < .seconds(10))
      #expect(try exporter.get("/metrics").contains("\nfin_build_info"))
      let text = try exporter.get("/metrics")
      let open = text.split(separator: "\n").first { $0.hasPrefix("process_open_fds ") }?.dropFirst(17)
      #expect(open.flatMap { Int($0) }.map { $0 < 600 } == true, "\(String(describing: open))")
      #expect(exporter.peak - before < 65536, "\(before) kB, then \(exporter.peak) kB")
    }
  }

  @Test("a scraper that has less time than a census takes has its answer in time, and so has the next one")
  func deadline() throws {
    let exporter = try Exporter("--own-namespace")
    let answer = try exporter.get("/metrics", "X-Prometheus-Scrape-Timeout-Seconds: 0.001\r\n")
    // A machine may be fast enough all the same.
    #expect(["200", "503"].contains(Exporter.status(answer)))
    #expect(try Exporter.status(exporter.get("/metrics")) == "200")
  }

  @Test("SIGTERM ends it with success, and a port in use is an error that names the address")
  func ends() async throws {
    let exporter = try Exporter("--own-namespace")
    let taken = try await Fin.run("export", "--web.listen-address", "127.0.0.1:\(exporter.port)")
    #expect(taken.status == 69 && taken.complaints.contains("127.0.0.1:\(exporter.port)"), "\(taken.complaints)")
    exporter.child.signal(SIGTERM)
    #expect(try exporter.child.wait() == .exited(0))
  }

  @Test(
    "a leaking program is in the metrics, its healthy twin is not, and the exporter's listener is not", .needsScenes)
  func leak() throws {
    let folder = try TemporaryFolder()
    let network = try NetworkNamespace()
    let python = try #require(Programs.find("python3"))
    try network.run {
      let exporter = try Exporter("--own-namespace")
      let leak = try Child.spawn(python, ["-B", Stage.folder + "close_wait.py", "known", "15"])
      defer { leak.end() }
      // Under a name of its own: a series has no process number, and programs of other namespaces have findings too.
      let healthy = folder.path + "/healthy_twin.py"
      try #require(unsafe symlink(Stage.folder + "fd_limit.py", healthy) == 0)
      let twin = try Child.spawn(python, ["-B", healthy, "10"])
      defer { twin.end() }
      #expect(try leak.readLine()?.hasPrefix("ready") == true && twin.readLine()?.hasPrefix("ready") == true)
      try eventually("the leak is in the metrics") {
        let lines = try exporter.get("/metrics").split(separator: "\n")
        #expect(!lines.contains { $0.hasPrefix("fin_finding_sockets") && $0.contains("healthy_twin.py") })
        // The exporter is left out. Others, of tests that run meanwhile, may be seen: their listeners are not there.
        #expect(!lines.contains { $0.hasPrefix("fin_listener_queue{") && $0.contains(":\(exporter.port)\"") })
        return lines.contains {
          $0.hasPrefix("fin_finding_sockets") && $0.contains(#"finding="L1""#) && $0.hasSuffix(" 15")
            && $0.contains(#"program="close_wait.py""#)
        }
      }
      // When the program has ended, its series stays at 0, so that an alert ends.
      leak.closeInput()
      _ = try leak.wait()
      try eventually("the leak is over") {
        try exporter.get("/metrics").split(separator: "\n").contains {
          $0.hasPrefix("fin_finding_sockets") && $0.contains(#"finding="L1""#) && $0.hasSuffix(" 0")
        }
      }
    }
  }

  /// A Python that has Prometheus's client: the one on PATH may not be Debian's.
  private static let clientPython = [Programs.find("python3"), "/usr/bin/python3"].compactMap(\.self).first { python in
    let words = ["-c", "import prometheus_client.openmetrics.parser"]
    return (try? withChild(python, words) { try $0.wait() }) == .exited(0)
  }

  @Test(
    "Prometheus's own client parses OpenMetrics, and promtool has nothing to say about the text",
    .enabled(
      if: clientPython != nil && Programs.find("promtool") != nil && Programs.find("curl") != nil,
      "needs python3-prometheus-client, promtool and curl: apt-get install python3-prometheus-client prometheus curl"))
  func parsed() async throws {
    let python = try #require(Self.clientPython)
    let exporter = try Exporter()
    let time = "X-Prometheus-Scrape-Timeout-Seconds: 300"
    let url = "http://127.0.0.1:\(exporter.port)/metrics"
    let program = """
      import sys
      from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
      families = list(parse(sys.stdin.read()))
      print(len(families), sum(len(f.samples) for f in families), sorted({f.type for f in families}))
      """
    let accept = "Accept: application/openmetrics-text;version=1.0.0"
    let run = try await Fin.shell(
      "curl -sf -H '\(time)' -H '\(accept)' \(url) | \(python) -c '\(program)' 2>&1")
    #expect(run.status == 0 && run.output.contains("['counter', 'gauge', 'info']"), "\(run.output)")
    let lint = try await Fin.shell("curl -sf --compressed -H '\(time)' \(url) | promtool check metrics 2>&1")
    #expect(lint.status == 0 && lint.output.isEmpty, "\(lint.output)")
  }

  @Test(
    "options that make no sense are refused",
    arguments: [
      ["--web.telemetry-path", "metrics"], ["--web.telemetry-path", "/"], ["--web.telemetry-path", "/a\"b"],
      ["--web.max-requests", "0"], ["--limit.programs", "0"], ["--web.listen-address", "::1:80:x"],
    ])
  func options(words: [String]) async throws {
    let fin = try await Fin.run(["export"] + words)
    #expect(fin.status == 64 && fin.output.isEmpty, "\(fin.complaints)")
  }
}
