import TestTraits
import Testing

@testable import FinDoctor

@Suite("The sight of a census: what is hidden, and which right would show it", .onThreads)
struct SightTests {
  private static let all: [Capability] = [.ptrace, .readSearch, .sysAdmin, .netAdmin, .bpf, .perfmon]

  private static func rights(_ capabilities: [Capability]) -> Capabilities {
    Capabilities(bits: capabilities.reduce(0) { $0 | 1 << UInt64($1.rawValue) })
  }

  /// A census of two processes that are read and of `hidden` that are not.
  private static func census(_ change: (inout CensusGaps) -> Void) -> Census {
    var gaps = CensusGaps()
    change(&gaps)
    let held = Holders(
      sockets: [Holder(inode: 7, pid: 1, descriptor: 3), Holder(inode: 7, pid: 2, descriptor: 3)],
      processes: [HoldingProcess(pid: 1), HoldingProcess(pid: 2), HoldingProcess(pid: 3, isReadable: false)])
    return Census(holders: held, gaps: gaps)
  }

  private static func view(
    _ kind: Sight.Kind, _ capabilities: [Capability], first: Bool = true, _ change: (inout CensusGaps) -> Void
  ) throws -> Sight.View {
    let sight = Sight(
      of: census(change), user: 65534, capabilities: rights(capabilities), isInFirstUserNamespace: first)
    return try #require(sight.views.first { $0.kind == kind })
  }

  @Test("processes that are not read need exactly the capabilities that are not effective")
  func processes() throws {
    let none = try Self.view(.processes, []) { $0.unreadableProcesses = [0: 3, 33: 2] }
    #expect(none.seen == 2 && none.hidden == 5 && !none.isWhole)
    #expect(none.missing == [.ptrace, .readSearch] && none.otherCause == nil)
    let half = try Self.view(.processes, [.readSearch]) { $0.unreadableProcesses = [0: 3] }
    #expect(half.missing == [.ptrace])
    let whole = try Self.view(.processes, []) { _ in }
    #expect(whole.isWhole && whole.hidden == 0)
  }

  @Test("CAP_DAC_OVERRIDE opens folders too, and CAP_SYS_ADMIN loads BPF programs")
  func including() {
    let override = Capabilities(bits: 1 << 1)
    #expect(override.includes(.readSearch) && !override.includes(.ptrace))
    let admin = Self.rights([.sysAdmin])
    #expect(admin.includes(.bpf) && admin.includes(.perfmon) && !admin.includes(.netAdmin))
  }

  @Test(
    "where all capabilities are effective and something is hidden, the cause is another one", arguments: [true, false])
  func otherCause(first: Bool) throws {
    let view = try Self.view(.owners, Self.all, first: first) { $0.unseenHolders = 4 }
    #expect(view.missing.isEmpty && view.hidden == 4 && view.seen == 1)
    #expect(view.otherCause?.contains(first ? "security module" : "user namespace") == true)
  }

  @Test("processes that are not listed at all are no number, and hide owners without a missing capability")
  func unlisted() throws {
    let processes = try Self.view(.processes, Self.all) { $0.hidesProcesses = true }
    #expect(!processes.isWhole && processes.hidden == nil)
    #expect(processes.otherCause?.contains("hidepid") == true)
    let owners = try Self.view(.owners, Self.all) {
      $0.hidesProcesses = true
      $0.unseenHolders = 1
    }
    #expect(owners.otherCause?.contains("hidepid") == true)
  }

  @Test("kill and the BPF pass are allowed by their capabilities alone")
  func allowed() throws {
    #expect(try !Self.view(.kill, [.sysAdmin]) { _ in }.isWhole)
    #expect(try Self.view(.kill, [.netAdmin]) { _ in }.isWhole)
    #expect(try Self.view(.pass, [.bpf]) { _ in }.missing == [.perfmon])
  }
}
