import Glibc
import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite("Tasks: one registration for each descriptor, released with it", .onThreads)
struct RegistrationLife {
  @Test("tasks that wait for a socket for the first time at the same moment share its registration")
  func atOnce() throws {
    // On threads of their own: on one loop the tasks would take turns.
    let pairs = try (0..<400).map { _ in try Medium.pair.open() }
    let ready = Tally()
    let refusals = Tally()
    let threads = (0..<4).map { _ in
      onThread {
        for (number, pair) in pairs.enumerated() {
          // All threads start on each pair together.
          ready.add()
          while ready.value < (number + 1) * 4 { sched_yield() }
          do { _ = try pair.0.reference.core.registration(.suspending) } catch { refusals.add() }
        }
      }
    }
    for thread in threads { try thread.join(within: .seconds(30)) }
    #expect(refusals.value == 0)
    for (ours, theirs) in pairs {
      #expect(ours.gate.parked == 1, "a close wakes each waiter once")
      // This registration is the one that is woken.
      let receiving = errand { try await ours.receive(upTo: 1) }
      try ours.awaitParked()
      try theirs.send([1])
      #expect(try receiving.join() == [1])
      ours.abort()
      theirs.abort()
    }
  }

  @Test("a connection that has waited in a task and is detached can be adopted and waited for again")
  func detached() throws {
    let reactor = try Reactor(loops: 1)
    defer { reactor.stop() }
    let pair = try Connection.pair()
    let number = try onLoop(of: reactor, pair.first.detaching()) { connection in
      let error = await #expect(throws: SocketError.self) {
        try await connection.receive(upTo: 1, within: .milliseconds(1))
      }
      #expect(error?.cause == .timedOut)
      return try connection.detach().descriptor
    }
    // On the same loop: had the old watch remained, the kernel would refuse a second one for this descriptor.
    let again = try Connection.adopt(number).share()
    let receiving = try onLoop(of: reactor) { try await again.receive(upTo: 1) }
    try again.awaitParked()
    try pair.second.send([7])
    #expect(try receiving.join() == [7])
    again.abort()
    pair.second.abort()
  }

  @Test("two descriptors of one connection have a registration each; closing one leaves the other's waits alone")
  func duplicated() throws {
    let pair = try StreamKind.ipv4.connected()
    let second = try pair.first.duplicate().share()
    let ours = pair.first.share()
    let other = errand { try await second.receive(upTo: 1) }
    try second.awaitParked()
    let first = errand { try await ours.receive(upTo: 1) }
    try ours.awaitParked()
    first.cancel()
    #expect(try first.refusal().cause == .cancelled)
    try pair.second.send([1])
    #expect(try other.join() == [1])
    let again = errand { try await ours.receive(upTo: 1) }
    try ours.awaitParked()
    _ = try inTask { await second.close(.background) }
    try pair.second.send([2])
    #expect(try again.join() == [2])
    ours.abort()
    pair.second.abort()
  }

  @Test(
    "a connection dropped open after it waited in a task is closed and reported, and its slot is free",
    .faults(14))
  func leaked() async throws {
    // A separate process, in which no other test opens descriptors.
    await #expect(processExitsWith: .success) {
      Ledger.current.leakPolicy = .quiet
      let reactor = try Reactor(loops: 1)
      let keeper = try openListener()
      let client = try await Connection.connect(to: keeper.listener.localAddress)
      func sockets() throws -> [OpenDescriptor] { try KernelView.openDescriptors().filter { $0.socketInode != nil } }
      let before = try sockets()
      try await Task(executorPreference: reactor.executor) {
        let accepted = try await keeper.listener.accept()
        let error = await #expect(throws: SocketError.self) {
          try await accepted.receive(upTo: 1, within: .milliseconds(1))
        }
        precondition(error?.cause == .timedOut)
      }.value
      let after = try sockets()
      precondition(before == after, "\(before) became \(after)")
      precondition(Ledger.current.counts.leaked == 1)
      // With nothing unread, the close ends it like the end of a program: with a FIN.
      let end = try await client.receive(upTo: 1)
      precondition(end == nil)
      await client.close()
      keeper.end()
      reactor.stop()
    }
  }

  @Test("slots are reused: a thousand connections one after another take two slots")
  func slots() throws {
    let reactor = try Reactor(loops: 1)
    defer { reactor.stop() }
    let highest = try onLoop(of: reactor) { () async throws -> UInt32 in
      var highest: UInt32 = 0
      var waited = 0
      for _ in 0..<1000 {
        let pair = try Connection.pair()
        let ours = pair.first.share()
        async let byte = ours.receive(upTo: 1)
        // The receiving task runs first, and suspends.
        await Task.yield()
        try await pair.second.send([1])
        _ = try await byte
        if let registration = ours.reference.core.lazyRegistration.load() {
          highest = max(highest, registration.token.slot)
          waited += 1
        }
        await ours.abort()
        _ = pair.second.abort()
      }
      #expect(waited == 1000)
      return highest
    }.join()
    #expect(highest <= 1)
  }
}

extension Connection {
  /// Wraps the connection for a task, which cannot capture a noncopyable owner.
  consuming func detaching() -> Shelf { Shelf(self) }
}

/// A connection that is being moved into a task.
final class Shelf: Sendable {
  private let connection: Mutex<Connection?>
  init(_ connection: consuming Connection) { self.connection = Mutex(connection) }
  func take() -> Connection { connection.withLock { $0.take()! } }
}

/// Runs `body` on the reactor's loop.
func onLoop<Value: Sendable>(
  of reactor: Reactor, file: String = #fileID, line: Int = #line,
  _ body: @escaping @Sendable () async throws -> Value
) throws -> TestTask<Value> {
  errand(on: reactor.executor, file: file, line: line, body)
}

/// Runs `body` on the reactor's loop with a connection, and waits for it.
func onLoop<Value: Sendable>(
  of reactor: Reactor, _ shelf: Shelf, _ body: @escaping @Sendable (consuming Connection) async throws -> Value
) throws -> Value {
  try onLoop(of: reactor) { try await body(shelf.take()) }.join()
}
