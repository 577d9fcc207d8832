// A sanitizer replaces the allocator with its own, which is not counted.
#if !FIN_TSAN
import Glibc
import Peers
import TestTraits
import Testing

/// `.ci/allocations` counts the same in a release build, and the allocations of a round trip.
@Suite("Promise 10: cheap", .onThreads)
struct Cheap {
  @Test("sending a mebibyte of a string or an array copies nothing, counted by a program with a counting allocator")
  func copies() throws {
    // The program is built into the same folder as this one.
    let program = try #require(Misuse.buildFolder.map { "\($0)/Allocations" })
    try #require(unsafe access(program, X_OK) == 0, "swift build --build-tests makes it")
    try withChild(program, ["copies"]) { child in
      let said = try child.readToEnd(within: .seconds(60))
      #expect(try child.wait() == .exited(0), "\(said)")
      #expect(said.contains("ok     a mebibyte sent in a task from a string: "), "\(said)")
    }
  }
}
#endif
