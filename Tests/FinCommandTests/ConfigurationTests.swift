import FoundationEssentials
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand

@Suite("A mute file is believed only if it is the user's own", .onThreads, .timeLimit(.minutes(30)))
struct ConfigurationTests {
  /// A folder that is removed with the value.
  private final class Home {
    let path: String
    var mutes: String { path + "/.config/fin/mute" }

    init() throws {
      path = FileManager.default.temporaryDirectory.appendingPathComponent("fin-home-\(UUID().uuidString)").path
      try FileManager.default.createDirectory(atPath: path + "/.config/fin", withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func write(_ text: String, mode: mode_t = 0o644) throws {
      try Data(text.utf8).write(to: URL(filePath: mutes))
      unsafe chmod(mutes, mode)
    }

    func check() async throws -> Fin {
      try await Fin.shell("XDG_CONFIG_HOME= HOME='\(path)' exec \"$0\" check --own-namespace")
    }
  }

  @Test("a FIFO in the place of the file: it is not waited for, and the check goes on without it")
  func fifo() async throws {
    let home = try Home()
    #expect(unsafe mkfifo(home.mutes, 0o644) == 0)
    let fin = try await home.check()
    #expect(fin.complaints.contains("is not a regular file: it mutes nothing"), "\(fin)")
    #expect(fin.output.contains(" sockets and "))
    let asked = try await Fin.run("check", "--mute", home.mutes)
    #expect(asked.status == 66 && asked.output.isEmpty)
  }

  @Test("a link to another file is not followed, and no byte of that file is shown")
  func link() async throws {
    let home = try Home()
    let secret = home.path + "/secret"
    try Data("root:$6$secret\n".utf8).write(to: URL(filePath: secret))
    #expect(unsafe symlink(secret, home.mutes) == 0)
    for fin in [try await home.check(), try await Fin.run("check", "--mute", home.mutes)] {
      #expect(fin.complaints.contains("is a symbolic link") && !fin.complaints.contains("secret:"), "\(fin)")
      #expect(!fin.complaints.contains("$6$"))
    }
  }

  @Test("a file that others may write, one that is too long, or no text: none of them is believed")
  func others() async throws {
    let home = try Home()
    for mode: mode_t in [0o664, 0o646] {
      try home.write("* *\n", mode: mode)
      #expect(try await home.check().complaints.contains("can be written by others"))
    }
    try home.write(String(repeating: "# too long\n", count: 100_000))
    #expect(try await home.check().complaints.contains("is larger than 1048576 bytes"))
    try Data([0xff, 0xfe]).write(to: URL(filePath: home.mutes))
    #expect(try await home.check().complaints.contains("is not UTF-8 text"))
    try home.write("L99 \u{1B}[31m\n")
    let bad = try await home.check()
    #expect(bad.status == 65 && bad.complaints.contains("line 1") && !bad.complaints.utf8.contains(0x1B))
  }

  @Test(
    "a file of another user does not configure root, as under sudo with the caller's HOME",
    .enabled(if: Privileges.canMakeNamespaces, "needs root"))
  func foreign() async throws {
    let home = try Home()
    try home.write("* *\n")
    #expect(unsafe chown(home.mutes, 65534, 65534) == 0)
    let fin = try await home.check()
    #expect(fin.complaints.contains("belongs to user 65534") && !fin.output.contains(" muted."), "\(fin)")
    #expect(unsafe chown(home.mutes, 0, 0) == 0)
    #expect(!(try await home.check()).complaints.contains("mutes nothing"))
  }

  @Test("no file at all is no reason to complain; a named one must exist")
  func absent() async throws {
    let home = try Home()
    #expect(!(try await home.check()).complaints.contains("mute"))
    let asked = try await Fin.run("check", "--mute", home.mutes)
    #expect(asked.status == 66 && asked.complaints.contains("does not exist"))
  }
}
