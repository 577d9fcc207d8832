import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 3: a connection that the kernel gave up is a lasting error, and no end of file", .onThreads)
struct LostTests {
  /// Expects the same error from every call, and the same ending in the report.
  private func expectLost(_ code: Errno, _ connection: consuming Connection, _ ending: Ending) throws {
    for _ in 0..<2 {
      #expect(cause { () throws(SocketError) in _ = try connection.receive(upTo: 1) } == .lost(code))
      #expect(cause { () throws(SocketError) in try connection.send([1]) } == .lost(code))
      #expect(try connection.failure() == .lost(code))
    }
    let report = connection.close()
    #expect(report.ending == ending, "\(report)")
  }

  @Test("a peer that vanishes from an idle connection: keepalive detects it", .faults(24), .needsTUN)
  func keepAlive() throws {
    try withRawPeer { peer in
      let probes = KeepAlive(idle: .seconds(1), interval: .seconds(1), count: 1)
      let connection = try connection(to: peer, timeouts: Timeouts(send: .never, keepAlive: probes))
      try peer.send([1, 2])
      try connection.awaitReceived(2)
      peer.vanish()
      #expect(try connection.receive(exactly: 2) == [1, 2])
      try expectLost(.timedOut, connection, .timedOut(.failed))
    }
  }

  @Test("with a send timeout, that much silence and one probe are enough, however many probes are allowed", .needsTUN)
  func keepAliveWithUserTimeout() throws {
    try withRawPeer { peer in
      let probes = KeepAlive(idle: .seconds(1), interval: .seconds(1), count: 100)
      let connection = try connection(to: peer, timeouts: Timeouts(send: .seconds(2), keepAlive: probes))
      peer.vanish()
      #expect(
        cause { () throws(SocketError) in _ = try connection.receive(upTo: 1, within: .seconds(20)) }
          == .lost(.timedOut))
      try expectLost(.timedOut, connection, .timedOut(.failed))
    }
  }

  @Test(
    "bytes that stay unacknowledged for the send timeout: the connection is lost, and they are counted",
    .faults(24), .needsTUN, arguments: [Behaviour.neverAcknowledges, .zeroWindowForEver])
  func userTimeout(_ behaviour: Behaviour) throws {
    try withRawPeer(behaviour) { peer in
      let connection = try connection(to: peer, timeouts: Timeouts(send: .milliseconds(600)))
      try connection.send([1, 2, 3, 4, 5])
      #expect(cause { () throws(SocketError) in _ = try connection.receive(upTo: 1) } == .lost(.timedOut))
      try connection.awaitUnacknowledged(5)
      try expectLost(.timedOut, connection, .timedOut(.failed))
    }
  }

  @Test("the kernel gives up in the middle of a close: the ending is a timeout in that phase", .faults(24), .needsTUN)
  func duringClose() throws {
    try withRawPeer(.neverAcknowledges) { peer in
      let connection = try connection(to: peer, timeouts: Timeouts(send: .milliseconds(600)))
      try connection.send([1, 2, 3, 4, 5])
      let report = connection.close(.confirmed(within: .seconds(60)))
      #expect(report.ending == .timedOut(.confirming))
      #expect(report.bytesUnacknowledged == 5)
      #expect(report.duration < .seconds(20))
    }
  }

  /// Whether this kernel lets an administrator end a connection. Tried once, in a namespace of its own.
  static let canDestroy: Bool = {
    guard Privileges.canMakeNamespaces, let namespace = try? NetworkNamespace(),
      let pair = try? namespace.run({ () throws -> Loopback in try Loopback() })
    else { return false }
    let answer = try? destroy(pair.ours.port, in: namespace)
    let isGone = (try? pair.ours.tcpState()) == .closed
    pair.ours.abort()
    return answer != nil && isGone
  }()

  private static func destroy(_ port: UInt16, in namespace: NetworkNamespace) throws -> String {
    guard let ss = Programs.find("ss") else { throw RigError("no ss") }
    return try namespace.run {
      try withChild(ss, ["-K", "-tn", "sport", "=", ":\(port)"]) { child in try child.readToEnd() }
    }
  }

  @Test(
    "a connection that an administrator ends: queued data is read first, then it is lost", .faults(66),
    .enabled(if: canDestroy, "needs root, ss, and a kernel with INET_DIAG_DESTROY"))
  func destroyed() throws {
    let namespace = try NetworkNamespace()
    let pair = try namespace.run { () throws -> Loopback in try Loopback() }
    let stream = pair.ours
    let peer = pair.peer
    try peer.send([1, 2])
    try stream.awaitReceived(2)
    _ = try Self.destroy(stream.port, in: namespace)
    try stream.awaitState(.closed)
    #expect(try stream.receive(exactly: 2) == [1, 2])
    try expectLost(.connectionAbort, stream, .aborted)
    #expect(throws: RigError("recv", code: ECONNRESET)) { try peer.receive() }
  }

  @Test(
    "a waiting receive throws .lost when an administrator ends the connection", .faults(66),
    .enabled(if: canDestroy, "needs root, ss, and a kernel with INET_DIAG_DESTROY"))
  func destroyedWhileWaiting() throws {
    let namespace = try NetworkNamespace()
    let pair = try namespace.run { () throws -> Loopback in try Loopback() }
    let ours = pair.ours.share()
    let waiting = try waitingReceiver(ours, 1)
    _ = try Self.destroy(ours.port, in: namespace)
    #expect(try waiting.join() == .lost(.connectionAbort))
    ours.close()
  }
}
