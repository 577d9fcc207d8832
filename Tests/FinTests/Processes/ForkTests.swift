import CPeers
import Fin
import Glibc
import Peers
import Testing

@Suite("A descriptor is shared when a process forks, and Fin says what it does about it")
struct Forking {
  @Test("a child forked without exec is stopped at its first operation, with the reason", .faults(12))
  func child() async throws {
    let result = try await #require(
      processExitsWith: .success, observing: [\.standardErrorContent]
    ) {
      try synchronously {
        let pair = try Connection.pair()
        let child = peers_fork()
        if child == 0 {
          try pair.first.send("from the child")
          _exit(0)
        }
        var status: CInt = 0
        unsafe waitpid(child, &status, 0)
        // Killed by the trap, not by its own _exit.
        precondition(status & 0x7f != 0, "the child ended well: \(status)")
        // The parent's connection has not been touched.
        try pair.first.send("x")
        let heard = try pair.second.receive(upTo: 10)
        precondition(heard == Array("x".utf8))
        pair.first.close(.abort)
        pair.second.close(.abort)
      }
    }
    #expect(String(decoding: result.standardErrorContent, as: UTF8.self).contains("forked without exec"))
  }

  @Test("a process may fork before its first socket", .faults(12))
  func early() async {
    await #expect(processExitsWith: .success) {
      try synchronously {
        let child = peers_fork()
        var status: CInt = 0
        if child != 0 {
          unsafe waitpid(child, &status, 0)
          precondition(status == 0)
        }
        let pair = try Connection.pair()
        try pair.first.send("x")
        let heard = try pair.second.receive(upTo: 10)
        precondition(heard == Array("x".utf8))
        pair.first.close(.abort)
        pair.second.close(.abort)
        if child == 0 { _exit(0) }
      }
    }
  }

  @Test("closing one of two descriptors of a connection ends nothing; the last one's close does", .faults(10))
  func duplicates() throws {
    let pair = try Connection.pair()
    let copy = try pair.first.duplicate()
    #expect(copy.close().ending == .background)
    try pair.first.send("still here")
    #expect(try pair.second.receive(upTo: 100) == Array("still here".utf8))
    #expect(pair.first.close().ending == .acknowledged)
    #expect(try pair.second.receive(upTo: 100) == nil)
    pair.second.close()
  }
}
