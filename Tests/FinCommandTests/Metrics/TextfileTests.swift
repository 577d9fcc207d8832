import FinDoctor
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand

@Suite("fin check --textfile: a file for node_exporter", .onThreads, .timeLimit(.minutes(30)))
struct TextfileTests {
  @Test("the file is whole, readable by all, without times, and no other file is left beside it", .needsScenes)
  func written() throws {
    let folder = try TemporaryFolder()
    let network = try NetworkNamespace()
    let python = try #require(Programs.find("python3"))
    try network.run {
      try withChild(python, ["-B", Stage.folder + "close_wait.py", "known", "15"]) { leak in
        #expect(try leak.readLine()?.hasPrefix("ready") == true)
        try withChild(python, ["-B", Stage.folder + "close_wait.py", "open", "15"]) { twin in
          #expect(try twin.readLine()?.hasPrefix("ready") == true)
          // A mask that would keep others from reading.
          let shell = try #require(Programs.find("sh"))
          let script = "umask 077; exec \"$0\" check --own-namespace --textfile \"$1\""
          // A connection is a part of the leak five seconds after its peer closed it.
          try eventually(within: .seconds(60), "the leak is in the file") {
            let run = try withChild(shell, ["-c", script, Fin.path, folder.path + "/fin.prom"]) { try $0.wait() }
            #expect(run == .exited(0))
            let text = TextFile.read(folder.path + "/fin.prom") ?? ""
            return text.split(separator: "\n").contains {
              $0.hasPrefix("fin_finding_sockets{") && Self.isOurs($0) && $0.hasSuffix(" 15")
            }
          }
        }
      }
    }
    #expect(folder.names == ["fin.prom"])
    #expect(folder.mode(of: "fin.prom") == 0o644)
    let text = try #require(TextFile.read(folder.path + "/fin.prom"))
    #expect(text.hasSuffix("\n"))
    for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
      let isSample = line.wholeMatch(of: /[a-z_0-9]+(\{.*\})? [-+0-9.eInfNa]+/) != nil
      #expect(isSample || line.hasPrefix("# HELP ") || line.hasPrefix("# TYPE "), "\(line)")
    }
    let findings = text.split(separator: "\n").filter {
      $0.hasPrefix("fin_finding_sockets{") && Self.isOurs($0)
    }
    #expect(
      findings.count == 1 && findings[0].contains(#"finding="L1""#) && findings[0].hasSuffix(" 15"), "\(findings)")
  }

  private static func isOurs(_ line: Substring) -> Bool { line.contains(#"program="close_wait.py""#) }

  @Test("a file that cannot be written is an error, and the old one stays")
  func refused() async throws {
    let folder = try TemporaryFolder()
    let missing = try await Fin.run("check", "--own-namespace", "--textfile", folder.path + "/none/fin.prom")
    #expect(missing.status == 74 && missing.complaints.contains("none/fin.prom"), "\(missing.complaints)")
    // A folder cannot be replaced by a file.
    #expect(unsafe mkdir(folder.path + "/fin.prom", 0o755) == 0)
    let isFolder = try await Fin.run("check", "--own-namespace", "--textfile", folder.path + "/fin.prom")
    #expect(isFolder.status == 74, "\(isFolder.complaints)")
    #expect(folder.names == ["fin.prom"])
  }

  @Test(
    "options that would make the file about less than the machine are refused",
    arguments: [["nginx"], ["--json"], ["--only", "L1"], ["--over", "1s"], ["--leaks", "--pid", "1"]])
  func options(words: [String]) async throws {
    let fin = try await Fin.run(["check", "--textfile", "/tmp/never.prom"] + words)
    #expect(fin.status == 64)
    #expect(unsafe access("/tmp/never.prom", F_OK) != 0)
    #expect(try await Fin.run("check", "--textfile", "/tmp/never").status == 64)
  }

  @Test(
    "promtool check metrics has nothing to say",
    .enabled(if: Programs.find("promtool") != nil, "needs promtool: apt-get install prometheus"))
  func promtool() async throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/fin.prom"
    let run = try await Fin.shell("\"$0\" check --textfile \(path); promtool check metrics < \(path) 2>&1")
    let complaints = run.lines.filter { !$0.hasPrefix("fin: ") }
    #expect(run.status == 0 && complaints.isEmpty, "\(run.output)")
  }

  @Test("a file is replaced in one step, and a link of its name is not followed")
  func replaced() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/a.prom"
    try ReplacedFile.write(Array("one".utf8), to: path)
    let held = try #require(Descriptor(path))
    try ReplacedFile.write(Array("two, longer".utf8), to: path)
    #expect(TextFile.read(path) == "two, longer" && held.text == "one")
    #expect(unsafe unlink(path) == 0 && symlink("elsewhere", path) == 0)
    try ReplacedFile.write(Array("three".utf8), to: path)
    #expect(TextFile.read(path) == "three" && folder.names == ["a.prom"])
  }

  @Test("a disk that is full leaves the old file, and nothing beside it", .enabled(if: Privileges.isRoot, "needs root"))
  func full() throws {
    let folder = try TemporaryFolder()
    #expect(unsafe mount("tmpfs", folder.path, "tmpfs", 0, "size=64k") == 0)
    defer { _ = unsafe umount(folder.path) }
    let path = folder.path + "/a.prom"
    try ReplacedFile.write(Array("old".utf8), to: path)
    #expect(throws: ReplacedFile.Refusal.self) {
      try ReplacedFile.write([UInt8](repeating: 65, count: 1 << 20), to: path)
    }
    #expect(TextFile.read(path) == "old" && folder.names == ["a.prom"])
  }
}

/// A file that stays open while its name changes.
private final class Descriptor {
  private let number: CInt

  init?(_ path: String) {
    number = unsafe open(path, O_RDONLY | O_CLOEXEC)
    if number < 0 { return nil }
  }

  deinit { close(number) }

  var text: String {
    var bytes = [UInt8](repeating: 0, count: 64)
    let count = unsafe pread(number, &bytes, bytes.count, 0)
    return String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
  }
}
