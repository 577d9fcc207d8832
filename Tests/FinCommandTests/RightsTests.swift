import FoundationEssentials
import Peers
import TestTraits
import Testing

@Suite(
  "fin rights: what this user sees, and which capability adds the rest", .needsScenes, .onThreads,
  .timeLimit(.minutes(30)))
struct RightsTests {
  private struct Report: Decodable {
    struct View: Decodable {
      let kind: String
      let whole: Bool
      let seen: Int?
      let unseen: Int?
      let missing: [String]
      let otherCause: String?
    }
    let user: UInt32
    let capabilities: [String]
    let views: [View]
    let hidden: [String]

    func view(_ kind: String) throws -> View { try #require(views.first { $0.kind == kind }) }
  }

  private func report(_ fin: Fin) throws -> Report {
    try JSONDecoder().decode(Report.self, from: Data(fin.output.utf8))
  }

  /// Another user, with these capabilities and no other.
  private func stranger(_ capabilities: [String]) -> [String] {
    let list = capabilities.map { "+" + $0 }.joined(separator: ",")
    let kept = capabilities.isEmpty ? [] : ["--inh-caps", list, "--ambient-caps", list]
    return ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"] + kept
  }

  @Test(
    "each capability that it names adds what it says: without any, with half, and with all of them",
    .enabled(if: Privileges.isRoot, "needs root, to become another user"),
    .enabled(if: Programs.find("setpriv") != nil, "needs setpriv"))
  func named() async throws {
    let listener = try PlainSocket.listening()
    // The namespace is another one, whose only process is a stranger to the user.
    let network = try NetworkNamespace()
    let child = try network.run { try Child.spawn(try #require(Programs.find("sleep")), ["600"]) }
    defer { child.end() }

    let blind = try await Fin.run(through: stranger([]), "rights", "--json")
    #expect(blind.status == 1, "\(blind)")
    let none = try report(blind)
    #expect(none.user == 65534 && none.capabilities.isEmpty && listener.descriptor >= 0)
    #expect(try none.view("processes").missing == ["CAP_SYS_PTRACE", "CAP_DAC_READ_SEARCH"])
    #expect(try none.view("owners").unseen ?? 0 > 0)
    #expect(try none.view("namespaces").missing == ["CAP_SYS_ADMIN", "CAP_SYS_PTRACE"])
    #expect(try none.view("kill").missing == ["CAP_NET_ADMIN"])

    // One of the two alone adds nothing.
    for half in ["sys_ptrace", "dac_read_search"] {
      let some = try report(try await Fin.run(through: stranger([half]), "rights", "--json"))
      #expect(try !some.view("processes").whole && some.view("processes").missing.count == 1, "\(half)")
    }
    let owners = try report(
      try await Fin.run(through: stranger(["sys_ptrace", "dac_read_search"]), "rights", "--json"))
    // A process may be out of sight for other reasons than capabilities, for root too.
    func remaining(_ report: Report) throws -> Int { try report.view("processes").unseen ?? 0 }
    #expect(try owners.view("processes").missing.isEmpty, "\(owners)")
    #expect(try remaining(owners) * 10 < remaining(none), "\(owners)")
    #expect(try owners.view("namespaces").missing == ["CAP_SYS_ADMIN"])
    let all = try await Fin.run(
      through: stranger(["sys_ptrace", "dac_read_search", "sys_admin"]), "rights", "--json")
    let whole = try report(all)
    #expect(try whole.view("namespaces").whole && whole.view("namespaces").seen ?? 0 > 1, "\(all)")
    #expect(try remaining(whole) * 10 < remaining(none) && !whole.view("kill").whole, "\(all)")
  }

  @Test("as text: a line for each kind, the missing capabilities by name, and what to do")
  func text() async throws {
    guard Privileges.isRoot, Programs.find("setpriv") != nil else { return }
    let fin = try await Fin.run(through: stranger([]), "rights")
    #expect(fin.status == 1, "\(fin)")
    #expect(fin.lines.first == "User 65534, with none of the capabilities that fin can use.", "\(fin)")
    #expect(fin.output.contains("missing: CAP_SYS_PTRACE, CAP_DAC_READ_SEARCH"))
    #expect(fin.output.contains("AmbientCapabilities="))
    #expect(fin.lines.allSatisfy { $0.count <= 100 })
  }
}
