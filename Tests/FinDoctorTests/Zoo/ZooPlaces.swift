import FinDoctor
import Glibc
import Peers
import TestTraits
import Testing

/// Programs that run as another user, or in namespaces of processes.
extension ZooTests {
  private static let database: UInt16 = 5432

  /// The folder of PostgreSQL's programs, which Debian does not put on `PATH`; nil where it is not installed.
  static let postgresFolder: String? = {
    (9...30).reversed().map { "/usr/lib/postgresql/\($0)/bin" }.first { unsafe access("\($0)/postgres", X_OK) == 0 }
  }()

  @Test(
    "the README counts the programs and situations of the table as Tests/zoo does", .onThreads, .needsProgram("awk"))
  func count() throws {
    let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(4).joined(separator: "/")
    let text = try withChild("/bin/bash", ["\(root)/Tests/zoo", "--count"]) { try $0.readToEnd() }
    let count = text.split(separator: "\n").first.map(String.init) ?? "nothing"
    let readme = try readText("\(root)/README.md")
    #expect(count.hasSuffix(" situations") && readme.contains("[\(count)]"), "\(count)")
  }

  @Test(
    "PostgreSQL: healthy under load; a client that does not read its result, and a stopped server, are named",
    .onThreads,
    .enabled(if: postgresFolder != nil && Programs.find("setpriv") != nil, "needs postgresql and setpriv"))
  func postgres() throws {
    try Zoo.with { zoo in
      let bin = try #require(Self.postgresFolder)
      let data = "\(zoo.folder)/data"
      // The server refuses to run as root.
      let asNobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"]
      unsafe mkdir(data, 0o700)
      unsafe chown(data, 65534, 65534)
      let quick = ["-D", data, "-U", "fin", "-A", "trust", "-N", "--no-locale", "-E", "UTF8"]
      let made = try zoo.start("setpriv", asNobody + ["\(bin)/initdb"] + quick)
      _ = try made.readToEnd()
      #expect(try made.wait() == .exited(0))
      let server = try zoo.start(
        "setpriv",
        asNobody + [
          "\(bin)/postgres", "-D", data, "-p", "\(Self.database)", "-c", "listen_addresses=127.0.0.1",
          "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "log_min_messages=panic",
          "-c", "log_destination=stderr",
        ])
      try zoo.awaitListener(on: Self.database)
      try zoo.expectHealthy(under: zoo.script("zoo_load", "postgres", "\(Self.database)"), "PostgreSQL")

      let client = try zoo.script("zoo_client", "unread", "\(Self.database)", "1")
      let window = try zoo.awaitFinding(.peerZeroWindow, about: "postgres", .eager) {
        $0.says("for EPOLLOUT: no event is due before there is room")
      }
      #expect(window.sentence.contains("on local port \(Self.database): the peer does not read"))
      #expect(window.who?.pid != server.number && window.count == 1)
      #expect(window.facts.contains { $0.value?.contains("(pid \(client.number))") == true })

      server.stop()
      try zoo.script("zoo_client", "idle", "\(Self.database)", "3")
      _ = try zoo.awaitFinding(.acceptStalled, of: server.number) {
        $0.count == 3 && $0.says("is stopped by a signal (state T)")
      }
    }
  }

  @Test(
    "Redis as the first process of a container: healthy under load; from outside it has the number that the host gives",
    .onThreads,
    .needsProgram("redis-server"), .needsProgram("unshare"))
  func container() throws {
    try Zoo.with { zoo in
      try zoo.start(
        "unshare",
        [
          "--pid", "--fork", "--mount-proc", "--kill-child", try #require(Programs.find("redis-server")),
          "--port", "\(Self.store)", "--bind", "127.0.0.1", "--save", "", "--dir", zoo.folder, "--logfile", "log",
        ])
      try zoo.awaitListener(on: Self.store)
      let pid = try #require(try zoo.listening(on: Self.store).first)
      // unshare waits for it, and does not hand on SIGTERM.
      defer { kill(pid, SIGKILL) }
      let numbers = try readText("/proc/\(pid)/status").split(separator: "\n").first { $0.hasPrefix("NSpid:") }
      #expect(numbers?.split(separator: "\t").map(String.init).suffix(2) == ["\(pid)", "1"])
      try zoo.expectHealthy(under: zoo.script("zoo_load", "redis", "\(Self.store)"), "Redis in a container")
      kill(pid, SIGSTOP)
      try zoo.script("zoo_client", "idle", "\(Self.store)", "5")
      // The census of the machine, taken outside of the container.
      var found: (finding: Finding, namespace: Namespace)?
      try eventually(within: .seconds(120), "A2 of process \(pid)") {
        var census = try Census.take()
        var options = Diagnosis.Options()
        Diagnosis.prepare(&census, &options)
        let all = Diagnosis.findings(in: census, options).filter { $0.id == .acceptStalled && $0.who?.pid == pid }
        guard let finding = all.first, finding.count == 5, finding.says("is stopped by a signal (state T)"),
          case .inet(let place)? = finding.sockets.first
        else {
          return false
        }
        found = (finding, census.namespace(of: census.sockets[place]))
        return true
      }
      let (finding, namespace) = try #require(found)
      #expect(finding.who?.program == "redis-server" && !namespace.isOwn)
    }
  }
}
