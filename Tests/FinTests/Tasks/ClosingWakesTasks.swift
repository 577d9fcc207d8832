import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

/// The kind of caller that closes.
enum Closer: String, CaseIterable, Sendable, CustomTestStringConvertible {
  case task, thread

  var testDescription: String { "a \(rawValue) closes" }

  func close(_ connection: SharedConnection, _ policy: ClosePolicy) throws -> CloseReport {
    switch self {
    case .task: try errand { await connection.close(policy) }.join()
    case .thread: try onThread { connection.close(policy) }.join()
    }
  }
}

extension TestTask {
  /// The cause of its failure, with the type of its value erased.
  fileprivate var erased: () throws -> SocketError.Cause { { try self.refusal().cause } }
}

@Suite("Promise 4: closing wakes everyone, in tasks and threads", .onThreads)
struct ClosingWakesTasks {
  @Test(
    "a close wakes the tasks and the threads that wait for the socket: each gets .closed", .faults(1, 2),
    arguments: Closer.allCases, ClosePolicy.all)
  func everybody(_ closer: Closer, _ policy: ClosePolicy) throws {
    let ledger = Ledger()
    try Ledger.$current.withValue(ledger) {
      let (ours, theirs) = try Medium.pair.open()
      let filled = try ours.fill()
      let receiving = errand { try await ours.receive(upTo: 1) }
      try ours.awaitParked(1)
      let sending = errand(on: .elsewhere) { try await ours.send("more") }
      try ours.awaitParked(2)
      let queuedTask = errand { try await ours.send("queued") }
      let queuedThread = onThread { try ours.send("queued") }
      let finishing = errand { try await ours.finishSending() }
      try eventually("queued writers", equals: 3) { ours.gate.queuedWriters }
      let closing = onThread { try closer.close(ours, policy) }
      try eventually("closing") { ours.gate.isClosing }
      // The peer reads and closes only now, so that no policy has to wait for it.
      let peer = onThread { () throws -> Int in
        defer { theirs.close(.background) }
        var count = 0
        while let some = try theirs.receive(upTo: 1 << 20) { count += some.count }
        return count
      }
      _ = try closing.join(within: .seconds(20))
      for errand in [receiving.erased, sending.erased, queuedTask.erased, finishing.erased] {
        #expect(try errand() == .closed)
      }
      let error = #expect(throws: SocketError.self) { try queuedThread.join() }
      #expect(error?.cause == .closed)
      let arrived = try? peer.join()
      #expect(policy == .abort || arrived ?? 0 >= filled)
      #expect(ours.gate == .init(isClosing: true))
      #expect(try errand { try await ours.receive(upTo: 1) }.refusal().cause == .closed)
    }
    #expect(ledger.counts.leaked == 0)
  }

  @Test(
    "a receive in a thread is woken by a close in a task, and one in a task by a close in a thread", .faults(1),
    arguments: Medium.allCases)
  func crossed(_ medium: Medium) throws {
    for closer in Closer.allCases {
      let (ours, theirs) = try medium.open()
      let peer = errand { try await theirs.receive(upTo: 1) }
      try theirs.awaitParked()
      if closer == .task {
        let reader = try waiting { try ours.receive(upTo: 100) }
        #expect(try closer.close(ours, .confirmed).ending == .acknowledged)
        let error = #expect(throws: SocketError.self) { try reader.join() }
        #expect(error?.cause == .closed)
      } else {
        let reader = errand { try await ours.receive(upTo: 100) }
        try ours.awaitParked()
        #expect(try closer.close(ours, .confirmed).ending == .acknowledged)
        #expect(try reader.refusal().cause == .closed)
      }
      #expect(try peer.join() == nil)
      theirs.abort()
    }
  }

  @Test("a stop wakes the waiting accepts in tasks and threads, and the port is free", .faults(3))
  func accept() throws {
    let keeper = try openListener()
    let address = keeper.listener.localAddress
    let tasks = Place.allCases.map { errand(on: $0) { try await keeper.listener.accept().share() } }
    try keeper.listener.awaitParked(2)
    let thread = try waiting { try keeper.listener.accept().phase }
    keeper.listener.stop()
    for task in tasks {
      let error = try task.refusal()
      #expect(error.cause == .closed && error.operation == .accept)
    }
    let error = #expect(throws: SocketError.self) { try thread.join() }
    #expect(error?.cause == .closed)
    #expect(keeper.listener.phase == .closed)
    try Listener.bind(address).close()
  }

  @Test("a pause ends the waiting accepts in tasks with .paused", .faults(3))
  func pause() throws {
    let keeper = try openListener()
    let waiting = errand { try await keeper.listener.accept().share() }
    try keeper.listener.awaitParked(1)
    try keeper.listener.pause(resettingQueue: true)
    #expect(try waiting.refusal().cause == .paused)
    try keeper.listener.resume()
    let again = errand { try await keeper.listener.accept().share() }
    let client = try Connection.connect(to: keeper.listener.localAddress)
    try again.join().abort()
    client.abort()
    keeper.end()
  }

  @Test(
    "a waiting connect in a task wakes with .closed, closed by task or thread, and no SYN-SENT is left", .faults(4),
    .needsTUN,
    arguments: Closer.allCases)
  func connect(_ closer: Closer) throws {
    try withRawPeer(.neverAnswersSYN) { peer in
      let ours = try peer.namespace.run { try SharedConnection(unconnected: .ipv4) }
      let target = try SocketAddress(ip: RawPeer.peerAddress, port: 7)
      let connecting = errand { try await ours.connect(to: target) }
      try ours.awaitParked()
      #expect(try closer.close(ours, .confirmed).ending == .aborted)
      let error = try connecting.refusal()
      #expect(error.cause == .closed && error.operation == .connect)
      #expect(try peer.namespace.run { try KernelView.tcp() }.isEmpty)
    }
  }

  @Test("a close in a task or a thread wakes a task that waits for a datagram", arguments: Closer.allCases)
  func datagrams(_ closer: Closer) throws {
    let ours = try DatagramSocket.bind(.loopback(port: 0)).share()
    let receiving = errand { try await ours.receive() }
    try ours.awaitParked()
    switch closer {
    case .task: try inTask { await ours.close() }
    case .thread: try onThread { ours.close() }.join()
    }
    #expect(try receiving.refusal().cause == .closed)
  }

  @Test("a second close, from a task or a thread, waits for the first and gets its report", .faults(5, 6), .needsTUN)
  func second() throws {
    try withRawPeer(.acknowledgesDataNeverFIN) { peer in
      let ours = try connection(to: peer).share()
      try ours.send([1, 2, 3])
      let first = errand { await ours.close(.confirmed(within: .milliseconds(300))) }
      try eventually("the phase", equals: .confirming) { ours.phase }
      let others = Place.allCases.map { errand(on: $0) { await ours.close(.lingering) } }
      let thread = onThread { ours.close(.background) }
      let report = try first.join()
      #expect(report.ending == .timedOut(.confirming))
      for other in others { #expect(try other.join() == report) }
      #expect(try thread.join() == report)
      #expect(try inTask { await ours.abort() } == report)
    }
  }

  @Test(
    "an abort, from a task or a thread, cuts short a close that is under way in a task", .faults(5, 27), .needsTUN,
    arguments: Closer.allCases)
  func cut(_ closer: Closer) throws {
    try withRawPeer(.neverAcknowledges) { peer in
      let ours = try connection(to: peer).share()
      try ours.send([1, 2, 3])
      let closing = errand { await ours.close(.confirmed(within: .seconds(60))) }
      try eventually("the phase", equals: .confirming) { ours.phase }
      let report = try closer.close(ours, .abort)
      #expect(report.ending == .aborted && report.bytesUnacknowledged == 3)
      #expect(try closing.join() == report)
      try peer.awaitLog("the reset") { $0.count(.rst) == 1 }
    }
  }

  @Test("an abort in a task cuts short a close that is under way in a thread", .faults(5, 27), .needsTUN)
  func cutThread() throws {
    try withRawPeer(.neverAcknowledges) { peer in
      let ours = try connection(to: peer).share()
      try ours.send([1, 2, 3])
      let closing = onThread { ours.close(.confirmed(within: .seconds(60))) }
      try eventually("the phase", equals: .confirming) { ours.phase }
      let report = try inTask { await ours.abort() }
      #expect(report.ending == .aborted)
      #expect(try closing.join() == report)
    }
  }
}
