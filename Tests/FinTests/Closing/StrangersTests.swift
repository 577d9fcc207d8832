import Fin
import Glibc
import Peers
import TestTraits
import Testing

/// Peers that are separate programs, and networks that fail.
@Suite("Promise 2: close always answers: programs and networks that fail", .onThreads)
struct StrangersTests {
  /// A program that accepts one client, prints its port, and obeys one-word commands: read, close, or nothing.
  private static let server = """
    import socket, sys
    s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(1)
    print(s.getsockname()[1], flush=True)
    c, _ = s.accept()
    for word in sys.stdin:
      if word == "close\\n": c.close()
      if word == "read\\n": c.recv(1 << 20)
      print("done", flush=True)
    """

  private func withServer<R>(_ body: (Child, consuming Connection) throws -> R) throws -> R {
    try withChild(Programs.find("python3") ?? "", ["-c", Self.server]) { child throws in
      let port = try #require(UInt16(try child.readLine() ?? ""))
      return try body(child, try Connection.connect(to: .loopback(port: port)))
    }
  }

  @Test(
    "a peer program closes with our bytes unread: all are acknowledged, then discarded", .faults(25),
    .needsProgram("python3"),
    arguments: ClosePolicy.brief)
  func closesUnread(_ policy: ClosePolicy) throws {
    try withServer { child, connection throws in
      try connection.send([UInt8](repeating: 1, count: 1000))
      try connection.awaitUnacknowledged(0)
      try child.write("close\n")
      try connection.awaitState(.closed)
      let report = connection.close(policy)
      #expect(report.ending == .discardedByPeer)
      #expect(report.bytesUnacknowledged == 0)
      #expect(!report.isDelivered)
    }
  }

  @Test(
    "a peer program is killed with our bytes unread, while we linger: discarded by the peer", .faults(25),
    .needsProgram("python3"))
  func killedUnread() throws {
    try withServer { child, connection throws in
      try connection.send([UInt8](repeating: 1, count: 1000))
      let connection = connection.share()
      let closing = onThread {
        connection.close(.lingering(within: .seconds(30), idle: .seconds(30), discarding: 1000))
      }
      try eventually("the phase", equals: .lingeringAcknowledged) { connection.phase }
      child.signal(SIGKILL)
      #expect(try closing.join().ending == .discardedByPeer)
    }
  }

  @Test("a peer program is killed after reading everything: the ending is peerFinished", .needsProgram("python3"))
  func killedHavingRead() throws {
    try withServer { child, connection throws in
      try connection.send([1, 2, 3])
      try child.write("read\n")
      #expect(try child.readLine() == "done")
      let connection = connection.share()
      let closing = onThread {
        connection.close(.lingering(within: .seconds(30), idle: .seconds(30), discarding: 1000))
      }
      try eventually("the phase", equals: .lingeringAcknowledged) { connection.phase }
      child.signal(SIGKILL)
      #expect(try closing.join().ending == .peerFinished)
    }
  }

  @Test(
    "the link goes down: the close times out in its phase, and the bytes are counted", .faults(24), .needsNamespaces)
  func linkDown() throws {
    let namespace = try NetworkNamespace()
    let pair = try namespace.run { () throws -> Loopback in try Loopback() }
    try namespace.linkDown("lo")
    try pair.ours.send([1, 2, 3, 4, 5])
    let report = pair.ours.close(.confirmed(within: .milliseconds(300)))
    #expect(report.ending == .timedOut(.confirming))
    #expect(report.bytesUnacknowledged == 5)
    #expect(report.duration >= .milliseconds(300) && report.duration < .milliseconds(300) + slack, "\(report)")
  }

  @Test("the link recovers in time: the close goes on waiting, and everything arrives", .needsNamespaces)
  func linkHeals() throws {
    let namespace = try NetworkNamespace()
    let pair = try namespace.run { () throws -> Loopback in try Loopback() }
    let stream = pair.ours
    let peer = pair.peer
    try namespace.linkDown("lo")
    try stream.send([1, 2, 3, 4, 5])
    let connection = stream.share()
    let closing = onThread { connection.close(.confirmed(within: .seconds(20))) }
    try eventually("the phase", equals: .confirming) { connection.phase }
    try namespace.linkUp("lo")
    #expect(try closing.join(within: .seconds(30)).ending == .acknowledged)
    #expect(try peer.receiveAll() == [1, 2, 3, 4, 5])
  }

  @Test(
    "the link goes down and the kernel gives up before the close: the report says so", .faults(24), .needsNamespaces)
  func kernelGivesUp() throws {
    let namespace = try NetworkNamespace()
    let pair = try namespace.run { () throws -> Loopback in
      try Loopback(timeouts: Timeouts(send: .milliseconds(500)))
    }
    try namespace.linkDown("lo")
    try pair.ours.send([1, 2, 3, 4, 5])
    try pair.ours.awaitState(.closed)
    let report = pair.ours.close()
    #expect(report.ending == .timedOut(.failed))
    #expect(report.bytesUnacknowledged == 5)
  }

  @Test("a stopped peer program does not extend a close beyond its timeout", .needsProgram("python3"))
  func stopped() throws {
    try withServer { child, connection throws in
      child.stop()
      defer { child.resume() }
      let chunk = [UInt8](repeating: 1, count: 1 << 20)
      // Sends until both sides' buffers are full.
      while cause({ () throws(SocketError) in try connection.send(chunk, within: .milliseconds(200)) }) == nil {}
      let unacknowledged = try connection.bytesUnacknowledged()
      let report = connection.close(.confirmed(within: .milliseconds(300)))
      #expect(report.ending == .timedOut(.confirming))
      #expect(report.bytesUnacknowledged > 0 && report.bytesUnacknowledged <= unacknowledged)
      #expect(report.bytesNeverSent > 0 && report.bytesNeverSent <= report.bytesUnacknowledged)
      #expect(report.duration < .milliseconds(300) + slack)
    }
  }
}
