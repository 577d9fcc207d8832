import FoundationEssentials
import Glibc
import Peers
import TestTraits
import Testing

/// A program that keeps the kernel waiting, or that has absurdly much of something, in a network namespace of its own.
///
/// It ends with the test, and after thirty seconds by itself: while it stands, it delays every census on the machine.
final class Neighbour {
  let child: Child
  let pid: Int32
  let network: NetworkNamespace
  private let folder: String?

  /// - Parameter mounts: Whether it needs a folder for its file system.
  init(_ mode: String, mounts: Bool = false) throws {
    var template = Array("/tmp/fin-hostile-XXXXXX".utf8CString)
    folder = mounts ? unsafe mkdtemp(&template).map { unsafe String(cString: $0) } : nil
    if let folder { unsafe _ = chmod(folder, 0o755) }
    let words = [mode] + (folder.map { [$0] } ?? [])
    network = try NetworkNamespace()
    child = try network.run { try Child.spawn(Fin.path(of: "Hostile"), words) }
    let line = try child.readLine(within: .seconds(25)) ?? ""
    guard line.hasPrefix("ready "), let number = Int32(line.dropFirst(6)) else {
      child.end()
      throw RigError("Hostile \(mode) said: \(line)")
    }
    pid = number
  }

  deinit {
    child.end()
    if let folder { unsafe _ = rmdir(folder) }
  }

  static let canFault: Bool = {
    let isThere = unsafe access("/proc/sys/vm/unprivileged_userfaultfd", F_OK) == 0
    return isThere && Privileges.canMakeNamespaces
  }()

  static let canMount: Bool = {
    let isThere = unsafe access("/dev/fuse", R_OK | W_OK) == 0
    return isThere && Privileges.canMakeNamespaces
  }()
}

@Suite(
  "fin ends beside programs that keep the kernel waiting, and says what it did not see", .apart("Tests/hostile"),
  .onThreads, .serialized, .timeLimit(.minutes(30)))
struct HostileNeighbours {
  /// The time that a verb may take: a silent process costs it less than a second, and the rest as long as a check takes
  /// now, in a debug build and on a machine that may be busy.
  private func limit(_ allowed: Duration = .seconds(3)) async throws -> Duration {
    let alone = try await ContinuousClock().measure { _ = try await Fin.run("check") }
    return allowed + alone * 3
  }

  /// Runs each verb, and returns what each of them said on standard error.
  private func verbs(_ neighbour: Neighbour, within limit: Duration) async throws -> [String: Fin] {
    var all: [String: Fin] = [:]
    for words in [
      ["list", "--wide"], ["check"], ["explain", "\(neighbour.pid)", "--limit", "30"], ["ports"], ["listeners"],
      ["census"], ["report", "-o", "-"], ["rights"], ["kill", "--dry-run", "127.0.0.1:1"],
    ] {
      let began = ContinuousClock.now
      // Its output ends with it: a helper that is left behind does not hold it open.
      let fin = try await Fin.run(words)
      let time = ContinuousClock.now - began
      #expect(time < limit, "\(words)")
      // No connection has that port.
      #expect(fin.status.map { words[0] == "kill" ? $0 == 69 : $0 <= 2 } == true, "\(words): \(fin)")
      all[words[0]] = fin
    }
    return all
  }

  @Test(
    "a process that does not answer costs its deadline: every verb ends, and names it and what is missing",
    .enabled(if: Neighbour.canMount, "needs root, a network namespace and /dev/fuse"),
    arguments: [
      ("send", "list check explain ports listeners census report", "the times and sizes of its locked sockets"),
      ("epoll", "check explain census report", "what its epoll sets watch"),
      ("lock", "list check explain ports census report", "its command line"),
      ("poll", "check explain census report", "what its threads wait for"),
      ("exe", "check census report", "the language of its program"),
    ])
  func silent(mode: String, touched: String, missing: String) async throws {
    let limit = try await limit()
    let neighbour = try Neighbour(mode, mounts: true)
    let pid = neighbour.pid
    let said = try await verbs(neighbour, within: limit)
    for verb in touched.split(separator: " ") {
      let fin = try #require(said[String(verb)])
      let lines = fin.complaints.split(separator: "\n").filter { $0.contains("process \(pid) did not answer: ") }
      #expect(lines.contains { $0.contains(missing) }, "\(verb): \(fin.complaints)")
    }
    if mode == "lock" || mode == "send" {
      let json = try await Fin.run("list", "--json")
      #expect(json.output.contains("process \(pid) did not answer"))
    }
    // All of its sockets are listed, with their owner.
    let listed = try #require(said["list"]).lines.filter { $0.contains("[\(pid)]") }
    #expect(listed.count { $0.contains("CLOSE-WAIT") } >= 20, "\(listed)")
    // Without its command line it has the name that the kernel keeps.
    if mode == "lock" { #expect(listed.allSatisfy { $0.contains("Hostile[\(pid)]") }, "\(listed)") }
    if mode == "send" {
      // One socket is locked. The others lose nothing: their times are shown.
      #expect(listed.count { $0.contains(" - ") } <= 1, "\(listed)")
      #expect(try #require(said["list"]).complaints.contains("1 socket is listed without times and sizes"))
    }
  }

  @Test(
    "memory whose faults nothing answers (userfaultfd) delays fin no longer than a file system that does not answer",
    .enabled(if: Neighbour.canFault, "needs root, a network namespace and userfaultfd"),
    arguments: [
      ("fault-send", "list check explain", "the times and sizes of its locked sockets"),
      ("fault-epoll", "check explain", "what its epoll sets watch"),
    ])
  func faults(mode: String, touched: String, missing: String) async throws {
    let limit = try await limit()
    let neighbour = try Neighbour(mode)
    let said = try await verbs(neighbour, within: limit)
    for verb in touched.split(separator: " ") {
      let fin = try #require(said[String(verb)])
      let lines = fin.complaints.split(separator: "\n")
        .filter { $0.contains("process \(neighbour.pid) did not answer: ") }
      #expect(lines.contains { $0.contains(missing) }, "\(verb): \(fin.complaints)")
    }
    let listed = try #require(said["list"]).lines.filter { $0.contains("[\(neighbour.pid)]") }
    #expect(listed.count { $0.contains("CLOSE-WAIT") } >= 20, "\(listed)")
  }

  @Test(
    "explain --deep of a locked socket: its options are given up, and the report says so",
    .enabled(if: Neighbour.canMount, "needs root, a network namespace and /dev/fuse"))
  func deep() async throws {
    let limit = try await limit()
    let neighbour = try Neighbour("send", mounts: true)
    // The locked socket is the only one that is established and has a descriptor.
    let words = ["list", "\(neighbour.pid)", "--state", "established", "--fields", "fd", "--no-header"]
    let descriptors = Set(try await Fin.run(words).lines.map(String.init))
    #expect(descriptors.count == 2, "\(descriptors)")
    var complaints = ""
    for descriptor in descriptors {
      let began = ContinuousClock.now
      let fin = try await Fin.run("explain", "\(neighbour.pid):\(descriptor)", "--deep")
      let time = ContinuousClock.now - began
      #expect(time < limit && fin.status.map { $0 <= 2 } == true, "\(fin)")
      complaints += fin.complaints
    }
    #expect(complaints.contains("the options of descriptor"), "\(complaints)")
  }

  @Test(
    "watch, record and export beside a locked socket: they look, say what is missing, and end at their signal",
    .enabled(if: Neighbour.canMount, "needs root, a network namespace and /dev/fuse"),
    .enabled(if: Programs.find("python3") != nil, "needs python3"))
  func lasting() async throws {
    let limit = try await limit()
    let neighbour = try Neighbour("send", mounts: true)
    var name = Array("/tmp/fin-hostile-record-XXXXXX".utf8CString)
    let folder = try #require(unsafe mkdtemp(&name).map { unsafe String(cString: $0) })
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let exporting = ["export", "--web.listen-address", "127.0.0.1:0"]
    for words in [["watch", "--json"], ["record", "--directory", folder], exporting] {
      try withChild(Fin.path, words) { child in
        let line = try child.readLine(within: limit) ?? ""
        switch words[0] {
        case "watch": #expect(line.contains("process \(neighbour.pid) did not answer"), "\(line)")
        case "record": #expect(line.hasPrefix("records to \(folder)/"), "\(line)")
        default:
          let address = try #require(line.split(separator: " ").last)
          let ask = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=60).read().decode())"
          let python = try #require(Programs.find("python3"))
          let text = try withChild(python, ["-c", ask, String(address)]) { try $0.readToEnd(within: limit) }
          #expect(text.contains("fin_hidden{what=\"answers\"} 1\n"), "\(text)")
        }
        child.signal(SIGTERM)
        let exit = try child.wait(within: limit)
        #expect(exit == (words[0] == "watch" ? .signalled(SIGTERM) : .exited(0)), "\(words): \(exit)")
      }
    }
  }

  @Test(
    "an epoll set that is too long to read: no socket is called forgotten, and the limit is named",
    .enabled(if: Privileges.canMakeNamespaces, "needs a network namespace"))
  func longSet() async throws {
    let neighbour = try Neighbour("entries")
    let pid = "\(neighbour.pid)"
    for words in [["explain", pid, "--limit", "100"], ["check", "--leaks", "--all", "--pid", pid]] {
      let fin = try await Fin.run(words)
      #expect(fin.complaints.contains("of process \(pid) is longer than"), "\(fin.complaints)")
      // Some sockets were found in the part that was read. No other is said to be in no set.
      let text = fin.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
      #expect(text.contains("CLOSE-WAIT") && !text.contains("No epoll set has"), "\(text)")
      #expect(text.contains("could not be read") || words[0] == "explain", "\(text)")
    }
  }

  @Test(
    "128 threads that poll the same 4,000 descriptors: the report needs little memory for them",
    .enabled(if: Privileges.canMakeNamespaces, "needs a network namespace"),
    .enabled(if: Programs.find("python3") != nil, "needs python3"))
  func pollers() async throws {
    let (_, base) = try await measured("check", "--leaks", "--pid", "\(getpid())")
    let neighbour = try Neighbour("pollers")
    let (fin, memory) = try await measured("check", "--leaks", "--pid", "\(neighbour.pid)")
    #expect(fin.status == 1 && fin.output.contains("L2 "), "\(fin)")
    #expect(!fin.complaints.contains("process \(neighbour.pid)"), "\(fin.complaints)")
    // Half a million entries are 16 MiB at least.
    #expect(memory <= base + 8, "\(memory) MiB, and \(base) without them")
  }

  /// Runs `fin`, and returns the most MiB that it had in memory.
  private func measured(_ arguments: String...) async throws -> (Fin, MiB: Int) {
    let script = """
      import resource, subprocess, sys
      ended = subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL)
      print("peak", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10, file=sys.stderr)
      sys.exit(ended.returncode)
      """
    let fin = try await Fin.run(program: "python3", ["-c", script, Fin.path] + arguments)
    let line = fin.complaints.split(separator: "\n").last { $0.hasPrefix("peak ") }
    return (fin, try #require(line.flatMap { Int($0.dropFirst(5)) }, "\(fin)"))
  }

  @Test(
    "check beside all of these programs at once: it ends soon, in little memory, and names what it did not see",
    .enabled(if: Neighbour.canMount, "needs root, a network namespace and /dev/fuse"),
    .enabled(if: Programs.find("python3") != nil, "needs python3"))
  func allAtOnce() async throws {
    let large = try ["entries", "pollers", "ledgers", "crowd", "crowd"].map { try Neighbour($0) }
    let limit = try await limit(.seconds(5))
    var silent = try ["send", "epoll", "lock", "poll", "exe"].map { try Neighbour($0, mounts: true) }
    let began = ContinuousClock.now
    let (fin, memory) = try await measured("check")
    let time = ContinuousClock.now - began
    #expect(time < limit, "\(time)")
    #expect(memory <= 128, "\(memory) MiB")
    #expect(fin.status.map { $0 <= 2 } == true, "\(fin)")
    // Four are asked before the rest is left out, and each of them is named.
    let named = silent.count { fin.complaints.contains("process \($0.pid) ") }
    #expect(named >= 3, "\(fin.complaints)")
    // The helpers that were left behind end with what they wait for.
    silent = []
    try eventually("the number of helpers that wait in the kernel", equals: 0) {
      Self.statuses.count { $0.contains(" (fin) D ") }
    }
    withExtendedLifetime(large) {}
  }

  /// The status line of each process.
  private static var statuses: [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return names.filter { Int($0) != nil }
      .compactMap { try? String(contentsOfFile: "/proc/\($0)/stat", encoding: .utf8) }
  }

  @Test(
    "bpf that kills its caller (seccomp): fin lists everything without it",
    .enabled(if: Privileges.canMakeNamespaces, "needs a network namespace"))
  func filtered() async throws {
    // With fewer descriptors in all, fin does not use bpf.
    let crowds = try [Neighbour("crowd"), Neighbour("crowd")]
    let listener = try crowds[0].network.run { try PlainSocket.listening() }
    let through = [Fin.path(of: "Hostile"), "filtered"]
    let fin = try await Fin.run(through: through, "list", "--state", "listen", "--fields", "local,pid")
    #expect(fin.status == 0, "\(fin)")
    #expect(fin.lines.contains { $0.contains(":\(listener.port) ") && $0.hasSuffix(" \(getpid())") }, "\(fin)")
    let checked = try await Fin.run(through: through, "check")
    #expect(checked.status.map { $0 <= 2 } == true, "\(checked)")
  }

  @Test(
    "kill beside a socket whose lock is held: another one ends, the locked one is given up, and fin ends",
    .enabled(if: Neighbour.canMount, "needs root, a network namespace and /dev/fuse"))
  func killing() async throws {
    let limit = try await limit()
    let neighbour = try Neighbour("send", mounts: true)
    let listener = try neighbour.network.run { try PlainSocket.listening() }
    let client = try neighbour.network.run { try PlainSocket.connected(to: "127.0.0.1", port: listener.port) }
    let server = try listener.accept()
    func kill(_ port: UInt16) async throws -> Fin {
      let through = ["nsenter", "--net=/proc/\(neighbour.pid)/ns/net"]
      let began = ContinuousClock.now
      let fin = try await Fin.run(through: through, "kill", "--yes", "127.0.0.1:\(port)")
      let time = ContinuousClock.now - began
      #expect(time < limit)
      return fin
    }
    let ended = try await kill(client.port)
    #expect(ended.status == 0, "\(ended)")
    try eventually("the connection is gone", equals: KernelState.closed) { server.state }
    // The neighbour has one established connection: the locked socket, and the other end of it.
    let words = ["list", "\(neighbour.pid)", "--state", "established", "--fields", "local"]
    let port = try #require((try await Fin.run(words)).lines.last?.split(separator: ":").last.flatMap { UInt16($0) })
    let locked = try await kill(port)
    #expect(locked.status == 1 && locked.output.contains("keeps the socket locked"), "\(locked)")
  }

  @Test(
    "ledgers with absurd sizes, shared by several descriptors: read once, up to a limit that is named",
    .enabled(if: Privileges.canMakeNamespaces, "needs a network namespace"))
  func ledgers() async throws {
    let neighbour = try Neighbour("ledgers")
    let words = ["list", "\(neighbour.pid)", "--fields", "state,site"]
    let fin = try await Fin.run(words)
    // The limit is on records and not on time: a debug build needs some fifteen seconds of processor time for them.
    #expect(fin.status == 0, "\(fin)")
    let about = fin.complaints.split(separator: "\n").filter { $0.contains("ledger of process \(neighbour.pid)") }
    // One line for the shared ledger and one for the other.
    #expect(about.count == 2 && about.allSatisfy { $0.contains("longer than the limit") }, "\(fin.complaints)")
  }

  @Test(
    "sockets of other kinds are counted, and listed with --others",
    .enabled(if: Privileges.canMakeNamespaces, "needs a network namespace"))
  func others() async throws {
    let namespace = try NetworkNamespace()
    let number = namespace.run { socket(AF_INET, CInt(SOCK_RAW.rawValue), 255) }
    defer { close(number) }
    let plain = try await Fin.run("list")
    #expect(plain.complaints.contains("of other kinds: ") && plain.complaints.contains("RAW"), "\(plain.complaints)")
    let words = ["list", "\(getpid())", "--others", "--fields", "kind,state,fd"]
    let listed = try await Fin.run(words)
    #expect(listed.lines.contains { $0.split(separator: " ") == ["raw", "UNLISTED", "\(number)"] }, "\(listed)")
    let json = try await Fin.run(words.dropLast(2) + ["--json"])
    #expect(json.output.contains("\"kind\":\"raw\",\"state\":\"UNLISTED\""))
  }

  @Test(
    "a socket of another kind is listed too where its program has a namespace that may not be read",
    .enabled(if: Privileges.canMakeNamespaces, "needs a network namespace"),
    .enabled(if: Programs.find("python3") != nil && Programs.find("setpriv") != nil, "needs python3 and setpriv"))
  func othersBesideUnread() async throws {
    let user = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]
    // The program keeps a raw socket, a TCP socket and the namespace of both, and becomes a user who may not enter it.
    let script = """
      import os, socket, sys
      net = os.open("/proc/self/ns/net", os.O_RDONLY)
      raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, 255)
      tcp = socket.socket()
      for number in (net, raw.fileno(), tcp.fileno()): os.set_inheritable(number, True)
      print(raw.fileno(), flush=True)
      os.execvp("nsenter", sys.argv[1:])
      """
    let network = try NetworkNamespace()
    let python = try #require(Programs.find("python3"))
    let words = ["-c", script, "nsenter", "--net=/proc/\(getpid())/ns/net"] + user + ["sleep", "600"]
    let child = try network.run { try Child.spawn(python, words) }
    defer { child.end() }
    let number = try #require(try child.readLine())
    try eventually("the program is another one's") { (try? readText("/proc/\(child.number)/comm")) == "sleep" }
    let listed = try await Fin.run(
      through: user, "list", "\(child.number)", "--others", "--fields", "kind,state,fd")
    // The TCP socket may be in a table that was not read, so nothing is said of it.
    let rows = listed.lines.dropFirst().map { $0.split(separator: " ").map(String.init) }
    #expect(rows == [["raw", "UNLISTED", number]], "\(listed)")
  }
}
