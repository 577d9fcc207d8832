import FinDoctor
import Glibc
import Peers
import TestTraits
import Testing

/// Languages with networks of their own: the programs are in the folder `Programs`.
extension ZooTests {
  @Test(
    "Node: healthy under load; a blocked event loop and halves that it never ends are named", .onThreads,
    .needsProgram("node"))
  func node() throws {
    try Zoo.with { zoo in
      let server = try zoo.start("node", [Zoo.program("serve.js"), "serve", "\(Self.web)"])
      try zoo.awaitListener(on: Self.web)
      try zoo.expectHealthy(under: zoo.script("zoo_load", "http", "\(Self.web)"), "Node")
      try zoo.script("zoo_client", "ask", "\(Self.web)", "1", "/block")
      try zoo.script("zoo_client", "idle", "\(Self.web)", "3")
      _ = try zoo.awaitFinding(.acceptStalled, of: server.number) {
        $0.count == 3 && $0.says("it reports that clients wait, and none was accepted")
      }

      // net.Server: "the server will only send back the end of transmission when socket.end() is explicitly called".
      let keeping = try zoo.start("node", [Zoo.program("serve.js"), "keep", "\(Self.proxy)"])
      try zoo.awaitListener(on: Self.proxy)
      try zoo.script("zoo_client", "leaving", "\(Self.proxy)", "3")
      let kept = try zoo.awaitFinding(.closeWaitKnown, of: keeping.number) { $0.count == 3 }
      #expect(kept.sentence.contains("on local port \(Self.proxy) open that their peers closed"))
      #expect(kept.fix.code.contains("allowHalfOpen"))
    }
  }

  /// The program of Go, compiled once.
  private static let compiled = Result { () throws -> String in
    var name = Array("/tmp/fin-zoo-go-XXXXXX".utf8CString)
    guard unsafe mkdtemp(&name) != nil else { throw RigError("mkdtemp") }
    let folder = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let go = try #require(Programs.find("go"))
    let path = unsafe String(cString: getenv("PATH"))
    let environment = ["PATH": path, "GOCACHE": "\(folder)/cache", "GO111MODULE": "off", "GOTOOLCHAIN": "local"]
    let arguments = ["build", "-o", "\(folder)/net_http", Zoo.program("net_http.go")]
    let exit = try withChild(go, arguments, environment: environment) { try $0.wait(within: .seconds(300)) }
    guard exit == .exited(0) else { throw RigError("go build: \(exit)") }
    return folder
  }

  @Test(
    "Go, net/http: healthy under load; a client that does not close the bodies of its answers is named", .onThreads,
    .needsProgram("go"), .needsProgram("nginx"))
  func go() throws {
    let folder = try Self.compiled.get()
    defer { _ = try? withChild("/bin/rm", ["-rf", folder]) { try $0.wait() } }
    try Zoo.with { zoo in
      try zoo.start(path: "\(folder)/net_http", ["serve", "\(Self.proxy)"])
      try zoo.awaitListener(on: Self.proxy)
      try zoo.expectHealthy(under: zoo.script("zoo_load", "http", "\(Self.proxy)"), "Go, net/http")
      // http.Response: "It is the caller's responsibility to close Body." nginx closes an idle connection after 1 s.
      try Self.nginx(zoo, keepalive: 1)
      let client = try zoo.start(path: "\(folder)/net_http", ["forget", "http://127.0.0.1:\(Self.web)/", "3"])
      let finding = try zoo.awaitFinding(.closeWaitUnseen, of: client.number) {
        $0.count == 3 && $0.says("it reports the event only once (EPOLLET)")
          && $0.fix.code.contains("resp.Body.Close()")
      }
      #expect(finding.sentence.contains("to 127.0.0.1:\(Self.web)") && finding["Recv-Q"] == "1")
    }
  }

  @Test(
    "Java: healthy under load; a thread that accepts and works, sockets not closed, an attempt without an answer",
    .onThreads,
    .needsProgram("java"))
  func java() throws {
    try Zoo.with { zoo in
      let work = Self.proxy
      let options = ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx128m"]
      let program = try zoo.start("java", options + [Zoo.program("Sockets.java"), "\(Self.web)", "\(work)"])
      try zoo.awaitListener(on: work)
      try zoo.awaitListener(on: Self.web)
      try zoo.expectHealthy(under: zoo.script("zoo_load", "http", "\(Self.web)"), "Java")
      try zoo.script("zoo_client", "idle", "\(work)", "5")
      _ = try zoo.awaitFinding(.acceptStalled, of: program.number) {
        $0.count == 4 && $0.says("No epoll set has the listener and no thread waits on it")
      }
      // ServerSocket(int): "The maximum queue length for incoming connection indications is set to 50".
      try zoo.script("zoo_client", "crowd", "\(work)", "60")
      let full = try zoo.awaitFinding(.acceptOverflow, of: program.number) { $0.sentence.contains("is full") }
      #expect(full.sentence.contains("(51 waiting, limit 50)") && full.fix.code.contains("the default is 50"))

      try zoo.script("zoo_client", "hangup", "7001")
      try program.write("forget 7001 3\n")
      let kept = try zoo.awaitFinding(.closeWaitKnown, of: program.number) { $0.count == 3 }
      #expect(kept.sentence.contains("that their peers closed") && kept.fix.code.contains("try (Socket s = …)"))

      // Java's sockets are IPv6 with mapped addresses, and the listener is IPv4.
      try zoo.script("zoo_client", "full", "7002")
      try program.write("connect 7002\n")
      let stuck = try zoo.awaitFinding(.connectStuck, of: program.number)
      #expect(stuck.why?.contains("drops the attempts: its queue is full") == true, "\(stuck.why ?? "")")
    }
  }

  @Test("asyncio: healthy under load; streams that are not closed after the end of file are named")
  func asyncio() throws {
    try Zoo.with { zoo in
      try zoo.start("python3", ["-B", Zoo.program("streams.py"), "serve", "\(Self.web)"])
      try zoo.awaitListener(on: Self.web)
      try zoo.expectHealthy(under: zoo.script("zoo_load", "http", "\(Self.web)"), "asyncio")
      let keeping = try zoo.start("python3", ["-B", Zoo.program("streams.py"), "keep", "\(Self.proxy)"])
      try zoo.awaitListener(on: Self.proxy)
      try zoo.script("zoo_client", "leaving", "\(Self.proxy)", "3")
      // The loop stops reading at the end of file, so that it does not watch the socket.
      let kept = try zoo.awaitFinding(.closeWaitKnown, of: keeping.number) {
        $0.count == 3 && $0.says("No epoll set has them and no thread waits on them")
      }
      #expect(kept.who?.script == "streams.py" && kept.sentence.contains("that their peers closed"))
      #expect(kept.fix.code.contains("await writer.wait_closed()"))
    }
  }

  @Test(
    "gunicorn: healthy under load; clients that wait while each worker works are named", .onThreads,
    .needsProgram("gunicorn"))
  func gunicorn() throws {
    try Zoo.with { zoo in
      let master = try zoo.start(
        "gunicorn",
        [
          "--workers", "2", "--bind", "127.0.0.1:\(Self.web)", "--timeout", "3600", "--graceful-timeout", "1",
          "--worker-tmp-dir", zoo.folder, "--log-level", "error",
          "--pythonpath", Zoo.program("").dropLast().description, "wsgi:app",
        ])
      try eventually(within: .seconds(60), "the workers of gunicorn") { try zoo.listening(on: Self.web).count == 3 }
      try zoo.expectHealthy(under: zoo.script("zoo_load", "http", "\(Self.web)"), "gunicorn")
      // Design, "Sync Workers": "a synchronous worker class that handles a single request at a time".
      try zoo.script("zoo_client", "ask", "\(Self.web)", "2", "/slow")
      try eventually("both requests to be accepted") {
        let connections = try zoo.census().sockets.filter { $0.localPort == Self.web && $0.state == .established }
        return connections.count { $0.inode != 0 } == 2 && connections.count == 2
      }
      try zoo.script("zoo_client", "idle", "\(Self.web)", "3")
      let finding = try zoo.awaitFinding(.acceptStalled, of: master.number) {
        $0.count == 3 && $0.says("No epoll set has the listener and no thread waits on it")
      }
      #expect(finding.who?.others.count == 2)
    }
  }
}
