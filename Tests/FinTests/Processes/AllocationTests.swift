// A sanitizer brings an allocator of its own, which is not counted.
#if !FIN_TSAN
import Glibc
import Peers
import Testing

/// `.ci/allocations` counts the same, and what a round trip asks for, in a release build.
@Suite("Promise 10: cheap")
struct Cheap {
  @Test("sending a mebibyte of a string or an array copies nothing: counted by a program whose allocator is counted")
  func copies() throws {
    // Beside this program, where it was built.
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
