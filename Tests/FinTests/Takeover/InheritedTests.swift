import Glibc
import Peers
import TestTraits
import Testing

@testable import Fin

/// The program that takes listeners over, built beside the tests.
enum SuccessionProgram {
  static func path() throws -> String {
    let program = try #require(Misuse.buildFolder.map { "\($0)/Succession" })
    try #require(unsafe access(program, X_OK) == 0, "swift build --build-tests makes it")
    return program
  }
}

@Suite("A service manager's sockets: taken over by name, checked, and kept from other programs", .onThreads)
struct Inherited {
  private func names(
    _ pid: String?, _ count: String?, _ names: String?
  ) throws(SocketError) -> [String]? {
    try InheritedDescriptors(pid: pid, count: count, names: names, process: 42)?.all.map { "\($0.number) \($0.name)" }
  }

  @Test("the three variables: missing, for another process, without names, with names")
  func variables() throws {
    #expect(try names(nil, "1", nil) == nil && names("42", nil, nil) == nil && names("43", "1", "a") == nil)
    #expect(try names("42", "0", nil) == [] && names("42", "0", "") == [])
    #expect(try names("42", "2", nil) == ["3 unknown", "4 unknown"])
    #expect(try names("42", "3", "web:admin:web") == ["3 web", "4 admin", "5 web"])
    #expect(try names("42", "2", "web") == ["3 web", "4 unknown"])
    #expect(try names("42", "2", ":b") == ["3 unknown", "4 b"])
  }

  @Test(
    "variables that no service manager sets are refused, and not guessed at",
    arguments: [
      ("me", "1", nil), ("0", "1", nil), ("-42", "1", nil), ("42", "many", nil), ("42", "-1", nil),
      ("42", "2147483647", nil), ("42", "99999999999", nil), ("42", "1", "a:b"),
    ] as [(String, String, String?)])
  func malformed(pid: String, count: String, given: String?) throws {
    let error = try socketError { _ = try names(pid, count, given) }
    guard case .invalid = error.cause else { throw RigError("\(error)") }
    #expect(error.operation == .adopt)
  }

  @Test("without a service manager there is nothing to take over")
  func none() throws {
    #expect(try InheritedDescriptors.current() == nil)
    let listener = try Listener.inherited(named: "web")
    let isNothing = listener == nil
    #expect(isNothing)
  }

  /// Runs the program as a service manager would, with one descriptor as number 3.
  private func run(_ setting: String, _ descriptor: CInt, _ names: String...) throws -> String {
    let script = "\(setting) exec \"$0\" inherited \(names.joined(separator: " "))"
    let child = try Child.spawn(
      "/bin/sh", ["-c", script, try SuccessionProgram.path()], heirloom: .asNumberThree(descriptor))
    defer { child.end() }
    return try child.readToEnd()
  }

  @Test("a socket that does not fit is refused by its reason; one that is not open, too")
  func refusals() throws {
    let stream = PlainSocket(adopting: socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0))
    let datagrams = PlainSocket(adopting: socket(AF_INET, CInt(SOCK_DGRAM.rawValue), 0))
    let one = "LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web"
    #expect(try run(one, stream.descriptor, "web").contains("descriptor 3 does not listen"))
    #expect(try run(one, datagrams.descriptor, "web").contains("descriptor 3 is a datagram socket"))
    let listener = try PlainSocket.listening()
    let two = "LISTEN_PID=$$ LISTEN_FDS=2 LISTEN_FDNAMES=web:web"
    // Number 4 is not open, or another file of the program by then.
    #expect(try run(two, listener.descriptor, "web").contains("descriptor 4"))
    #expect(try run("LISTEN_PID=1 LISTEN_FDS=1", listener.descriptor, "web").hasPrefix("web: nothing"))
    #expect(try run(one, listener.descriptor, "other").hasPrefix("other: nothing"))
  }

  @Test(
    "the real systemd-socket-activate: two names, each with its own client; CLOEXEC, unset, ready, barrier",
    .needsProgram("systemd-socket-activate"))
  func systemd() throws {
    let folder = try TemporaryFolder()
    let manager = try NotifyPeer(path: "\(folder.path)/notify")
    let tool = try #require(Programs.find("systemd-socket-activate"))
    let child = try Child.spawn(
      tool,
      [
        "-l", "\(folder.path)/web", "-l", "\(folder.path)/admin", "--fdname=web:admin",
        "-E", "NOTIFY_SOCKET=\(folder.path)/notify", try SuccessionProgram.path(), "inherited", "web", "admin",
      ])
    defer { child.end() }
    try eventually(within: .seconds(30), "its listeners") { folder.entries == ["admin", "notify", "web"] }
    func answer(_ name: String) throws -> String {
      let client = try Connection.connect(to: try .unix("\(folder.path)/\(name)"), within: .seconds(30))
      let line = try client.receiveLine(within: .seconds(60))
      client.close()
      return line ?? "the end"
    }
    #expect(try answer("web") == "web")
    #expect(try child.readLine() == "web: 1 at \(folder.path)/web, CLOEXEC true")
    #expect(try manager.next() == "READY=1\nSTATUS=serving web")
    #expect(try answer("admin") == "admin")
    #expect(try child.readLine() == "admin: 1 at \(folder.path)/admin, CLOEXEC true")
    #expect(try manager.next() == "READY=1\nSTATUS=serving admin")
    #expect(try child.readLine() == "environment unset")
    #expect(try manager.next() == "STOPPING=1")
    #expect(try manager.next() == "BARRIER=1")
    #expect(try child.readLine() == "barrier true")
    #expect(try child.wait() == .exited(0))
    // The paths are the service manager's.
    #expect(folder.entries.contains("web"))
  }

  @Test(
    "two sockets of one name are one listener", .needsProgram("systemd-socket-activate"))
  func together() throws {
    let folder = try TemporaryFolder()
    let tool = try #require(Programs.find("systemd-socket-activate"))
    let child = try Child.spawn(
      tool,
      [
        "-l", "\(folder.path)/a", "-l", "\(folder.path)/b", "--fdname=web:web", try SuccessionProgram.path(),
        "inherited", "web",
      ])
    defer { child.end() }
    try eventually(within: .seconds(30), "its listeners") { folder.entries == ["a", "b"] }
    for name in ["b", "a"] {
      let client = try Connection.connect(to: try .unix("\(folder.path)/\(name)"), within: .seconds(30))
      #expect(try client.receiveLine(within: .seconds(60)) == "web")
      client.close()
    }
    #expect(try child.readLine() == "web: 2 at \(folder.path)/a, CLOEXEC true")
    #expect(try child.readToEnd().hasSuffix("barrier false\n"))
  }
}
