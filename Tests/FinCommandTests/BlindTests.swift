import FoundationEssentials
import Peers
import TestTraits
import Testing

@Suite(
  "Sockets that could not be seen are a number, a sentence and an exit status of their own",
  .needsScenes, .onThreads, .timeLimit(.minutes(30)),
  .enabled(if: Privileges.isRoot, "needs root, to give up a right"))
struct BlindTests {
  private struct Report: Decodable {
    let status: Int?
    let hidden: [String]
    let unseenHolders: Int
  }

  private func report(_ fin: Fin) throws -> Report {
    try JSONDecoder().decode(Report.self, from: Data(fin.output.utf8))
  }

  /// Root without the right to read the links of other processes' descriptors. It may still list the folders.
  private static let withoutPtrace = ["setpriv", "--bounding-set", "-sys_ptrace"]

  @Test(
    "without CAP_SYS_PTRACE the processes count as unread, and a gate ends with status 4",
    .enabled(if: Programs.find("setpriv") != nil, "needs setpriv"))
  func withoutPtrace() async throws {
    let stage = try Stage("close_wait", "known", "3")
    defer { stage.child.end() }
    let pid = "\(stage.child.number)"
    let seeing = try await Fin.run("check", "--leaks", "--pid", pid)
    #expect(seeing.status == 1 || seeing.status == 2, "\(seeing)")
    let blind = try await Fin.run(through: Self.withoutPtrace, "check", "--leaks", "--pid", pid)
    #expect(blind.status == 4, "\(blind)")
    #expect(blind.complaints.contains("the descriptors of process \(pid) may not be read"), "\(blind)")
    let inJSON = try await Fin.run(through: Self.withoutPtrace, "check", "--leaks", "--pid", pid, "--json")
    #expect(try report(inJSON).status == 4)
    let named = try await Fin.run(through: Self.withoutPtrace, "check", "close_wait.py", "--only", "L4")
    #expect(named.status == 4, "\(named)")
    let list = try await Fin.run(through: Self.withoutPtrace, "list", "--json")
    let whole = try report(list)
    #expect(whole.unseenHolders > 0)
    #expect(whole.hidden.contains { $0.contains("could not be read") })
    #expect(whole.hidden.contains { $0.hasSuffix("held by processes that could not be seen") })
    let text = try await Fin.run(through: Self.withoutPtrace, "list")
    #expect(text.complaints.contains("held by processes that could not be seen"))
  }

  @Test(
    "in a PID namespace of its own, no process is unread, and the sockets of the others are still counted",
    .enabled(if: Programs.find("unshare") != nil, "needs unshare"))
  func ownProcesses() async throws {
    let listener = try PlainSocket.listening()
    let fin = try await Fin.run(
      through: ["unshare", "--pid", "--fork", "--mount-proc"], "list", "--own-namespace", "--json")
    let whole = try report(fin)
    #expect(whole.unseenHolders > 0 && listener.descriptor >= 0)
    #expect(!whole.hidden.contains { $0.contains("could not be read (") })
    #expect(whole.hidden.contains { $0.hasSuffix("held by processes that could not be seen") })
  }

  /// Another user, for whom `/proc` lists only its own processes.
  private static let withHiddenProcesses = [
    "unshare", "--mount", "sh", "-c",
    "mount -t proc -o hidepid=2 proc /proc && "
      + #"exec setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all "$@""#, "sh",
  ]

  @Test(
    "with hidepid, an ordinary user's check says that processes are not listed, and a gate for one ends with status 4",
    .enabled(if: ["unshare", "mount", "setpriv"].allSatisfy { Programs.find($0) != nil }, "needs mount and setpriv"))
  func hiddenProcesses() async throws {
    let listener = try PlainSocket.listening()
    let child = try Child.spawn(try #require(Programs.find("sleep")), ["600"])
    defer { child.end() }
    let fin = try await Fin.run(through: Self.withHiddenProcesses, "check", "--own-namespace", "--json")
    let whole = try report(fin)
    #expect(whole.unseenHolders > 0 && listener.descriptor >= 0, "\(fin)")
    let sentence = whole.hidden.first { $0.hasSuffix("held by processes that could not be seen") } ?? ""
    #expect(sentence.hasPrefix("some processes may not be listed (/proc is mounted with hidepid,"), "\(whole.hidden)")
    let text = try await Fin.run(through: Self.withHiddenProcesses, "check", "--own-namespace")
    #expect(text.complaints.contains("mounted with hidepid"), "\(text)")
    for words in [["--leaks", "--pid", "\(child.number)"], ["\(child.number)"]] {
      let one = try await Fin.run(through: Self.withHiddenProcesses, ["check"] + words)
      #expect(one.status == 4, "\(one)")
      #expect(one.complaints.contains("process \(child.number) is not listed in /proc"), "\(one)")
    }
    // No process has this number.
    let none = try await Fin.run(through: Self.withHiddenProcesses, "check", "--leaks", "--pid", "99999999")
    #expect(none.status == 69 && none.complaints.contains("there is no process 99999999"), "\(none)")
  }

  @Test("a command that was killed is no success, whether or not its end could be looked at; one that ends well is")
  func killedCommand() async throws {
    let fin = try await Fin.run("check", "--leaks", "--", "sh", "-c", "kill -9 $$")
    #expect(fin.status == 4 ? fin.complaints.contains("the command was killed") : fin.status == 3, "\(fin)")
    let clean = try await Fin.run("check", "--leaks", "--", "true")
    #expect(clean.status == 0, "\(clean)")
  }

  @Test("the help of the gate says which programs leave nothing to be found at their exit, and what to use there")
  func interpreters() async throws {
    let help = try await Fin.run("check", "--help")
    #expect(help.output.contains("CPython") && help.output.contains("python -X dev"))
  }
}
