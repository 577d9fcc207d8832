import FinBase
import Glibc
import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

/// Calls every verb once, in the calling task. The waits are real, because the peer answers only then.
func everyVerb(_ isHere: @Sendable () -> Bool) async throws {
  let keeper = try openListener()
  let address = keeper.listener.localAddress
  let peer = errand { () async throws -> CloseReport in
    let connection = try await keeper.listener.accept()
    while let line = try await connection.receiveLine() {
      try await connection.send(line == "much" ? String(repeating: "m", count: 1 << 20) : "\(line)!\n")
    }
    return await connection.close(.lingering)
  }
  let connection = try await Connection.connect(to: address)
  #expect(isHere())
  try await connection.send("one\n")
  #expect(try await connection.receiveLine() == "one!")
  #expect(isHere())
  try await connection.send(gathering: [Array("two".utf8), [0x0A]])
  #expect(try await connection.peek(upTo: 1) == Array("t".utf8))
  #expect(isHere())
  #expect(try await connection.receive(until: 0x0A) == Array("two!".utf8))
  try await connection.send("much\n".utf8)
  #expect(try await connection.receive(exactly: 1 << 20)?.count == 1 << 20)
  #expect(isHere())
  let error = await #expect(throws: SocketError.self) {
    try await connection.receive(upTo: 1, within: .milliseconds(5))
  }
  #expect(error?.cause == .timedOut && isHere())
  let finished = connection.finishSending()
  #expect(try await finished.receive(upTo: 1) == nil)
  #expect(isHere())
  let report = await finished.close()
  #expect(report.isDelivered && isHere())
  #expect(try await peer.value.isDelivered)

  let client = try await withConnection(to: Endpoint(host: "localhost", port: address.port ?? 0)) { connection in
    let served = try await keeper.listener.accept(within: .seconds(10))
    #expect(isHere())
    return await served.close(.background).ending
  }
  #expect(client.result == .background && isHere())
  await #expect(throws: SocketError.self) {
    _ = try await keeper.listener.accept(within: .milliseconds(1))
  }
  #expect(isHere())
  let datagrams = try DatagramSocket.pair()
  await #expect(throws: SocketError.self) { try await datagrams.first.receive(within: .milliseconds(1)) }
  try await datagrams.second.send("x")
  #expect(try await datagrams.first.receive().bytes == Array("x".utf8))
  #expect(isHere())
  datagrams.first.close()
  datagrams.second.close()
  keeper.end()
}

/// A serial executor of one thread.
final class OwnSerialThread: SerialExecutor, Sendable {
  private let jobs = Mutex<[UnownedJob]>([])
  private let parker = Parker()
  let number = Mutex<pthread_t?>(nil)

  init() {
    let code = DetachedThread.start { [self] in
      number.withLock { $0 = pthread_self() }
      while true {
        guard let next = jobs.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) else {
          _ = parker.park()
          continue
        }
        unsafe next.runSynchronously(on: asUnownedSerialExecutor())
      }
    }
    precondition(code == 0, "no thread for an executor")
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    jobs.withLock { $0.append(job) }
    parker.wake()
  }

  var isCurrent: Bool { number.withLock { $0 == pthread_self() } }

  func checkIsolated() { precondition(isCurrent, "not on the executor's thread") }
}

private actor Own {
  private static let executor = OwnSerialThread()
  nonisolated var unownedExecutor: UnownedSerialExecutor { unsafe Own.executor.asUnownedSerialExecutor() }
  var count = 0

  func verbs() async throws {
    try await everyVerb { Own.executor.isCurrent }
    // Accesses the actor's state after a wait, without another hop.
    count += 1
    #expect(Own.executor.isCurrent && count == 1)
  }
}

private actor Plainly {
  func verbs() async throws {
    try await everyVerb {
      Plainly.shared.assertIsolated()
      return EventLoop.current == nil
    }
  }
  static let shared = Plainly()
}

@MainActor
private func mainVerbs() async throws {
  try await everyVerb {
    MainActor.assertIsolated()
    return EventLoop.current == nil
  }
  MainActor.assertIsolated()
}

private enum Traced {
  @TaskLocal static var name = "unset"
}

@Suite("Tasks on any executor: every verb works, and a task resumes where it waited", .onThreads)
struct Executors {
  @Test("every verb works on a loop, and resumes in the loop's own thread")
  func loop() throws {
    try inTask { try await everyVerb { EventLoop.current != nil } }
  }

  @Test("every verb works on a task executor that is no reactor's")
  func taskExecutor() throws {
    try inTask(on: .elsewhere) { try await everyVerb { EventLoop.current == nil } }
  }

  // In separate processes: here Swift's pool is full of blocking tests, and each hop would wait for all of them.

  @Test("every verb works in an actor, and in one with an executor of its own")
  func actors() async {
    await #expect(processExitsWith: .success) {
      try await Plainly.shared.verbs()
      try await Own().verbs()
    }
  }

  @Test("every verb works on the main actor")
  func main() async {
    await #expect(processExitsWith: .success) {
      try await mainVerbs()
    }
  }

  @Test("every verb works in Swift's own pool")
  func pool() async {
    await #expect(processExitsWith: .success) {
      try await Task.detached { try await everyVerb { EventLoop.current == nil } }.value
    }
  }

  @Test("a child task and a task group keep the task-local values of the waiting task")
  func values() throws {
    let (ours, theirs) = try Medium.pair.open()
    let seen = Traced.$name.withValue("traced") {
      errand { () async throws -> [String] in
        let before = Traced.name
        async let line = ours.receiveLine()
        try await theirs.send("x\n")
        _ = try await line
        let both = try await withThrowingTaskGroup(of: String.self) { group in
          group.addTask {
            _ = try await ours.receiveLine()
            return Traced.name
          }
          group.addTask {
            try await theirs.send("y\n")
            return Traced.name
          }
          return try await group.reduce(into: []) { $0.append($1) }
        }
        return [before, Traced.name] + both
      }
    }
    #expect(try seen.join() == Array(repeating: "traced", count: 4))

    let listener = try PlainSocket.listening()
    let endpoint = Endpoint(.loopback(port: listener.port))
    let halves = Traced.$name.withValue("a half") {
      errand {
        try await withConnection(to: endpoint, closing: .background) { connection in
          try await connection.duplex { _ in
            "\(Traced.name) \(Task.currentPriority)"
          } send: { sender in
            try await sender.send("x")
            return "\(Traced.name) \(Task.currentPriority)"
          }
        }.result
      }
    }
    let both = try halves.join()
    #expect(both.received.hasPrefix("a half ") && both.received == both.sent)
    ours.abort()
    theirs.abort()
  }

  @Test("a task keeps its priority after its waits")
  func priority() async {
    await #expect(processExitsWith: .success) {
      for priority in [TaskPriority.high, .medium, .background] {
        let (ours, theirs) = try Medium.pair.open()
        let task = Task.detached(priority: priority) { () async throws -> [TaskPriority?] in
          let before = Task.basePriority
          _ = try await ours.receive(upTo: 1)
          return [before, Task.basePriority]
        }
        while ours.reference.core.lazyRegistration.load()?.waiterCount != 1 { await Task.yield() }
        try await theirs.send("x")
        let seen = try await task.value
        precondition(seen == [priority, priority], "\(seen)")
        await ours.abort()
        await theirs.abort()
      }
    }
  }

  @Test("a socket first waited for on one loop can be used from another loop, and from none")
  func moved() throws {
    let (ours, theirs) = try Medium.tcp.open()
    for round in 0..<12 {
      let receiving = errand(on: round % 3 == 2 ? .elsewhere : .loop) { try await ours.receive(upTo: 9) }
      try ours.awaitParked()
      try theirs.send([UInt8(round)])
      #expect(try receiving.join() == [UInt8(round)])
    }
    ours.abort()
    theirs.abort()
  }
}
