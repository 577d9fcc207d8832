import ArgumentParser
import FoundationEssentials
import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand

@Suite("The helpers of fin have the rights and files that their readings need, and end with it", .onThreads)
struct HelperProcessTests {
  /// The processes that a process has started.
  private func children(of pid: Int32) -> [Int32] {
    ((try? readText("/proc/\(pid)/task/\(pid)/children")) ?? "").split(whereSeparator: \.isWhitespace)
      .compactMap { Int32($0) }
  }

  private func line(_ key: String, of pid: Int32) throws -> String {
    let lines = try readText("/proc/\(pid)/status").split(separator: "\n")
    return lines.first { $0.hasPrefix(key) }?.split(whereSeparator: \.isWhitespace).last.map(String.init) ?? ""
  }

  @Test("every command that takes a census has helpers that can be left behind")
  func everyCommand() {
    var taking: [String] = []
    for command in FinCommand.documented where command.helpMessage(columns: 100).contains("--no-bpf") {
      taking.append(command.configuration.commandName ?? "")
    }
    #expect(taking.contains("census") && FinCommand.readsOtherPrograms.isSuperset(of: taking), "\(taking)")
  }

  @Test("five capabilities at most, one descriptor, no core, the root folder, a process group; none outlives fin")
  func helpers() throws {
    // It prints this line when the first look is over, and then waits.
    let child = try Child.spawn(Fin.path, ["watch", "--json", "--every", "1min"])
    defer { child.end() }
    #expect(try child.readLine()?.contains("\"event\":\"watches\"") == true)
    let sources = children(of: child.number)
    let helpers = sources.flatMap { children(of: $0) }
    #expect(sources.count == 1 && !helpers.isEmpty)
    // Ctrl-C on a terminal ends the processes of its foreground group.
    #expect(getpgid(child.number) == child.number)
    for pid in sources + helpers { #expect(getpgid(pid) == sources[0]) }
    // CAP_DAC_READ_SEARCH, CAP_NET_ADMIN, CAP_SYS_PTRACE, CAP_PERFMON and CAP_BPF, by their numbers in capability.h.
    let allowed = [2, 12, 19, 38, 39].reduce(UInt64(0)) { $0 | 1 << UInt64($1) }
    for pid in sources + helpers {
      for key in ["CapEff:", "CapPrm:"] {
        let rights = try #require(UInt64(line(key, of: pid), radix: 16))
        #expect(rights & ~allowed == 0, "\(key) \(String(rights, radix: 16))")
      }
      let files = try FileManager.default.contentsOfDirectory(atPath: "/proc/\(pid)/fd")
      #expect(files == ["0"], "\(files)")
      #expect(try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/fd/0").hasPrefix("socket:["))
      #expect(try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/cwd") == "/")
      let limits = try readText("/proc/\(pid)/limits").split(separator: "\n")
      #expect(limits.contains { $0.hasPrefix("Max core file size") && $0.contains(" 0 ") })
    }
    child.signal(SIGKILL)
    try eventually(within: .seconds(60), "the end of the helpers") {
      (sources + helpers).allSatisfy { pid in
        let state = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)
        // The number of one that has ended may be another's by now, or a zombie's.
        return state.map { !$0.contains(" (fin) ") || $0.contains(") Z ") } ?? true
      }
    }
  }
}
