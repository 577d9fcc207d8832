import FinDoctor
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand

@Suite("fin record, and --at of the other commands", .needsRecorder, .onThreads, .timeLimit(.minutes(30)))
struct RecordCommandTests {
  /// A program that listens at one port until it is ended.
  private static let listening = """
    import socket, sys
    l = socket.socket(); l.bind(("127.0.0.1", int(sys.argv[1]))); l.listen(); print(l.getsockname()[1], flush=True)
    more = [socket.create_server(("127.0.0.1", 0)) for _ in range(int(sys.argv[2]))]
    print("ready", flush=True)
    sys.stdin.read()
    """

  private func listener(_ port: String = "0", more: Int = 0) throws -> (child: Child, port: String) {
    let child = try Child.spawn(try #require(Programs.find("python3")), ["-c", Self.listening, port, "\(more)"])
    return (child, try #require(try child.readLine(within: .seconds(60))))
  }

  /// Starts a recorder, whose first look is written when this returns.
  private func recorder(_ folder: String, _ words: String...) throws -> Child {
    let child = try Child.spawn(
      Fin.path, ["record", "--every", "200ms", "--own-namespace", "--directory", folder] + words)
    let line = try child.readLine(within: .seconds(60)) ?? ""
    #expect(line.hasPrefix("records to \(folder)/"), "\(line)")
    return child
  }

  /// Runs a command again and again until its result is as wanted.
  private func until(_ awaited: String, _ words: [String], _ isRight: (Fin) -> Bool) async throws -> Fin {
    let deadline = ContinuousClock.now + .seconds(120)
    while true {
      let fin = try await Fin.run(words)
      if isRight(fin) { return fin }
      guard ContinuousClock.now < deadline else { throw RigError("not seen: \(awaited): \(fin)") }
      // The tests beside it need the processor too.
      usleep(50_000)
    }
  }

  @Test("a port passes from one program to the next: holders, explain, list, check, diff and report say who had it")
  func story() async throws {
    let folder = try HistoryPlaceOnDisk()
    let record = try recorder(folder.path)
    defer { record.end() }
    let first = try listener()
    let (port, ends) = (first.port, ["--directory", folder.path])
    // On a busy machine, a process may not answer in one look.
    let explained = try await until("the listener", ["explain", ":\(port)", "--at", "now"] + ends) {
      $0.status == 0 && $0.output.contains("\(first.child.number)")
    }
    #expect(explained.complaints.contains("looks at ") || explained.complaints.contains("last look at "))
    let between = try await Fin.run("record", "holders", ":\(port)", "--directory", folder.path, "--json")
    try SchemaTests.expect(between, toHave: try await Fin.run("help", "json", "record", columns: 1000))
    let second = try { () throws -> (child: Child, port: String) in
      first.child.end()
      return try listener(port)
    }()
    defer { second.child.end() }
    let holders = try await until("both", ["record", "holders", ":\(port)"] + ends) {
      $0.output.contains("[\(second.child.number)]") && $0.output.contains("its process ended")
    }
    let places = [first, second].compactMap { holders.output.firstRange(of: "[\($0.child.number)]")?.lowerBound }
    #expect(places.count == 2 && places[0] < places[1], "\(holders)")
    #expect(holders.output.contains("between ") && holders.output.contains("still held at the last look"))
    // On a busy machine, a process may not answer in one look.
    let list = try await until("the second one", ["list", "--port", port, "--at", "now", "--no-header"] + ends) {
      $0.output.contains("[\(second.child.number)]")
    }
    #expect(!list.output.contains("[\(first.child.number)]"))
    let diff = try await Fin.run(["diff", "1 h ago"] + ends)
    #expect(diff.status == 69 && diff.complaints.contains("no look so early; it reaches from "), "\(diff)")
    #expect(try await Fin.run(["check", "--at", "now"] + ends).status ?? 99 <= 2)
    #expect(try await Fin.run(["ports", "--at", "now"] + ends).status == 0)
    let report = try await Fin.run(["report", "-o", "-", "--at", "now"] + ends)
    #expect(report.status == 0 && report.output.contains("the history that fin record wrote"))
    record.signal(SIGTERM)
    #expect(try record.wait(within: .seconds(60)) == .exited(0))
    #expect(folder.names.count == 1 && folder.names[0].hasSuffix(".fin"), "\(folder.names)")
    #expect(folder.mode(of: folder.names[0]).map { $0 & 0o027 } == 0)
  }

  @Test("fin diff between two looks names what appeared")
  func diff() async throws {
    let folder = try HistoryPlaceOnDisk()
    let record = try recorder(folder.path)
    defer { record.end() }
    let begin = LocalTime.now
    // More than the changes of other tests that run meanwhile, of which the largest are shown.
    let listener = try listener(more: 99)
    #expect(try listener.child.readLine(within: .seconds(60)) == "ready")
    defer { listener.child.end() }
    let ends = ["--directory", folder.path]
    _ = try await until("the listener", ["list", "--port", listener.port, "--at", "now"] + ends) {
      $0.output.contains("[\(listener.child.number)]")
    }
    func iso(_ moment: Int64) -> String {
      let time = LocalTime(moment)
      let rest = String(1000 + moment % 1000).dropFirst()
      return "\(time.date)T\(time.clock).\(rest)"
    }
    let diff = try await Fin.run(["diff", iso(begin), iso(LocalTime.now)] + ends)
    #expect(diff.status == 0 && diff.output.contains("LISTEN: 0 → "), "\(diff)")
    #expect(diff.output.contains("appeared, "))
  }

  @Test("a second recorder is refused, and so is a folder of another user")
  func refused() async throws {
    let folder = try HistoryPlaceOnDisk()
    let record = try recorder(folder.path)
    defer { record.end() }
    let second = try await Fin.run("record", "--directory", folder.path)
    #expect(second.status == 69 && second.complaints.contains("another fin record writes to \(folder.path)"))
    if geteuid() == 0 {
      let other = try HistoryPlaceOnDisk()
      #expect(unsafe mkdir(other.path, 0o700) == 0 && chown(other.path, 1234, 1234) == 0)
      let fin = try await Fin.run("record", "--directory", other.path)
      #expect(fin.status == 77 && fin.complaints.contains("belongs to user 1234"), "\(fin)")
    }
  }

  @Test("kill -9 at any moment leaves files that answer", arguments: 0..<4)
  func killed(turn: Int) async throws {
    let folder = try HistoryPlaceOnDisk()
    let child = try Child.spawn(
      Fin.path, ["record", "--every", "100ms", "--own-namespace", "--directory", folder.path])
    _ = try child.readLine(within: .seconds(60))
    // No event to wait for: the moment is random on purpose.
    usleep(UInt32.random(in: 0..<400_000))
    let killed = LocalTime.now
    child.signal(SIGKILL)
    _ = try child.wait(within: .seconds(60))
    let reader = try HistoryReader(HistoryFolder(folder.path))
    let range = try #require(reader.range())
    #expect(reader.problems.isEmpty && range.last <= killed)
    #expect(throws: Never.self) { try reader.answer(at: range.last) }
    let next = try recorder(folder.path)
    next.end()
    #expect(folder.names.count { $0.hasSuffix(".fin") } == 2)
    let after = try HistoryReader(HistoryFolder(folder.path))
    _ = try after.answer(at: range.last)
    #expect(after.problems.isEmpty)
  }

  @Test(
    "on a full disk it says so, goes on when there is room, and every file stays readable",
    .enabled(if: geteuid() == 0 && Programs.find("unshare") != nil, "needs root and unshare"))
  func fullDisk() async throws {
    let folder = try HistoryPlaceOnDisk()
    let script = """
      mkdir "$1" && mount -t tmpfs -o size=3m none "$1" || exit 90
      until_found() { n=0; until grep -q "$1" "$2"; do sleep 0.1; n=$((n+1)); [ $n -lt 900 ] || exit 91; done; }
      "$0" record --every 100ms --own-namespace --directory "$1/h" >"$1/out" 2>"$2" & pid=$!
      until_found "records to" "$1/out"
      cat /dev/zero >"$1/fill" 2>/dev/null
      until_found "could not be written" "$2"
      rm "$1/fill"
      until_found "written again" "$2"
      kill $pid; wait $pid; echo "status $?"
      cat "$2"
      "$0" list --at now --own-namespace --directory "$1/h" >/dev/null; echo "list $?"
      """
    let errors = folder.path + ".errors"
    defer { _ = unsafe unlink(errors) }
    let fin = try await Fin.run(
      program: "unshare", ["-m", "sh", "-c", script, Fin.path, folder.path, errors])
    #expect(fin.output.contains("status 0") && fin.output.contains("list 0"), "\(fin)")
    #expect(fin.output.contains("full") && !(fin.output + fin.complaints).contains("skipped"), "\(fin)")
    _ = unsafe rmdir(folder.path)
  }

  @Test(
    "without SQLite it says what to install, and without zlib it goes on",
    .enabled(if: geteuid() == 0 && Programs.find("unshare") != nil, "needs root and unshare"))
  func withoutLibraries() async throws {
    let folder = try HistoryPlaceOnDisk()
    let script = """
      place() { readlink -f "$(ldconfig -p | sed -n "s/.*$1 .*=> //p" | head -n 1)"; }
      hide() { mount --bind /dev/null "$(place "$1")" || exit 90; }
      hide libz.so.1
      "$0" record --every 100ms --own-namespace --directory "$1" >"$1.out" & pid=$!
      n=0; until grep -q "records to" "$1.out"; do sleep 0.1; n=$((n+1)); [ $n -lt 900 ] || exit 91; done
      n=0
      until "$0" list --at now --directory "$1" >/dev/null; do sleep 0.1; n=$((n+1)); [ $n -lt 300 ] || exit 92; done
      echo "plain $?"
      kill $pid; wait $pid
      hide libsqlite3.so.0
      "$0" record --directory "$1"; echo "record $?"
      "$0" list --at now --directory "$1"; echo "list $?"
      """
    defer { _ = unsafe unlink(folder.path + ".out") }
    let fin = try await Fin.run(program: "unshare", ["-m", "sh", "-c", script, Fin.path, folder.path])
    #expect(fin.output.contains("plain 0") && fin.output.contains("record 69") && fin.output.contains("list 69"))
    #expect(fin.complaints.contains("apt-get install libsqlite3-0"), "\(fin)")
  }

  @Test("the service manager learns when the first look is written")
  func notified() async throws {
    let folder = try HistoryPlaceOnDisk()
    let script = """
      import os, signal, socket, subprocess, sys
      s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind("\\0fin-record-%d" % os.getpid()); s.settimeout(60)
      p = subprocess.Popen([sys.argv[1], "record", "--own-namespace", "--directory", sys.argv[2]],
        env=dict(os.environ, NOTIFY_SOCKET="@fin-record-%d" % os.getpid()), stdout=subprocess.DEVNULL)
      print(s.recv(100), os.listdir(sys.argv[2]))
      p.send_signal(signal.SIGTERM); print(p.wait(60), s.recv(100))
      """
    let run = try await Fin.run(program: "python3", ["-c", script, Fin.path, folder.path])
    #expect(run.status == 0 && run.output.contains("READY=1") && run.output.contains(".fin"), "\(run)")
    #expect(run.output.contains("0 b'STOPPING=1"), "\(run)")
  }

  /// A server of this many connections, and their client, which closes them all at a line and then keeps running.
  private static let closing = """
    import socket, sys
    l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen(100); print(l.getsockname()[1], flush=True)
    for line in sys.stdin:
        pairs = [(socket.create_connection(l.getsockname()), l.accept()[0]) for _ in range(int(line))]
        print("open", flush=True)
        sys.stdin.readline()
        for client, server in pairs: client.close(); server.recv(1); server.close()
        print("closed", flush=True)
    """

  @Test("fin ports --at counts the connections in TIME-WAIT between key frames, and names their program")
  func resting() async throws {
    let folder = try HistoryPlaceOnDisk()
    let record = try recorder(folder.path, "--no-ring")
    defer { record.end() }
    let child = try Child.spawn(try #require(Programs.find("python3")), ["-c", Self.closing])
    defer { child.end() }
    let port = try #require(try child.readLine())
    try child.write("20\n")
    #expect(try child.readLine() == "open")
    let words = ["ports", "--port", port, "--at", "now", "--json", "--directory", folder.path]
    let user = "\"pid\":\(child.number),"
    _ = try await until("20 connections", words) { $0.output.contains("\"connected\":20,") && $0.output.contains(user) }
    try child.write("\n")
    #expect(try child.readLine() == "closed")
    let fin = try await until("TIME-WAIT", words) { $0.output.contains("\"timeWait\":20,") }
    #expect(fin.output.contains("\"connected\":0,") && fin.output.contains(user), "\(fin)")
  }

  @Test("fin record short counts the connections that no look saw, at their listener and by their destination")
  func short() async throws {
    let folder = try HistoryPlaceOnDisk()
    let record = try Child.spawn(
      Fin.path, ["record", "--every", "1h", "--own-namespace", "--directory", folder.path])
    defer { record.end() }
    #expect(try record.readLine()?.hasPrefix("records to ") == true)
    let child = try Child.spawn(try #require(Programs.find("python3")), ["-c", Self.closing])
    defer { child.end() }
    let port = try #require(try child.readLine())
    try child.write("200\n\n")
    #expect(try child.readLine() == "open" && child.readLine() == "closed")
    let ends = ["--directory", folder.path]
    let served = "\"localPort\":\(port),\"connections\":200,\"resting\":0}"
    let destination = "\"remote\":\"127.0.0.1:\(port)\",\"connections\":200,\"resting\":200}"
    // The kernel reports the end of a connection some time after it, and a look counts those that it has heard of.
    let json = try await until("200 at each end", ["record", "short", "--json"] + ends) { fin in
      if fin.output.contains(served), fin.output.contains(destination) { return true }
      record.signal(SIGUSR1)
      _ = try? record.readLine()
      return false
    }
    try SchemaTests.expect(json, toHave: try await Fin.run("help", "json", "record", columns: 1000))
    // Other tests open short connections meanwhile, and to many destinations.
    let text = try await Fin.run(["record", "short"] + ends)
    #expect(text.status == 0 && text.output.contains(" began and ended between two of "), "\(text)")
    #expect(text.output.contains("to 127.0.0.1:\(port): 200, 200 in TIME-WAIT afterwards"), "\(text)")
    #expect(json.output.contains("\"pid\":\(child.number),"), "\(json)")
    let none = try await Fin.run(["record", "short", "--to", "2001-01-01"] + ends)
    #expect(none.status == 69 && none.complaints.contains("no look"), "\(none)")
    #expect(try await Fin.run("record", "short", "more").status == 64)
  }

  @Test("options that do not fit, and a history that is not there")
  func mistakes() async throws {
    for words in [
      ["list", "--at", "soon"], ["list", "--at", "02:13", "--from", "x"], ["list", "--directory", "x"],
      ["list", "--at", "02:13", "--over", "1s"], ["record", "holder", ":1"], ["record", "holders"],
      ["record", "holders", "8080"], ["record", "--json"], ["record", "--from", "02:13"], ["record", "--days", "0"],
      ["record", "--size", "1MB"], ["record", "--every", "1ms"], ["diff"],
      ["explain", ":1", "--deep", "--at", "02:13"],
    ] {
      #expect(try await Fin.run(words).status == 64, "\(words)")
    }
    let absent = try await Fin.run("list", "--at", "now", "--directory", "/no/such/folder")
    #expect(absent.status == 66 && absent.complaints.contains("fin record writes one"), "\(absent)")
  }
}

/// A place for a history, which does not exist yet, removed with the files in it.
final class HistoryPlaceOnDisk {
  let path: String
  private let parent: TemporaryFolder

  init() throws {
    parent = try TemporaryFolder()
    path = parent.path + "/history"
  }

  deinit {
    for name in names { _ = unsafe unlink("\(path)/\(name)") }
    _ = unsafe rmdir(path)
  }

  var names: [String] {
    guard let folder = unsafe opendir(path) else { return [] }
    defer { unsafe _ = closedir(folder) }
    var names: [String] = []
    while let entry = unsafe readdir(folder) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != ".", name != ".." { names.append(name) }
    }
    return names.sorted()
  }

  func mode(of name: String) -> UInt32? {
    var status = stat()
    return unsafe stat("\(path)/\(name)", &status) == 0 ? status.st_mode & 0o7777 : nil
  }
}

extension Trait where Self == ConditionTrait {
  static var needsRecorder: Self {
    .enabled(
      if: HistoryWriter.absence == nil && Programs.find("python3") != nil,
      "needs libsqlite3.so.0 (apt-get install libsqlite3-0) and python3")
  }
}
