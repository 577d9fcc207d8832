import CPeers
import Glibc
import Peers
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite("A fork shares descriptors: a child cannot use them through Fin, and cannot harm its parent", .onThreads)
struct Forking {
  @Test("a child forked without exec traps at its first operation, with the reason", .faults(12))
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
        // The trap killed it, not its own _exit.
        precondition(status & 0x7f != 0, "the child ended well: \(status)")
        // The parent's connection is unaffected.
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

  @Test(
    "a child that only drops inherited sockets: the parent still gets their events, and its paths stay")
  func childDrops() async throws {
    let result = try await #require(processExitsWith: .success, observing: [\.standardErrorContent]) {
      try synchronously { try dropInChild() }
    }
    // The child reports no leak: the sockets belong to its parent.
    #expect(!String(decoding: result.standardErrorContent, as: UTF8.self).contains("leaked"))
  }

  @Test("closing one of two descriptors does not end the connection; closing the last one does", .faults(10))
  func duplicates() throws {
    let pair = try Connection.pair()
    let copy = try pair.first.duplicate()
    #expect(copy.close().ending == .shared)
    try pair.first.send("still here")
    #expect(try pair.second.receive(upTo: 100) == Array("still here".utf8))
    #expect(pair.first.close().ending == .acknowledged)
    #expect(try pair.second.receive(upTo: 100) == nil)
    pair.second.close()
  }
}

private func dropInChild() throws {
  let folder = try TemporaryFolder()
  let pair = try Loopback()
  let peer = pair.peer
  var ours: SharedConnection? = pair.ours.share()
  var listener: Listener? = try Listener.bind(.unix("\(folder.path)/s"))
  let number = ours!.reference.core.number
  // An event loop watches the socket. The epoll watch belongs to the open file description, which both processes share.
  _ = try ours!.reference.core.registration(.suspending)
  let child = peers_fork()
  if child == 0 {
    ours = nil
    listener = nil
    // The child's descriptor is closed, and nothing else happened.
    _exit(fcntl(number, F_GETFD) == -1 ? 0 : 1)
  }
  var status: CInt = 0
  unsafe waitpid(child, &status, 0)
  check(status == 0, "the child ended with \(status)")
  let connection = ours!
  let receiving = errand { try await connection.receive(upTo: 1, within: .seconds(10)) }
  try connection.awaitParked()
  try peer.send([7])
  let bytes = try receiving.join()
  check(bytes == [7], "\(String(describing: bytes))")
  check(folder.entries == ["s"], "\(folder.entries)")
  connection.abort()
  listener!.close()
}
