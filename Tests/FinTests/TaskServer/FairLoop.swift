import Glibc
import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@testable import Fin

/// Fairness on one event loop, measured in a unit that is independent of the machine's load: the number of operations
/// that the greedy tasks performed between an event and its delivery, not milliseconds. Everything is counted on the
/// loop's own thread.
@Suite("Promise 5: no task keeps an event loop to itself", .onThreads)
struct FairLoop {
  /// Tasks that never leave their loop voluntarily.
  enum Greed: String, CaseIterable, Sendable {
    /// Each has a peer that sends endlessly, and receives byte by byte.
    case receiving
    /// Each never waits, and yields after every step.
    case yielding

    /// The number of steps that three greedy tasks may take in one turn of the loop: one job each, with its share of
    /// operations, or all jobs of the turn.
    var perTurn: Int { self == .receiving ? 3 * EventLoop.operationsAJob : EventLoop.jobsATurn }
  }

  @Test(
    "beside tasks that never wait, a byte between two others is delivered within sixteen turns of the loop",
    arguments: Greed.allCases)
  func echo(_ greed: Greed) throws {
    try beside(greed) { greedy in
      let pair = try Connection.pair()
      let (near, far) = (pair.first.share(), pair.second.share())
      let echo = Task(executorPreference: greedy.loop) {
        while let byte = try await far.receive(upTo: 1) {
          greedy.heard()
          greedy.mark()
          try await far.send(byte)
        }
      }
      for _ in 0..<300 {
        greedy.mark()
        try await near.send([7])
        let byte = try await near.receive(upTo: 1)
        #expect(byte == [7])
        greedy.heard()
      }
      await near.close()
      try await echo.value
      await far.close()
      #expect(greedy.worst <= 16 * greed.perTurn, "\(greedy.worst)")
    }
  }

  @Test(
    "beside tasks that never wait, a deadline of 20 ms is kept to within sixteen turns of the loop",
    arguments: Greed.allCases)
  func timer(_ greed: Greed) throws {
    try beside(greed) { greedy in
      let pair = try Connection.pair()
      let (near, far) = (pair.first.share(), pair.second.share())
      for _ in 0..<10 {
        greedy.markAfter(.milliseconds(20))
        let heard = await cause { () async throws(SocketError) in
          _ = try await near.receive(upTo: 1, within: .milliseconds(20))
        }
        #expect(heard == .timedOut)
        greedy.heard()
      }
      #expect(greedy.worst <= 16 * greed.perTurn, "\(greedy.worst)")
      await near.abort()
      await far.abort()
    }
  }

  @Test(
    "beside tasks that never wait, a client is accepted and its handler runs within three turns of the loop",
    arguments: Greed.allCases)
  func accept(_ greed: Greed) throws {
    try beside(greed) { greedy in
      // A Unix socket, because its client is queued when `connect` returns, independent of the kernel's network
      // threads.
      let listener = Keeper(try Listener.bind(try .unix("@fin fair \(getpid()) \(greed)")))
      let server = Task(executorPreference: greedy.loop) {
        await listener.listener.serve(on: greedy.reactor) { connection in
          greedy.heard()
          try await echoInTask(connection)
        }
      }
      for _ in 0..<50 {
        greedy.mark()
        let client = try await Connection.connect(to: listener.listener.localAddress)
        try await client.send("x\n")
        let line = try await client.receiveLine()
        #expect(line == "x")
        await client.close()
      }
      listener.listener.stop()
      let report = await server.value
      #expect(report.served == 50, "\(report)")
      #expect(greedy.worst <= 3 * greed.perTurn, "\(greedy.worst)")
    }
  }

  @Test(
    "a receive that never has to wait, because its peer sends too fast, is cancelled within two turns"
  )
  func longOperation() throws {
    try beside(.receiving) { greedy in
      let flood = try Flood()
      let connection = flood.connection
      let script = Script()
      let task = Task(executorPreference: greedy.loop) {
        await Seam.$script.withValue(script) {
          await cause { () async throws(SocketError) in _ = try await connection.receive(until: 0, limit: 1 << 28) }
        }
      }
      // Other tasks run during the receive.
      while script.count(.recv) < 200 { await Task.yield() }
      greedy.mark()
      task.cancel()
      let heard = await task.value
      #expect(heard == .cancelled)
      greedy.heard()
      #expect(greedy.worst <= 2 * Greed.receiving.perTurn, "\(greedy.worst)")
      await flood.end()
    }
  }

  /// Runs `body` on a loop that it shares with three greedy tasks only.
  private func beside(_ greed: Greed, _ body: @escaping @Sendable (Greedy) async throws -> Void) throws {
    let greedy = try Greedy()
    let floods = try (0..<3).map { _ in try Flood() }
    let tasks = floods.map { flood in
      Working(on: greedy.loop) {
        switch greed {
        case .receiving: while try await flood.connection.receive(upTo: 1) != nil { greedy.step() }
        case .yielding:
          while !greedy.isOver.isSet {
            greedy.step()
            await Task.yield()
          }
        }
      }
    }
    let test = Working(on: greedy.loop) {
      defer { greedy.isOver.set() }
      // All of them have begun.
      while greedy.steps < 1000 { await Task.yield() }
      try await body(greedy)
      for flood in floods { await flood.end() }
    }
    try test.join(within: .seconds(60))
    for task in tasks { _ = try? task.join() }
    #expect(greedy.steps > 1000)
  }
}

/// The steps of the greedy tasks of one loop.
private final class Greedy: Sendable {
  private struct State {
    var steps = 0
    var mark: Int?
    /// The time between the next step and the event.
    var delay: Duration?
    var markAt: Fin.Deadline?
    var worst = 0
  }

  let reactor: Reactor
  let loop: EventLoop
  let isOver = Flag()
  private let state = Mutex(State())

  init() throws {
    reactor = try Reactor(loops: 1)
    loop = reactor.next()
  }

  var steps: Int { state.withLock { $0.steps } }

  func step() {
    state.withLock { state in
      if let delay = state.delay {
        state.markAt = Fin.Deadline(after: delay)
        state.delay = nil
      } else if let time = state.markAt, time.hasPassed {
        // This step had begun by then.
        state.mark = state.steps + 1
        state.markAt = nil
      }
      state.steps += 1
    }
  }

  /// Records that the event happens now.
  func mark() { state.withLock { $0.mark = $0.steps } }

  /// Records that the event will happen this long after an operation that is about to begin.
  ///
  /// Nothing else runs on the loop until that operation waits. So the operation has begun by the next step, however
  /// long other threads had the processor in between.
  func markAfter(_ delay: Duration) {
    state.withLock {
      $0.mark = nil
      $0.markAt = nil
      $0.delay = delay
    }
  }

  /// Records that the event has been delivered.
  func heard() { state.withLock { $0.worst = max($0.worst, $0.steps - ($0.mark ?? $0.steps)) } }

  /// The largest number of steps between an event and its delivery.
  var worst: Int { state.withLock { $0.worst } }
}

/// A connection whose peer, a thread, sends as fast as it can until the connection ends.
final class Flood: Sendable {
  let connection: SharedConnection
  private let thread: Joining<Void>

  init() throws {
    let listener = try PlainSocket.listening()
    connection = try Connection.connect(to: .loopback(port: listener.port)).share()
    thread = onThread(taking: try listener.accept()) { peer in
      let block = [UInt8](repeating: 7, count: 1 << 18)
      while (try? peer.send(block)) != nil {}
    }
  }

  func end() async { await connection.abort() }
}
