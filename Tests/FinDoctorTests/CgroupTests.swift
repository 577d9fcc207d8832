import Glibc
import Peers
import TestTraits
import Testing

@testable import FinDoctor

@Suite("The systemd unit of a socket is known even if its process is not", .timeLimit(.minutes(30)), .onThreads)
struct CgroupTests {
  private static let root = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].first {
    unsafe access($0 + "/cgroup.controllers", F_OK) == 0 && access($0 + "/cgroup.procs", W_OK) == 0
  }

  @Test("the unit and the container are read from the cgroup path, and the path is escaped")
  func paths() {
    let digits = String(repeating: "0123456789abcdef", count: 4)
    let cgroup = Cgroup(path: "/system.slice/docker-\(digits).scope".utf8)
    #expect(cgroup.unit == "docker-\(digits).scope" && cgroup.container == "0123456789ab")
    #expect(Cgroup(path: "/a/nginx.service/worker".utf8).unit == "nginx.service")
    let none = Cgroup(path: "/\u{1B}[31m".utf8)
    #expect(none.unit == nil && none.container == nil && none.path == "/\\x1b[31m")
  }

  @Test("H2 names the unit of the program that closed the orphaned connections")
  func orphan() throws {
    var socket = InetSocket()
    socket.state = .finWait1
    (socket.sendQueue, socket.timer, socket.retransmits, socket.cgroup) = (100, .persist, 3, 77)
    var census = Census(sockets: [socket])
    census.cgroups = [77: Cgroup(path: "/system.slice/api.service".utf8)]
    let finding = try Diagnosis.findings(in: census).only(.orphans)
    #expect(finding.who?.unit == "api.service" && finding.sentence.contains("a program of api.service"))
    #expect(census.unit(of: socket) == "api.service")
  }

  @Test(
    "a real cgroup: a socket carries its id, and its name is found two folders down",
    .enabled(if: root != nil, "needs a cgroup tree of the second version that may be written"))
  func real() throws {
    let outer = try #require(Self.root) + "/fin-test-\(getpid())"
    let inner = outer + "/fin-test.scope"
    let made = unsafe [mkdir(outer, 0o755), mkdir(inner, 0o755)]
    defer { _ = unsafe [rmdir(inner), rmdir(outer)] }
    try #require(made == [0, 0])
    let python = try #require(Programs.find("python3"))
    let program = """
      import os, socket, sys
      open(sys.argv[1] + "/cgroup.procs", "w").write(str(os.getpid()))
      l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen()
      print(os.fstat(l.fileno()).st_ino, flush=True); sys.stdin.read()
      open(sys.argv[2] + "/cgroup.procs", "w").write(str(os.getpid()))
      """
    let child = try Child.spawn(python, ["-c", program, inner, try #require(Self.root)])
    defer {
      child.closeInput()
      _ = try? child.wait(within: .seconds(10))
      child.end()
    }
    let number = try #require(UInt32(child.readLine(within: .seconds(60)) ?? ""))
    var census = try Census.take()
    let row = try #require(census.sockets.first { $0.inode == number })
    #expect(census.program(of: row)?.unit == "fin-test.scope")
    // As for a user without permission to read the process.
    census.holders = Holders(sockets: [])
    census.readCgroups()
    #expect(census.unit(of: row) == "fin-test.scope")
    #expect(row.cgroup.flatMap { census.cgroups[$0]?.path } == "/fin-test-\(getpid())/fin-test.scope")
  }
}
