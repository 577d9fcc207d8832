import Glibc
import Peers
import TestTraits
import Testing

/// A program that keeps the kernel waiting, or that has absurdly much of something, in a network namespace of its own.
///
/// It ends with the test, and after thirty seconds by itself: while it stands, it delays every census on the machine.
private final class Neighbour {
  let child: Child
  let pid: Int32
  private let folder: String?

  /// - Parameter mounts: Whether it needs a folder for its file system.
  init(_ mode: String, mounts: Bool = false) throws {
    var template = Array("/tmp/fin-hostile-XXXXXX".utf8CString)
    folder = mounts ? unsafe mkdtemp(&template).map { unsafe String(cString: $0) } : nil
    if let folder { unsafe _ = chmod(folder, 0o755) }
    let words = [mode] + (folder.map { [$0] } ?? [])
    let network = try NetworkNamespace()
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

  static let canMount: Bool = {
    let isThere = unsafe access("/dev/fuse", R_OK | W_OK) == 0
    return isThere && Privileges.canMakeNamespaces
  }()
}

@Suite(
  "fin ends beside programs that keep the kernel waiting, and says what it did not see", .onThreads, .serialized,
  .timeLimit(.minutes(10)))
struct HostileNeighbours {
  /// The time after which a test of `fin` fails. Each process that does not answer costs it less than a second.
  private static let limit = Duration.seconds(20)

  /// Runs each verb, and returns what each of them said on standard error.
  private func verbs(_ neighbour: Neighbour) async throws -> [String: Fin] {
    var all: [String: Fin] = [:]
    for words in [["list", "--wide"], ["check"], ["explain", "\(neighbour.pid)"], ["ports"], ["listeners"]] {
      let began = ContinuousClock.now
      // Its output ends with it: a helper that is left behind does not hold it open.
      let fin = try await Fin.run(words)
      #expect(ContinuousClock.now - began < Self.limit, "\(words)")
      #expect(fin.status.map { $0 <= 2 } == true, "\(words): \(fin)")
      all[words[0]] = fin
    }
    return all
  }

  @Test(
    "a process that does not answer costs its deadline: every verb ends, and names it and what is missing",
    .enabled(if: Neighbour.canMount, "needs root, a network namespace and /dev/fuse"),
    arguments: [
      ("send", "list check explain ports listeners", "the times and sizes of its locked sockets"),
      ("epoll", "check explain", "what its epoll sets watch"),
      ("lock", "list check explain ports", "its command line"),
      ("poll", "check explain", "what its threads wait for"),
      ("exe", "check", "the language of its program"),
    ])
  func silent(mode: String, touched: String, missing: String) async throws {
    let neighbour = try Neighbour(mode, mounts: true)
    let pid = neighbour.pid
    let said = try await verbs(neighbour)
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
    if mode == "send" {
      // One socket is locked. The others lose nothing: their times are shown.
      #expect(listed.count { $0.contains(" - ") } <= 1, "\(listed)")
      #expect(try #require(said["list"]).complaints.contains("1 socket is listed without times and sizes"))
    }
  }

  @Test(
    "an epoll set that is too long to read: no socket is called forgotten, and the limit is named",
    .enabled(if: Privileges.canMakeNamespaces, "needs a network namespace"))
  func longSet() async throws {
    let neighbour = try Neighbour("entries")
    let fin = try await Fin.run("explain", "\(neighbour.pid)", "--limit", "100")
    #expect(fin.complaints.contains("of process \(neighbour.pid) is longer than"), "\(fin.complaints)")
    #expect(!fin.output.contains("no thread waits") && !fin.output.contains("forgotten"), "\(fin.output)")
  }

  @Test(
    "64 threads that poll the same 4,000 descriptors: the report needs little memory",
    .enabled(if: Privileges.canMakeNamespaces, "needs a network namespace"))
  func pollers() async throws {
    let neighbour = try Neighbour("pollers")
    let fin = try await Fin.run("check", "\(neighbour.pid)", "--threshold", "info")
    #expect(fin.status == 0 || fin.status == 1, "\(fin)")
    #expect(!fin.complaints.contains("process \(neighbour.pid)"), "\(fin.complaints)")
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
}
