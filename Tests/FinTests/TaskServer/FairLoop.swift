import Glibc
import Peers
import Synchronization
import SystemPackage
import Testing

@testable import Fin

/// On one loop, in a currency that no load of the machine changes: not milliseconds, but how much the greedy got done between
/// what happened and when it was heard. All of it is counted on the loop's own thread.
@Suite("Promise 5: nobody keeps a loop to itself")
struct FairLoop {
  /// Tasks that never leave their loop of their own accord.
  enum Greed: String, CaseIterable, Sendable {
    /// Each has a peer that sends without end, and receives for ever, byte by byte.
    case receiving
    /// Each waits for nothing, and lets others run after every step.
    case yielding

    /// What three of them may do in a turn: a job each with its share of operations, or all the jobs of the turn.
    var perTurn: Int { self == .receiving ? 3 * Loop.operationsAJob : Loop.jobsATurn }
  }

  @Test(
    "beside those who never wait, a byte between two others is heard within two turns of the loop",
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
    "beside those who never wait, a deadline of 20 ms is kept to sixteen turns of the loop", arguments: Greed.allCases)
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
    "beside those who never wait, a client is accepted, and its handler runs, within three turns of the loop",
    arguments: Greed.allCases)
  func accept(_ greed: Greed) throws {
    try beside(greed) { greedy in
      // A Unix socket: its client is in the queue when connect returns, whatever the network's own threads do.
      let listener = Keeper(try Listener.bind(try .unix("@fin fair \(getpid()) \(greed)")))
      let server = Task(executorPreference: greedy.loop) {
        await listener.listener.serve(on: greedy.reactor) { connection in
          greedy.heard()
          try await echoInTask(connection)
        }
      }
      for _ in 0..<50 {
        greedy.mark()
        let client = try await Connection.connect(to: listener.listener.address)
        try await client.send("x\n")
        let line = try await client.readLine()
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
    "one receive that never has to wait, because its peer sends faster than it can take, is cancelled within two turns all the same"
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
      // Others run while it does.
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

  /// Runs `body` on a loop that three greedy tasks have to themselves otherwise.
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
      // Begun, all of them.
      while greedy.steps < 1000 { await Task.yield() }
      try await body(greedy)
      for flood in floods { await flood.end() }
    }
    try test.join(within: .seconds(60))
    for task in tasks { _ = try? task.join() }
    #expect(greedy.steps > 1000)
  }
}

/// What the greedy tasks of a loop have done.
private final class Greedy: Sendable {
  private struct State {
    var steps = 0
    var mark: Int?
    /// How long after the next step something will happen.
    var delay: Duration?
    var markAt: Fin.Deadline?
    var worst = 0
  }

  let reactor: Reactor
  let loop: Loop
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

  /// Something happens now.
  func mark() { state.withLock { $0.mark = $0.steps } }

  /// Something will happen, so long after an operation that is about to begin.
  ///
  /// Nobody else runs on the loop until the operation waits: it has begun by the next step, however long the processor was
  /// lent to others in between.
  func markAfter(_ delay: Duration) {
    state.withLock {
      $0.mark = nil
      $0.markAt = nil
      $0.delay = delay
    }
  }

  /// It is heard now.
  func heard() { state.withLock { $0.worst = max($0.worst, $0.steps - ($0.mark ?? $0.steps)) } }

  /// The most they ever did between what happened and when it was heard.
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
