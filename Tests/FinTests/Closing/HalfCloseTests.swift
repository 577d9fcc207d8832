import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Half-close: one direction ends, the other goes on", .onThreads)
struct HalfCloseTests {
  @Test(
    "we finish first: the peer reads our bytes and EOF, and its answer still arrives",
    arguments: ["127.0.0.1", "::1"])
  func weFinish(host: String) throws {
    let pair = try Loopback(host)
    let stream = pair.ours
    let peer = pair.peer
    try stream.send([1, 2, 3])
    let ours = stream.finishSending()
    #expect(ours.phase == .sendFinished)
    #expect(try peer.receiveAll() == [1, 2, 3])
    try ours.awaitState(.finWait2)
    try peer.send([4, 5])
    #expect(try ours.receive(exactly: 2) == [4, 5])
    try peer.finishSending()
    #expect(try ours.receive(upTo: 1) == nil)
    #expect(ours.phase == .bothFinished)
    let report = ours.close()
    #expect(report.ending == .peerFinished && report.isDelivered)
  }

  @Test("the peer finishes first: we read EOF and may still send", .faults(18), arguments: ["127.0.0.1", "::1"])
  func peerFinishes(host: String) throws {
    let pair = try Loopback(host)
    let stream = pair.ours
    let peer = pair.peer
    try peer.send([1])
    try peer.finishSending()
    #expect(try stream.receive(exactly: 1) == [1])
    #expect(try stream.receive(upTo: 1) == nil)
    #expect(stream.phase == .peerFinished)
    #expect(try stream.tcpState() == .closeWait)
    try stream.send([2, 3])
    let ours = stream.finishSending()
    #expect(ours.phase == .bothFinished)
    #expect(try peer.receiveAll() == [2, 3])
    for _ in 0..<2 { #expect(try ours.receive(upTo: 1) == nil) }
    #expect(ours.close().ending == .peerFinished)
  }

  @Test("finishing twice sends one FIN", .faults(18), .needsTUN)
  func twice() throws {
    try withRawPeer(.neverFinishes) { peer in
      let owner = try connection(to: peer)
      let other = try owner.duplicate().share()
      let connection = owner.share()
      try connection.finishSending()
      try connection.finishSending()
      try other.finishSending()
      try connection.awaitState(.finWait2)
      #expect(connection.phase == .sendFinished)
      #expect(peer.log.count(.fin) == 1, "\(peer.log)")
      #expect(other.close().ending == .shared)
      #expect(connection.close().ending == .acknowledged)
      #expect(peer.log.count(.fin) == 1, "\(peer.log)")
    }
  }

  @Test("finishing before the connect is refused, and the socket can still connect and send", .faults(18))
  func unconnected() throws {
    let listener = try PlainSocket.listening()
    let connection = try SharedConnection(unconnected: .ipv4)
    for _ in 0..<2 {
      #expect(cause { () throws(SocketError) in try connection.finishSending() } == .system(.socketNotConnected))
    }
    try connection.connect(to: .loopback(port: listener.port))
    let accepted = try listener.accept()
    try connection.send([1])
    try connection.finishSending()
    #expect(try accepted.receiveAll() == [1])
    connection.close()
  }

  @Test("finishing after a close throws .closed")
  func closed() throws {
    let pair = try Connection.pair()
    let ours = pair.first.share()
    ours.close(.background)
    #expect(cause { () throws(SocketError) in try ours.finishSending() } == .closed)
    pair.second.close()
  }

  @Test("sending after finishing is an error that says so, and never SIGPIPE", .faults(19))
  func sendAfterFinishing() async {
    // A separate process, which SIGPIPE would end.
    await #expect(processExitsWith: .success) {
      try synchronously {
        func check(_ ours: SharedConnection) throws {
          try ours.finishSending()
          for _ in 0..<3 {
            let spoken = cause { () throws(SocketError) in try ours.send([1]) }
            precondition(spoken == .finished, "\(String(describing: spoken))")
            let gathered = cause { () throws(SocketError) in try ours.send(gathering: [[1], [2]]) }
            precondition(gathered == .finished, "\(String(describing: gathered))")
          }
          // The other direction still works.
          let received = try ours.receive(exactly: 1, within: .seconds(10))
          precondition(received == [7])
          ours.abort()
        }
        let unix = try Connection.pair()
        try unix.second.send([7])
        try check(unix.first.share())
        unix.second.close(.background)
        let tcp = try Loopback()
        try tcp.peer.send([7])
        try check(tcp.ours.share())

        // A peer that has closed causes no signal either.
        let gone = try Loopback()
        let peer = gone.peer
        let left = gone.ours
        peer.close()
        try left.awaitState(.closeWait)
        while cause({ () throws(SocketError) in try left.send([1]) }) == nil {}
        left.close()
      }
    }
  }
}
