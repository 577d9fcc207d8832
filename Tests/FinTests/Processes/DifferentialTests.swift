// Under a sanitizer the thousands of scripts would take minutes.
#if !FIN_TSAN
import Glibc
import Peers
import TestTraits
import Testing

/// Random sequences of verbs, played by `Tests/Differential`, a program with a descriptor table of its own. `swift run
/// Differential` plays as many as wanted.
@Suite("The kernel behaves as the model predicts", .onThreads)
struct DifferentialTests {
  @Test(
    "a thousand random scripts of two holders, a peer and a stranger, in threads and tasks, agree with the model")
  func scripts() throws {
    #expect(try run(["1000", "1"], within: .seconds(280)) == .exited(0))
  }

  @Test("a script that once found a bug agrees with the model", arguments: FoundScripts.all)
  func found(_ script: String) throws {
    #expect(try run(["play", script], within: .seconds(120)) == .exited(0), "Differential play '\(script)'")
  }

  @Test("a wrong model is detected, and the script is shrunk to the steps that show it")
  func wrongModel() throws {
    try withChild(program(), ["wrong", "1", "3"]) { child in
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

/// Scripts that found a bug, shrunk.
enum FoundScripts {
  static let all: [String] = [
    // Half-closed through a lent descriptor: a later send fails as finished, and two FINs are not a reset.
    "stream,tcp,connect,thread,thread,wide:A.shut.0.0 A.send.1.0",
    "stream,tcp,connect,thread,thread,wide:P.finish.0.0 A.shut.0.0 A.receive.1.-1",
    "stream,tcp,connect,thread,thread,wide:A.shut.0.0 A.receive.1.-1 P.close.0.0",
    "stream,tcp,connect,thread,thread,wide:P.close.0.0 A.shut.0.0 A.background.0.0",
    "stream,tcp,connect,thread,thread,wide:P.finish.0.0 A.send.1.0 A.shut.0.0 A.background.0.0",
    "stream,tcp,connect,thread,thread,wide:A.duplicate.0.0 P.close.0.0 B.shut.0.0 A.receive.1.20",
    // One duplicate finishes sending, the peer finishes, and the other duplicate closes: a clean end.
    "stream,tcp,connect,thread,thread,wide:A.duplicate.0.0 B.finish.0.0 B.abort.0.0 P.finish.0.0 A.background.0.0",
    // A duplicate that was detached and adopted again is still one of two.
    "stream,tcp,connect,thread,thread,wide:A.duplicate.0.0 A.detach.0.0 P.finish.0.0 A.adopt.0.0 A.lingering.1.300",
    // The last duplicate, detached and adopted again, is counted once, and its abort resets.
    "stream,tcp,connect,thread,thread,wide:A.duplicate.0.0 B.share.0.0 B.background.0.0 A.detach.0.0 A.adopt.0.0 "
      + "A.abort.0.0",
    // A connection that had finished sending is adopted as one that has: neither the error of its sends nor its end is
    // blamed on the peer.
    "stream,tcp,connect,thread,thread,wide:A.shut.0.0 A.detach.0.0 A.adopt.0.0 A.send.1.0",
    "stream,tcp,connect,thread,thread,wide:A.shut.0.0 A.detach.0.0 A.adopt.0.0 P.close.0.0 A.receive.1.20",
    "stream,unix,connect,thread,thread,wide:A.shut.0.0 A.detach.0.0 A.adopt.0.0 A.send.1.0",
    // A later close does not extend the timeout of the close under way, when that is shorter.
    "stream,tcp,connect,thread,thread,wide:A.share.0.0 B.lingering.1.-1 A.lingering.0.300",
    "stream,unix,connect,thread,loop,wide:A.share.0.0 A.send.1.0 B.confirmed.0.-1 A.confirmed.0.300",
    // A discard budget that is spent at once.
    "stream,tcp,connect,thread,thread,wide:P.send.7.0 P.send.7.0 A.lingering.10.300",
    // A Unix listener is paused and resumed, and accepts clients again.
    "listener,unix,connect,thread,thread,wide:P.connect.0.0 B.pause.0.0 A.resume.0.0 P.connect.0.0 A.accept.0.20",
    "listener,unix,connect,loop,thread,wide:A.accept.0.-1 B.pause.0.0 P.connect.0.0 A.resume.0.0 A.accept.0.20",
  ]
}
#endif
