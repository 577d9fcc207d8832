import FinDoctor
import Glibc
import Peers
import TestTraits
import Testing

/// The table of these situations is `README.md` in this folder.
@Suite(
  "The zoo: real programs, healthy under load and with one fault",
  .needsScenes, .apart("Tests/zoo"), .onThreads, .timeLimit(.minutes(30))
)
struct ZooTests {
  static let web: UInt16 = 8080
  static let proxy: UInt16 = 8081
  static let store: UInt16 = 6379

  /// Starts nginx with a master and two workers; it answers every request.
  @discardableResult
  static func nginx(_ zoo: Zoo, listen: String = "127.0.0.1:8080", keepalive: Int = 75) throws -> Child {
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map { "\($0)_temp_path \(zoo.folder)/\($0);" }
    let configuration = try zoo.write(
      "nginx.conf",
      """
      daemon off; worker_processes 2; user root; pid \(zoo.folder)/nginx.pid; error_log \(zoo.folder)/error.log;
      events { worker_connections 256; }
      http {
        access_log off; keepalive_timeout \(keepalive)s; \(paths.joined(separator: " "))
        server { listen \(listen); location / { return 200 "ok"; } }
      }
      """)
    let child = try zoo.start(
      "nginx", ["-p", zoo.folder, "-c", configuration, "-e", "\(zoo.folder)/error.log"])
    try eventually(within: .seconds(60), "the two workers of nginx") { try zoo.listening(on: web).count == 3 }
    return child
  }

  /// Starts HAProxy as a master with a worker, before a server on the port `web`.
  static func haproxy(_ zoo: Zoo) throws -> Child {
    let configuration = try zoo.write(
      "haproxy.cfg",
      """
      defaults
        mode tcp
        timeout connect 5s
        timeout client 60s
        timeout server 60s
      listen proxy
        bind 127.0.0.1:\(proxy)
        server one 127.0.0.1:\(web)

      """)
    let child = try zoo.start("haproxy", ["-W", "-f", configuration])
    try zoo.awaitListener(on: proxy)
    return child
  }

  @Test(
    "nginx, each worker with a listener of its own or all with one: healthy under load; stopped workers are named",
    .needsProgram("nginx"), arguments: ["127.0.0.1:8080", "127.0.0.1:8080 reuseport"])
  func nginx(listen: String) throws {
    try Zoo.with { zoo in
      let master = try Self.nginx(zoo, listen: listen)
      try zoo.expectHealthy(under: zoo.script("zoo_load", "http", "\(Self.web)"), "nginx")
      let workers = try zoo.listening(on: Self.web).subtracting([master.number])
      for worker in workers { kill(worker, SIGSTOP) }
      defer { for worker in workers { kill(worker, SIGCONT) } }
      try zoo.script("zoo_client", "idle", "\(Self.web)", "5")
      let finding = try zoo.awaitFinding(.acceptStalled, about: "nginx")
      #expect(finding.count >= 1 && finding.sentence.contains("127.0.0.1:\(Self.web)"))
    }
  }

  @Test("nginx after a reload: the worker that shuts down is named with its successor", .needsProgram("nginx"))
  func nginxReload() throws {
    try Zoo.with { zoo in
      let master = try Self.nginx(zoo)
      let old = try zoo.listening(on: Self.web).subtracting([master.number])
      try zoo.script("zoo_client", "idle", "\(Self.web)", "6")
      try eventually("the connections to be accepted") {
        try zoo.census().sockets.count { $0.localPort == Self.web && $0.state == .established && $0.inode != 0 } == 6
      }
      master.signal(SIGHUP)
      let finding = try zoo.awaitFinding(.oldGeneration, about: "nginx")
      #expect(old.contains(finding.who?.pid ?? 0) && finding.severity == .info)
      #expect(finding.sentence.contains("listens on port \(Self.web) now"))
    }
  }

  @Test(
    "HAProxy before nginx: healthy under load and with half-closed clients; the old worker after a reload is named",
    .needsProgram("haproxy"), .needsProgram("nginx"))
  func haproxy() throws {
    try Zoo.with { zoo in
      try Self.nginx(zoo)
      let master = try Self.haproxy(zoo)
      try zoo.expectHealthy(under: zoo.script("zoo_load", "http", "\(Self.proxy)"), "HAProxy")
      let old = try zoo.listening(on: Self.proxy)
      try zoo.script("zoo_client", "idle", "\(Self.proxy)", "3")
      try eventually("the connections to be accepted") {
        let census = try zoo.census()
        return census.sockets.count { socket in
          socket.localPort == Self.proxy && socket.state == .established
            && census.holders(of: socket).contains { old.contains($0.pid) }
        } >= 3
      }
      master.signal(SIGUSR2)
      let finding = try zoo.awaitFinding(.oldGeneration, about: "haproxy") { $0.count >= 3 }
      #expect(old.contains(finding.who?.pid ?? 0) && finding.severity == .info)
      #expect(finding.fix.code.contains("hard-stop-after"))
    }
  }

  @Test(
    "HAProxy with clients that finish their request and read on: no finding above information",
    .needsProgram("haproxy"))
  func halfClosed() throws {
    try Zoo.with { zoo in
      try zoo.script("zoo_client", "slow", "\(Self.web)")
      _ = try Self.haproxy(zoo)
      try zoo.expectHealthy(under: zoo.script("zoo_load", "half", "\(Self.proxy)"), "half-closed clients")
    }
  }

  @Test(
    "Redis has the name it was started by, is healthy under load, and is named when it no longer accepts",
    .needsProgram("redis-server"))
  func redis() throws {
    try Zoo.with { zoo in
      let server = try zoo.start(
        "redis-server",
        ["--port", "\(Self.store)", "--bind", "127.0.0.1", "--save", "", "--dir", zoo.folder, "--logfile", "log"])
      try zoo.awaitListener(on: Self.store)
      try zoo.expectHealthy(under: zoo.script("zoo_load", "redis", "\(Self.store)"), "Redis")
      server.stop()
      try zoo.script("zoo_client", "idle", "\(Self.store)", "5")
      let finding = try zoo.awaitFinding(.acceptStalled, about: "redis-server")
      #expect(finding.count == 5 && finding.who?.pid == server.number)
    }
  }

  @Test(
    "HAProxy between clients and a server that never answers: its settings are the remedy", .needsProgram("haproxy"))
  func forgottenHalves() throws {
    try Zoo.with { zoo in
      try zoo.script("zoo_client", "mute", "\(Self.web)")
      _ = try Self.haproxy(zoo)
      try zoo.script("zoo_client", "half", "\(Self.proxy)", "3")
      let unanswered = try zoo.awaitFinding(.closeWaitKnown, about: "haproxy", .eager) { $0.count == 3 }
      #expect(unanswered.sentence.contains("whose peers have finished sending and still receive"))
      #expect(unanswered.confidence != .certain && unanswered.fix.code.contains("timeout client-fin"))
      let waiting = try zoo.awaitFinding(.finWait2Held, about: "haproxy", .eager) { $0.count == 3 }
      #expect(waiting.fix.code.contains("timeout server-fin"))
    }
  }

  @Test(
    "requests: a session is healthy under load; connections of its pool that the server closed are named",
    .needsProgram("nginx"), .needsPythonModule("requests"))
  func requests() throws {
    try Zoo.with { zoo in
      try Self.nginx(zoo, keepalive: 1)
      try zoo.expectHealthy(under: zoo.script("zoo_load", "requests", "\(Self.web)"), "requests")
      // The pool looks at a connection when it hands it out, and nothing looks before.
      let idle = try zoo.script("zoo_client", "pool", "\(Self.web)", "3")
      let unread = try zoo.awaitFinding(.closeWaitUnseen, of: idle.number) { $0.count == 3 }
      #expect(unread["Recv-Q"] == "1" && unread.severity == .info && unread.fix.code.contains("a pool must check"))
      // The answer and the end of file come in one segment: strace shows one recv, and none that returns 0.
      try zoo.script("zoo_client", "closing", "\(Self.proxy)")
      let told = try zoo.script("zoo_client", "pool", "\(Self.proxy)", "3")
      let read = try zoo.awaitFinding(.closeWaitKnown, of: told.number) { $0.count == 3 }
      #expect(read.sentence.contains("it read all that was sent, and did not close"))
      #expect(read.why?.contains("or it took the end of file together with the last data") == true)
    }
  }

  @Test(
    "curl: healthy while it fetches; an attempt whose packets a filter drops is named",
    .needsProgram("curl"), .needsProgram("nginx"), arguments: ["nft", "iptables"])
  func curl(filter: String) throws {
    guard Programs.find(filter) != nil else { return }
    try Zoo.with { zoo in
      try Self.nginx(zoo)
      let address = "http://127.0.0.1:\(Self.web)"
      let fetching = try zoo.start("curl", ["-s", "-o", "/dev/null", "--no-progress-meter", address + "/[1-1000000]"])
      try eventually("a connection of curl") {
        let census = try zoo.census()
        return census.sockets.contains { socket in
          socket.state == .established && census.holders(of: socket).contains { $0.pid == fetching.number }
        }
      }
      try zoo.expectHealthy(under: zoo.script("zoo_load", "http", "\(Self.web)"), "curl")
      if filter == "nft" {
        let rules = try zoo.write(
          "rules",
          """
          table ip fin {
            chain incoming {
              type filter hook input priority 0;
              tcp dport 9 drop;
            }
          }

          """)
        try zoo.run("nft", "-f", rules)
      } else {
        try zoo.run("iptables", "-A", "INPUT", "-p", "tcp", "--dport", "9", "-j", "DROP")
      }
      let stuck = try zoo.start("curl", ["-s", "http://127.0.0.1:9/"])
      let finding = try zoo.awaitFinding(.connectStuck, about: "curl")
      #expect(finding.who?.pid == stuck.number && finding.sentence.contains("to 127.0.0.1:9"))
      #expect(finding.why?.contains("something on the way drops the packets") == true)
    }
  }
}
