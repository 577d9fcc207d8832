// Under a sanitizer the thousands of scripts would take minutes.
#if !FIN_TSAN
import Glibc
import Peers
import TestTraits
import Testing

/// Random sequences of verbs, by a program that has its descriptors to itself: `Tests/Differential`. `swift run Differential` plays
/// as many as wanted.
@Suite("The kernel shows what the model says", .onThreads)
struct DifferentialTests {
  @Test(
    "two holders, a peer and a stranger, in threads and tasks: a thousand scripts of random verbs agree with the model")
  func scripts() throws {
    #expect(try run(["1000", "1"], within: .seconds(280)) == .exited(0))
  }

  @Test("a few hundred scripts that were never played before agree with the model")
  func newScripts() throws {
    let seed = UInt64.random(in: 1 << 20...1 << 40)
    // The seed is printed, so that a failure can be played again.
    print("Differential 300 \(seed)")
    #expect(try run(["300", "\(seed)"], within: .seconds(280)) == .exited(0), "Differential 300 \(seed)")
  }

  @Test("a script that once found a fault agrees with the model", arguments: FoundScripts.all)
  func found(_ script: String) throws {
    #expect(try run(["play", script], within: .seconds(120)) == .exited(0), "Differential play '\(script)'")
  }

  @Test("a model that is wrong is objected to, and the script is shrunk to the steps that show it")
  func wrongModel() throws {
    try withChild(program(), ["wrong", "3", "1"]) { child in
      let said = try child.readToEnd(within: .seconds(280))
      #expect(try child.wait() == .exited(1), "\(said)")
      let shrunk = try #require(said.split(separator: "\n").first { $0.hasPrefix("  play '") }, "\(said)")
      #expect(shrunk.contains("P.finish.0.0") || shrunk.contains("P.close.0.0"), "\(shrunk)")
      #expect(shrunk.split(separator: " ").count <= 6, "\(shrunk)")
    }
  }

  private func run(_ words: [String], within limit: Duration) throws -> Child.Exit {
    try withChild(program(), words) { child in
      let said = try child.readToEnd(within: limit)
      let exit = try child.wait()
      if exit != .exited(0) { print(said.suffix(4000)) }
      return exit
    }
  }

  private func program() throws -> String {
    let program = try #require(Misuse.buildFolder.map { "\($0)/Differential" })
    try #require(unsafe access(program, X_OK) == 0, "swift build --build-tests makes it")
    return program
  }
}

/// Scripts that found a fault, shrunk.
enum FoundScripts {
  static let all: [String] = [
    // A budget of bytes that is spent at once.
    "stream,tcp,connect,thread,thread,wide:P.send.7.0 P.send.7.0 A.lingering.10.300"
  ]
}
#endif
