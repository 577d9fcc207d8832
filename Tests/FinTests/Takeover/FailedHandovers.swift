import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Handover: a successor that fails leaves the predecessor serving", .onThreads)
struct FailedHandovers {
  @Test(
    "a successor killed after each of its steps: no client notices, and the next successor takes over",
    arguments: ServingWorld.allCases)
  func killed(_ world: ServingWorld) throws {
    let folder = try TemporaryFolder()
    let path = try SocketAddress.unix("\(folder.path)/x.handover")
    let old = try Predecessor(try Listener.bind(.loopback(port: 0)), at: path, in: world)
    let visitors = Visitors(8, old.address)
    let steps = ["connect", "hello", "offer", "serving", "yours"]
    for step in steps {
      let child = try Child.spawn(try SuccessionProgram.path(), ["die", "\(folder.path)/x", step])
      #expect(try child.wait() == .signalled(SIGKILL), "\(step)")
      try visitors.awaitMore(20)
      #expect(!old.server.isFinished())
    }
    let (keeper, end) = try #require(try takeOver(from: path, in: world))
    #expect(end == .detached)
    let new = Served(keeper, in: world, on: try Reactor.shared, named: "new ")
    let (handover, report) = try old.ended()
    #expect(handover.attemptsFailed == steps.count && report.clientsReset == 0 && report.abortedAtStop == 0)
    try visitors.awaitMore(20)
    #expect(try visitors.end() == [])
    keeper.listener.stop(within: .seconds(10))
    _ = try new.join(.seconds(20))
  }

  @Test("another version, on either side, and messages of no handover are refused; the predecessor goes on")
  func versions() throws {
    let path = try SocketAddress.unix("@fin.versions.\(getpid())")
    let old = try Predecessor(try Listener.bind(.loopback(port: 0)), at: path, in: .threads)
    for (hello, reason) in [
      ("fin-handover 2\nhello", "version 2 of the handover, and this one 1"),
      ("fin-handover 1\nserving", "sent serving where hello is due"), ("GET / HTTP/1.1", "no message of a handover"),
      ("", "no message of a handover"),
    ] {
      let successor = try PacketConnection.connect(to: path, within: .seconds(10))
      try successor.send(Array(hello.utf8))
      guard let answer = try successor.receive(within: .seconds(20)) else { throw RigError("no answer") }
      let text = String(decoding: answer.bytes, as: UTF8.self)
      #expect(text.hasPrefix("fin-handover 1\nrefused\n") && text.contains(reason), "\(text)")
      successor.abort()
    }
    #expect(try askOnce(old.address) == "old x")
    old.handover.withdraw()
    old.handle.stop(within: .zero)
    _ = try old.server.join(.seconds(20))
  }

  @Test(
    "a successor meets a predecessor of another version, or one that offers nonsense", arguments: ServingWorld.allCases)
  func strangePredecessors(_ world: ServingWorld) throws {
    for (offer, reason) in [
      ("fin-handover 9\noffer\nweb\t0\t0", "version 9"), ("fin-handover 1\noffer\nweb\t0\t0", "1 sockets are offered"),
      ("fin-handover 1\noffer\nweb", "no message"), ("fin-handover 1\nrefused\nnot you", "refused: not you"),
    ] {
      let path = try SocketAddress.unix("@fin.strange.\(getpid()).\(world).\(reason.utf8.count)")
      let listener = try PacketListener.bind(path)
      let answering = onThread(taking: listener) { listener in
        let successor = try listener.accept(within: .seconds(20))
        let hello = try successor.receive(within: .seconds(20))?.bytes
        try successor.send(Array(offer.utf8))
        let isEnd = try successor.receive(within: .seconds(20)) == nil
        successor.abort()
        return hello == HandoverMessage.hello.bytes && isEnd
      }
      let error = try socketError { _ = try takeOver(from: path, in: world) }
      guard case .invalid(let text) = error.cause else { throw RigError("\(error)") }
      #expect(text.contains(reason), "\(text)")
      #expect(try answering.join(within: .seconds(20)))
    }
  }

  @Test("a successor that never answers is given up after its time; it learns why, and the predecessor goes on")
  func patience() throws {
    let path = try SocketAddress.unix("@fin.patience.\(getpid())")
    let old = try Predecessor(
      try Listener.bind(.loopback(port: 0)), at: path, in: .threads, patience: .milliseconds(100))
    guard var takeover = try Handover.take(from: path) else { throw RigError("no predecessor") }
    guard let listener = try takeover.takeListener(named: "web") else { throw RigError("not offered") }
    // The next successor is served only when the first has been given up.
    let second = try PacketConnection.connect(to: path, within: .seconds(10))
    try second.send(HandoverMessage.hello.bytes)
    guard let offer = try second.receive(descriptors: 253, within: .seconds(20)) else { throw RigError("no offer") }
    #expect(String(decoding: offer.bytes, as: UTF8.self).hasPrefix("fin-handover 1\noffer\n"))
    second.abort()
    do {
      try takeover.finish(within: .seconds(10))
      throw RigError("the predecessor did not refuse")
    } catch let error as SocketError { #expect(error.cause == .invalid("refused: timed out"), "\(error)") }
    listener.close()
    #expect(try askOnce(old.address) == "old x")
    old.handover.withdraw()
    old.handle.stop(within: .zero)
    _ = try old.server.join(.seconds(20))
  }

  @Test("a listener that is offered and not taken: the takeover fails before the predecessor detaches")
  func notTaken() throws {
    let path = try SocketAddress.unix("@fin.untaken.\(getpid())")
    let old = try Predecessor(try Listener.bind(.loopback(port: 0)), at: path, in: .threads)
    guard let takeover = try Handover.take(from: path) else { throw RigError("no predecessor") }
    do {
      try takeover.finish()
      throw RigError("a listener was left without an owner")
    } catch let error as SocketError { #expect(error.cause == .invalid("offered and not taken: web")) }
    guard let given = try Handover.take(from: path) else { throw RigError("no predecessor") }
    given.abandon()
    #expect(try askOnce(old.address) == "old x")
    old.handover.withdraw()
    old.handle.stop(within: .zero)
    _ = try old.server.join(.seconds(20))
  }

  @Test("a predecessor that dies before it confirms: the successor is the only owner", arguments: ServingWorld.allCases)
  func predecessorDies(_ world: ServingWorld) throws {
    let folder = try TemporaryFolder()
    let child = try Child.spawn(try SuccessionProgram.path(), ["serve", "\(folder.path)/x", "threads", "old"])
    let line = try #require(try child.readLine())
    let port = try #require(line.split(separator: ":").dropFirst().first.flatMap { UInt16($0) })
    let (keeper, end) = try #require(
      try takeOver(from: .unix("\(folder.path)/x.handover"), in: world) {
        child.signal(SIGKILL)
        _ = try child.wait()
      })
    #expect(end == .gone)
    let new = Served(keeper, in: world, on: try Reactor.shared, named: "new ")
    #expect(try askOnce(.loopback(port: port)) == "new x")
    keeper.listener.stop(within: .seconds(10))
    _ = try new.join(.seconds(20))
  }

  @Test(
    "a successor of another user is refused; root would be served",
    .enabled(if: geteuid() == 0, "needs root"))
  func otherUser() async {
    await #expect(processExitsWith: .success) {
      try synchronously {
        // An abstract name has no permissions, so that only the check is left.
        let path = try SocketAddress.unix("@fin.user.\(getpid())")
        let old = try Predecessor(try Listener.bind(.loopback(port: 0)), at: path, in: .threads)
        _ = seteuid(65534)
        let successor = try PacketConnection.connect(to: path, within: .seconds(10))
        try successor.send(HandoverMessage.hello.bytes)
        _ = seteuid(0)
        guard let answer = try successor.receive(within: .seconds(20)) else { throw RigError("no answer") }
        let text = String(decoding: answer.bytes, as: UTF8.self)
        check(text.hasSuffix("refused\nuser 65534 may not take over from user 0"), text)
        successor.abort()
        let line = try askOnce(old.address)
        check(line == "old x", line)
        old.handover.withdraw()
        old.handle.stop(within: .zero)
        _ = try old.server.join(.seconds(20))
      }
    }
  }

  @Test("cancelling the task that waits for a successor: the offer stays, and a later wait hands over")
  func cancelled() throws {
    let path = try SocketAddress.unix("@fin.cancelled.\(getpid())")
    let listener = Keeper(try Listener.bind(.loopback(port: 0)))
    let handover = try Handover(offering: ["web": listener.listener.handle], at: path)
    let waiting = errand { try await handover.awaitSuccessor() }
    guard let first = try Handover.take(from: path) else { throw RigError("no predecessor") }
    waiting.cancel()
    #expect(try waiting.refusal().cause == .cancelled)
    first.abandon()
    let second = onThread { try handover.awaitSuccessor() }
    let (keeper, end) = try #require(try takeOver(from: path, in: .threads))
    #expect(end == .detached)
    #expect(try second.join(within: .seconds(20)).attemptsFailed == 0)
    keeper.end()
    listener.end()
  }

  @Test("a message is what it was, and no other bytes are one")
  func messages() throws {
    let files = [nil, HandoverMessage.FileNumbers(device: 7, inode: .max)]
    let offers = files.map { HandoverMessage.Offered(name: "a name: ü", file: $0) }
    for message in [HandoverMessage.hello, .serving, .yours, .taken, .refused("why not"), .offer([]), .offer(offers)] {
      #expect(try HandoverMessage(message.bytes) == message)
    }
    let whole = HandoverMessage.offer(offers).bytes
    for length in whole.indices {
      // A shorter message is refused, or offers less; it never names a listener of another kind.
      guard case .offer(let all)? = try? HandoverMessage(Array(whole.prefix(length))) else { continue }
      #expect(all.count <= offers.count && all.allSatisfy { $0.name == "a name: ü" })
    }
    for bytes in [
      [0xFF], Array("fin-handover 1".utf8), Array("fin-handover 1\n".utf8), Array("fin-handover  1\nhello".utf8),
    ] {
      #expect(throws: HandoverMessage.Refusal.malformed) { _ = try HandoverMessage(bytes) }
    }
  }
}
