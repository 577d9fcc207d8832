import FoundationEssentials
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand
@testable import FinDoctor

@Suite("A command leaves its neighbours alone", .needsScenes, .onThreads, .timeLimit(.minutes(30)))
struct NeighbourTests {
  @Test("fin kill means the network namespace that it runs in, and names the others that have such a socket")
  func kill() async throws {
    let stage = try Stage("kill")
    defer { stage.child.end() }
    // The stage's connections are in a namespace of their own.
    let fin = try await Fin.run("kill", "127.0.0.1:\(stage.words[0]),127.0.0.1:\(stage.words[1])", "--dry-run")
    let other = try await Fin.run("kill", "127.0.0.1:\(stage.words[1]),127.0.0.1:\(stage.words[0])", "--dry-run")
    for fin in [fin, other] {
      // By chance, a connection of another test may have the same ports.
      #expect(!fin.output.contains("[\(stage.child.number)]"), "\(fin)")
      #expect(fin.status == 0 || fin.status == 69)
    }
    #expect([fin, other].contains { $0.complaints.contains("choose another with --namespace: ") })
    let named = try await Fin.run(
      "kill", "127.0.0.1:\(stage.words[1])", "--dry-run", "--namespace", try stage.namespace())
    #expect(named.status == 0 && named.output.contains("2 sockets would be ended"), "\(named)")
  }

  /// A program that binds one port again and again until its input ends, and then prints its failures.
  ///
  /// Not a thread of the tests: a program that another test starts has the thread's open socket until its `exec`.
  private static let binder = """
    import select, socket, sys
    failures, tries, errors = 0, 0, set()
    while not select.select([sys.stdin], [], [], 0)[0]:
        listener = socket.socket()
        try:
            listener.bind(("127.0.0.1", 8199))
            listener.listen(1)
        except OSError as error:
            failures += 1
            errors.add(str(error))
        listener.close()
        if not tries:
            print("begun", flush=True)
        tries += 1
    print(failures, "of", tries, *errors)
    """

  @Test(
    "fin explain bind takes the port for no moment, unless it is asked to with --try",
    .enabled(if: Programs.find("python3") != nil, "needs python3, as a program that binds the same port"))
  func bind() async throws {
    let network = try NetworkNamespace()
    // Before the other program begins, so that the census does not show the port taken.
    let census = try network.run { try Census.take() }
    let request = BindRequest(NetworkAddress(127, 0, 0, 1), port: 8199)
    let counted = try network.run {
      try withChild(Programs.find("python3") ?? "", ["-c", Self.binder]) { child in
        try #require(try child.readLine() == "begun")
        for _ in 0..<300 {
          let outlook = BindForecast.trying(request, in: census)
          #expect(outlook.trial == BindProbe(address: .succeeded))
          #expect(outlook.whyUntried?.contains("--try") == true)
        }
        child.closeInput()
        return try child.readLine() ?? ""
      }
    }
    // Other tests take censuses of the whole machine meanwhile. A reader of a link in /proc/PID/fd, as ss -p and lsof
    // are too, has the file for an instant, and a close in that instant takes effect after it: 1 bind of 100,000 fails.
    // A trial that took the port would make hundreds of them fail.
    let failures = try #require(counted.split(separator: " ").first.flatMap { Int($0) })
    #expect(failures <= 3, "\(counted)")

    let usual = try await Fin.run("explain", "bind", "127.7.7.11:8199", "--json", "--own-namespace")
    #expect(usual.status == 0 && usual.output.contains("\"tried\":{\"address\":\"bound\"}"), "\(usual)")
    let asked = try await Fin.run("explain", "bind", "127.7.7.11:8199", "--json", "--own-namespace", "--try")
    #expect(asked.status == 0 && asked.output.contains("\"reuseAddress\":\"bound\"}"), "\(asked)")
    #expect(try await Fin.run("explain", "bind", ":8199", "--try", "--no-try").status == 64)
    #expect(try await Fin.run("explain", ":8199", "--try").status == 64)
  }

  @Test("fin check does not report on itself: not the sockets that it inherits, nor its own limit")
  func itself() throws {
    let stage = try Stage("queue")
    defer { stage.child.end() }
    let script = """
      import os, socket, subprocess, sys
      l = socket.create_server(("127.0.0.1", 0)); os.set_inheritable(l.fileno(), True)
      words = [sys.argv[1], "check", "--json", "--own-namespace", "--threshold", "info"]
      fin = subprocess.Popen(words, stdout=subprocess.PIPE, close_fds=False)
      print(fin.pid, fin.communicate()[0].decode())
      """
    let python = try #require(Programs.find("python3"))
    let network = try NetworkNamespace()
    let said = try network.run { try Scene.output(of: python, ["-c", script, Fin.path]) }
    let pid = try #require(said.split(separator: " ").first)
    #expect(said.contains("\"findings\":[") && !said.contains("\"pid\":\(pid)") && !said.contains("L5"), "\(said)")
  }

  @Test("leaving out a process: its own sockets go, those that others hold stay with these")
  func leavingOut() {
    var (own, shared) = (InetSocket(), InetSocket())
    (own.inode, own.cookie, shared.inode, shared.cookie) = (7, 1, 8, 2)
    var census = Census(
      sockets: [own, shared],
      holders: Holders(
        sockets: [
          Holder(inode: 7, pid: 5, descriptor: 3), Holder(inode: 8, pid: 5, descriptor: 4),
          Holder(inode: 8, pid: 6, descriptor: 4),
        ], processes: [HoldingProcess(pid: 5), HoldingProcess(pid: 6)]),
      programs: [5: Program(pid: 5, name: "fin"), 6: Program(pid: 6, name: "api")])
    census.leaveOut(5)
    #expect(census.sockets.map(\.cookie) == [2])
    #expect(census.holders.entries.map(\.pid) == [6] && census.holders.processes.map(\.pid) == [6])
    #expect(Array(census.programs.keys) == [6])
  }
}

@Suite("--limit and --namespace mean the same to all commands", .needsScenes, .onThreads, .timeLimit(.minutes(30)))
struct LimitTests {
  @Test("fin list --limit: the first in the order, and the number of all")
  func list() async throws {
    let listener = try PlainSocket.listening(on: "127.7.7.31")
    let one = try PlainSocket.connected(to: "127.7.7.31", port: listener.port)
    let two = try PlainSocket.connected(to: "127.7.7.31", port: listener.port)
    let three = try PlainSocket.connected(to: "127.7.7.31", port: listener.port)
    let words = ["list", "--own-namespace", "--address", "127.7.7.31", "--sort", "local"]
    let all = try await Fin.run(words + ["--no-header"])
    let some = try await Fin.run(words + ["--no-header", "--limit", "2"])
    #expect(all.lines.count == 7 && some.lines.count == 2 && !all.complaints.contains("not shown"))
    #expect(some.complaints.contains("7 sockets, 5 not shown: omit --limit to show them"), "\(some)")
    let json = try await Fin.run(words + ["--json", "--limit", "2"])
    #expect(json.output.contains("\"matching\":7,") && json.output.ranges(of: "\"cookie\"").count == 2)
    _ = (one.port, two.port, three.port)
  }

  @Test("fin check --limit and --namespace: the worst chains, those of one namespace, and the status of all")
  func check() async throws {
    let (one, other) = (try Stage("detached", "reset", "8"), try Stage("fd_limit", "95", "close-wait"))
    defer { one.child.end(); other.child.end() }
    let pids = ["\(one.child.number)", "\(other.child.number)"]
    let all = try await Fin.run(["check"] + pids)
    let worst = try await Fin.run(["check", "--limit", "1"] + pids)
    #expect(all.status == 2 && worst.status == 2)
    #expect(all.output.contains("L3 detached") && !worst.output.contains("L3 detached"), "\(worst.output)")
    #expect(worst.output.contains("L4 fd-limit") && worst.output.contains("1 not shown: omit --limit"))
    let json = try await Fin.run(["check", "--limit", "1", "--json"] + pids)
    #expect(json.output.contains("\"matching\":2,") && !json.output.contains("\"id\":\"L3\""))

    let place = try other.namespace()
    // A leak is reported when it is five seconds old.
    let deadline = ContinuousClock.now + .seconds(60)
    var there: Fin
    repeat {
      there = try await Fin.run("check", pids[1], "--only", "L1", "--namespace", place)
    } while there.status == 0 && ContinuousClock.now < deadline
    #expect(there.status == 2 && there.output.contains("L1"), "\(there)")
    let elsewhere = try await Fin.run("check", pids[1], "--only", "L1", "--namespace", try one.namespace())
    #expect(elsewhere.status == 0 && elsewhere.output.contains("No findings"), "\(elsewhere)")
  }
}
