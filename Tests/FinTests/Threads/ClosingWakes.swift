import Glibc
import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 4: closing wakes everyone", .onThreads)
struct ClosingWakes {
  @Test(
    "a waiting receive wakes with .closed, and close returns when it has left", .faults(1),
    arguments: Medium.allCases, ClosePolicy.all)
  func receive(_ medium: Medium, _ policy: ClosePolicy) throws {
    let ledger = Ledger()
    try Ledger.$current.withValue(ledger) {
      let (ours, theirs) = try medium.open()
      let reader = try waiting { try ours.receive(upTo: 100) }
      #expect(ours.gate.hasReader)
      // The peer closes as well, so that no policy has to wait for it.
      let peer = onThread { try theirs.receive(upTo: 1) == nil }
      ours.close(policy)
      #expect(ours.gate == .init(isClosing: true))
      let error = #expect(throws: SocketError.self) { try reader.join() }
      #expect(error?.cause == .closed && error?.operation == .receive)
      // On TCP the peer reads an abort as a reset, and every other close as EOF.
      if policy == .abort, medium == .tcp {
        #expect(throws: SocketError.self) { try peer.join() }
      } else {
        #expect(try peer.join())
      }
      theirs.close(.abort)
    }
    #expect(ledger.counts.open == 0 && ledger.counts.leaked == 0)
  }

  @Test(
    "a send that waits for room wakes with .closed and reports the bytes accepted: exactly those arrive",
    .faults(2), arguments: Medium.allCases)
  func send(_ medium: Medium) throws {
    let (ours, theirs) = try medium.open()
    let bytes = Pattern.bytes(from: 0, count: 64 << 20)
    let writer = try waiting { try ours.send(bytes) }
    let closer = onThread { ours.close(.confirmed(within: .seconds(20))) }
    try eventually("closing") { ours.gate.isClosing }
    // The peer begins to read only now.
    let arrived = try theirs.receiveAll()
    let error = #expect(throws: SocketError.self) { try writer.join() }
    #expect(error?.cause == .closed && error?.operation == .send)
    let accepted = error?.bytesAccepted ?? 0
    #expect(accepted > 0 && accepted < bytes.count)
    #expect(arrived == Array(bytes[..<accepted]))
    theirs.close()
    let report = try closer.join(within: .seconds(20))
    #expect(report.isDelivered && report.bytesUnacknowledged == 0, "\(report)")
  }

  @Test(
    "a send that waits for room wakes at an abort too, and the report counts the bytes that did not arrive",
    .faults(2, 45))
  func abortedSend() throws {
    let (ours, theirs) = try Medium.tcp.open()
    let bytes = Pattern.bytes(from: 0, count: 64 << 20)
    let writer = try waiting { try ours.send(bytes) }
    let report = ours.abort()
    let error = #expect(throws: SocketError.self) { try writer.join() }
    #expect(error?.cause == .closed)
    #expect(report.ending == .aborted && !report.isDelivered)
    #expect(report.bytesUnacknowledged > 0 && report.bytesUnacknowledged <= error?.bytesAccepted ?? 0, "\(report)")
    // Bytes that the peer's kernel had acknowledged stay readable; the reset follows them.
    var arrived = 0
    let reset = #expect(throws: SocketError.self) {
      while let more = try theirs.receive(upTo: 1 << 18) { arrived += more.count }
    }
    #expect(reset?.cause == .reset)
    #expect(arrived + report.bytesUnacknowledged >= error?.bytesAccepted ?? 0)
    theirs.close()
  }

  @Test("queued writers wake with .closed; none of their bytes were accepted", .faults(2))
  func queuedSends() throws {
    let (ours, theirs) = try Medium.pair.open()
    try ours.fill()
    let first = try waiting { try ours.send("first") }
    let queued = (0..<3).map { _ in onThread { try ours.send("queued") } }
    try eventually("queued writers", equals: 3) { ours.gate.queuedWriters }
    ours.abort()
    for writer in [first] + queued {
      let error = #expect(throws: SocketError.self) { try writer.join() }
      #expect(error?.cause == .closed && error?.bytesAccepted == 0)
    }
    theirs.close(.abort)
  }

  @Test(
    "every waiting accept wakes with .closed when another thread stops the listener, and the port is free",
    .faults(3))
  func accept() throws {
    let owner = Keeper(try Listener.bind(.loopback(port: 0)))
    let address = owner.listener.localAddress
    let threads = try (0..<3).map { _ in
      try waiting { () throws -> Bool in
        owner.listener.timeouts.accept == .never ? try owner.listener.accept().phase == .connected : false
      }
    }
    owner.listener.stop()
    for thread in threads {
      let error = #expect(throws: SocketError.self) { try thread.join() }
      #expect(error?.cause == .closed && error?.operation == .accept)
    }
    #expect(owner.listener.phase == .closed)
    #expect(try KernelView.tcp(localPort: address.port).allSatisfy { $0.state != .listen })
    // Without SO_REUSEPORT only a free port can be listened on.
    try Listener.bind(address).close()
  }

  @Test("a connect whose SYN gets no answer wakes with .closed, and no SYN-SENT is left", .faults(4), .needsTUN)
  func connect() throws {
    try withRawPeer(.neverAnswersSYN) { peer in
      let ours = try peer.namespace.run { try SharedConnection(unconnected: .ipv4) }
      let target = try SocketAddress(ip: RawPeer.peerAddress, port: 7)
      let attempt = try waiting { try ours.connect(to: target) }
      try peer.awaitLog("a SYN") { $0.count(.syn) > 0 }
      #expect(try peer.namespace.run { try KernelView.tcp().map(\.state) } == [.synSent])
      #expect(ours.phase == .connecting)
      let report = ours.close()
      #expect(report.ending == .aborted && !report.isDelivered)
      let error = #expect(throws: SocketError.self) { try attempt.join() }
      #expect(error?.cause == .closed && error?.operation == .connect)
      #expect(try peer.namespace.run { try KernelView.tcp() }.isEmpty)
    }
  }

  @Test("a connect that waits for room in a full queue wakes with .closed, and no SYN-SENT is left", .faults(4, 38))
  func connectToFullQueue() throws {
    // A queue of one: once it is overfull, Linux drops every new SYN.
    let listener = try PlainSocket.listening(backlog: 0)
    let target = SocketAddress.loopback(port: listener.port)
    let first = try Connection.connect(to: target)
    try eventually("queued clients", equals: 1) { try listeningQueue(target.port!) }
    let ours = try SharedConnection(unconnected: .ipv4)
    let attempt = try waiting { try ours.connect(to: target) }
    let local = try #require(ours.localAddress?.port)
    // Filtered by both ports: the same local port may be in use for other destinations.
    #expect(try KernelView.tcp(localPort: local, remotePort: target.port).map(\.state) == [.synSent])
    ours.close()
    let error = #expect(throws: SocketError.self) { try attempt.join() }
    #expect(error?.cause == .closed)
    // Not at once: a program that another test is starting holds a copy of every descriptor until its exec.
    try eventually("no SYN is left") { try KernelView.tcp(localPort: local, remotePort: target.port).isEmpty }
    first.abort()
  }

  @Test("a second connect on the same socket is refused, and leaves the first one's attempt alone")
  func secondConnect() throws {
    let listener = try PlainSocket.listening(backlog: 0)
    let target = SocketAddress.loopback(port: listener.port)
    let first = try Connection.connect(to: target)
    try eventually("queued clients", equals: 1) { try listeningQueue(target.port!) }
    let ours = try SharedConnection(unconnected: .ipv4)
    let attempt = try waiting { try ours.connect(to: target) }
    let error = #expect(throws: SocketError.self) { try ours.connect(to: target) }
    guard case .invalid? = error?.cause else { throw RigError("\(String(describing: error))") }
    #expect(ours.phase == .connecting)
    // The queue has room again, and the retransmitted SYN finds it.
    let accepted = try listener.accept()
    try attempt.join(within: .seconds(20))
    #expect(ours.phase == .connected)
    ours.abort()
    accepted.close()
    first.abort()
  }

  @Test(
    "a close that begins after the kernel returned the bytes does not take them from the receive", .faults(62),
    arguments: Medium.allCases)
  func bytesInHand(_ medium: Medium) throws {
    let (ours, theirs) = try medium.open()
    try theirs.send([1, 2, 3])
    let closer = Kept<Joining<CloseReport>>()
    let script = Script(
      .first(
        .recv,
        .after {
          closer.value = onThread { ours.abort() }
          try? eventually("closing") { ours.gate.isClosing }
        }))
    #expect(try Seam.$script.withValue(script) { try ours.receive(exactly: 3) } == [1, 2, 3])
    #expect(try #require(closer.value).join().ending == .aborted)
    theirs.abort()
  }

  @Test("a close that begins after the kernel accepted the bytes does not make the send fail", .faults(62))
  func bytesAccepted() throws {
    let (ours, theirs) = try Medium.tcp.open()
    let closer = Kept<Joining<CloseReport>>()
    let script = Script(
      .first(
        .send,
        .after {
          closer.value = onThread { ours.close() }
          try? eventually("closing") { ours.gate.isClosing }
        }))
    try Seam.$script.withValue(script) { try ours.send([1, 2, 3]) }
    #expect(try theirs.receiveAll() == [1, 2, 3])
    theirs.close()
    #expect(try #require(closer.value).join().isDelivered)
  }

  @Test("a stop that begins after the kernel returned a client loses no client", .faults(62))
  func clientInHand() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let handle = listener.handle
    let client = try Connection.connect(to: listener.localAddress)
    let script = Script(.first(.accept, .after { handle.stop() }))
    var served: Connection?
    try Seam.$script.withValue(script) { served = try listener.accept() }
    try client.send("x")
    #expect(try served?.receive(upTo: 1) == Array("x".utf8))
    served.take()?.close(.abort)
    client.close(.abort)
    listener.close()
  }
}

/// A listener that several threads use.
final class Keeper: Sendable {
  let listener: Listener
  init(_ listener: consuming Listener) { self.listener = listener }
}

/// A value that one thread stores for another.
final class Kept<Value: Sendable>: Sendable {
  private let state = Mutex<Value?>(nil)
  var value: Value? {
    get { state.withLock { $0 } }
    set { state.withLock { $0 = newValue } }
  }
}

/// The number of clients in the accept queue, as the kernel counts them.
func listeningQueue(_ port: UInt16) throws -> Int {
  try KernelView.tcp(localPort: port).first { $0.state == .listen }?.receiveQueue ?? -1
}

extension SocketAddress {
  init(ip: String, port: UInt16) throws {
    self = .ip(.v4(try IPv4Address(parsing: ip)), port: port)
  }
}
