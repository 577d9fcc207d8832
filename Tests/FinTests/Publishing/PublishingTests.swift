import CPeers
import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite("Publishing a ledger: when it starts, its waits and declared intents, and forked children", .onThreads)
struct PublishingTests {
  // MARK: Starting to publish

  @Test(
    "publishing without a free descriptor, memory or address space throws, says what to do, and changes nothing",
    arguments: [
      (SystemCall.memfdCreate, Errno.tooManyOpenFiles, "ulimit -n"), (.memfdCreate, .noFunction, "Linux 3.17"),
      (.fallocate, .noSpace, "ENOSPC"), (.mmap, .noMemory, "ulimit -v"),
    ])
  func failing(call: SystemCall, code: Errno, hint: String) throws {
    let ledger = Ledger()
    Seam.$script.withValue(Script(.first(call, .fail(code)))) {
      let error = #expect(throws: SocketError.self) { try ledger.publish() }
      #expect(error?.operation == .publish && error?.cause == .system(code))
      let said = error.map { "\($0)" } ?? ""
      #expect(said.contains(hint) && said.hasPrefix("publish the ledger: "), "\(said)")
      #expect(!ledger.isPublished)
      // The script fails only the first call.
      #expect(throws: Never.self) { try ledger.publish() }
    }
    #expect(ledger.isPublished)
  }

  @Test("FIN_LEDGER=1, and no other value, publishes the process's ledger from its first use on")
  func environment() async {
    await #expect(processExitsWith: .success) {
      unsafe setenv("FIN_LEDGER", "1", 1)
      precondition(Ledger.current.isPublished && !Ledger().isPublished)
    }
    await #expect(processExitsWith: .success) {
      unsafe setenv("FIN_LEDGER", "0", 1)
      precondition(!Ledger.current.isPublished)
    }
    await #expect(processExitsWith: .success) {
      unsafe unsetenv("FIN_LEDGER")
      precondition(!Ledger.current.isPublished)
    }
  }

  @Test("FIN_LEDGER=1 where publishing fails: said once on standard error, and the program goes on")
  func environmentWithout() async throws {
    let result = try await #require(processExitsWith: .success, observing: [\.standardErrorContent]) {
      unsafe setenv("FIN_LEDGER", "1", 1)
      try Seam.$script.withValue(Script(.every(.memfdCreate, .fail(.tooManyOpenFiles)))) {
        try synchronously {
          for _ in 0..<2 {
            let pair = try Connection.pair()
            pair.first.close(.abort)
            pair.second.close(.abort)
          }
          precondition(!Ledger.current.isPublished)
        }
      }
    }
    let said = String(decoding: result.standardErrorContent, as: UTF8.self)
    #expect(said.split(separator: "\n").count { $0.hasPrefix("fin: publish the ledger: ") } == 1, "\(said)")
  }

  @Test("FIN_LEDGER with an unknown value is reported on standard error")
  func environmentOdd() async throws {
    let result = try await #require(processExitsWith: .success, observing: [\.standardErrorContent]) {
      unsafe setenv("FIN_LEDGER", "yes", 1)
      precondition(!Ledger.current.isPublished)
    }
    let said = String(decoding: result.standardErrorContent, as: UTF8.self)
    #expect(said.contains("fin: FIN_LEDGER has an unknown value"), "\(said)")
  }

  // MARK: Waits

  private func withPair(
    _ body: (LedgerReader, SharedConnection, SharedConnection) throws -> Void
  ) throws {
    let ledger = Ledger()
    try ledger.publish()
    let reader = try #require(LedgerReader(ledger))
    try Ledger.$current.withValue(ledger) {
      let pair = try Connection.pair()
      let (first, second) = (pair.first.share(), pair.second.share())
      defer { for end in [first, second] { end.abort() } }
      try body(reader, first, second)
    }
  }

  private func isNear(_ deadline: UInt64, _ left: Duration) -> Bool {
    let expected = Deadline(after: left).nanoseconds
    return abs(Int64(clamping: deadline) - expected) < 20_000_000_000
  }

  @Test("a wait in a thread publishes its deadline while it lasts; all ones for a wait without a limit")
  func inThread() throws {
    try withPair { reader, first, second in
      let number = first.reference.core.number
      #expect(reader[number]?.input == 0)
      let waiting = onThread { try first.receive(upTo: 1, within: .seconds(100)) }
      try eventually(within: .seconds(20), "the wait is published") { isWaiting(reader[number]?.input) }
      #expect(reader[number].map { isNear($0.input, .seconds(100)) && $0.output == 0 } == true)
      try second.send("x")
      _ = try waiting.join()
      #expect(reader[number]?.input == 0)

      var patient = first
      patient.timeouts.receive = .never
      let endless = patient
      let forever = onThread { try endless.receive(upTo: 1) }
      try eventually("the wait is published") { reader[number]?.input == .max }
      try second.send("x")
      _ = try forever.join()
      #expect(reader[number]?.input == 0)
    }
  }

  @Test("a send in a thread without room is published as a wait for output")
  func sending() throws {
    try withPair { reader, first, second in
      let number = first.reference.core.number
      let sending = onThread { try first.send([UInt8](repeating: 1, count: 4 << 20), within: .seconds(100)) }
      try eventually(within: .seconds(20), "the wait is published") { isWaiting(reader[number]?.output) }
      #expect(reader[number].map { isNear($0.output, .seconds(100)) && $0.input == 0 } == true)
      second.abort()
      #expect(throws: SocketError.self) { try sending.join() }
      #expect(reader[number]?.output == 0)
    }
  }

  @Test("a wait in a task publishes its deadline too, and a cancelled wait is removed")
  func inTask() throws {
    // Not Swift's pool, which has one thread per processor and a queue of all running tests.
    let executor = try Reactor.shared.executor
    try withPair { reader, first, second in
      let number = first.reference.core.number
      let waiting = Working(on: executor) { try await first.receive(upTo: 1, within: .seconds(100)) }
      try eventually(within: .seconds(20), "the wait is published") { isWaiting(reader[number]?.input) }
      #expect(reader[number].map { isNear($0.input, .seconds(100)) } == true)
      try second.send("x")
      _ = try waiting.join()
      #expect(reader[number]?.input == 0)

      let cancelled = Working(on: executor) { try await first.receive(upTo: 1, within: .seconds(100)) }
      try eventually(within: .seconds(20), "the wait is published") { isWaiting(reader[number]?.input) }
      cancelled.cancel()
      #expect(throws: SocketError.self) { try cancelled.join() }
      #expect(reader[number]?.input == 0)

      // A close that waits for its peer publishes its deadline.
      try first.send("unread")
      let closing = Working(on: executor) { await first.close(.confirmed(within: .seconds(100))) }
      try eventually(within: .seconds(20), "the wait is published") { isWaiting(reader[number]?.input) }
      #expect(reader[number].map { isNear($0.input, .seconds(100)) && $0.phase?.isClosing == true } == true)
      second.abort()
      try closing.join()
      #expect(reader.records.isEmpty)
    }
  }

  /// Whether this published deadline, of a socket that has a record, belongs to a wait. A socket without a record
  /// publishes no wait.
  private func isWaiting(_ deadline: UInt64?) -> Bool { deadline ?? 0 != 0 }

  // MARK: Declared intents

  @Test("a declared intent is published with its expiry until it is replaced, withdrawn or expired")
  func purposes() throws {
    try withPair { reader, first, _ in
      let number = first.reference.core.number
      first.declare([.pooled, .idle], for: .seconds(50))
      #expect(reader[number].map { $0.intent == 12 && isNear($0.intentEnds, .seconds(50)) } == true)
      first.declare(.halfClosed, for: .seconds(90))
      #expect(reader[number].map { $0.intent == 1 && isNear($0.intentEnds, .seconds(90)) } == true)
      #expect(reader[number]?.phase == .connected)
      first.declare([], for: .seconds(90))
      #expect(reader[number]?.intent == 0)
      first.declare(.readPaused, for: .zero)
      #expect(first.reference.core.ledger.openSockets().allSatisfy { $0.intent == [] })
      first.abort()
      first.declare(.idle, for: .seconds(1))
      #expect(reader[number] == nil)
      #expect("\([.halfClosed, .pooled] as SocketIntent)" == "half closed, pooled")
    }
  }

  // MARK: Child processes

  @Test(
    "a process that publishes and forks before its first socket: parent and child each publish their own ledger",
  )
  func fork() async {
    await #expect(processExitsWith: .success) {
      try synchronously {
        try Ledger.current.publish()
        let own = LedgerReader(Ledger.current)!
        let child = peers_fork()
        let pair = try Connection.pair()
        let mine = LedgerReader(Ledger.current)!
        precondition(mine.records.count == 2 && mine.half(20) == UInt32(getpid()))
        if child == 0 {
          precondition(own.number != mine.number || mine.half(20) == UInt32(getpid()))
          _exit(0)
        }
        var status: CInt = 0
        unsafe waitpid(child, &status, 0)
        precondition(status == 0, "the child ended with \(status)")
        precondition(own.number == mine.number && mine.records.count == 2)
        pair.first.close(.abort)
        pair.second.close(.abort)
      }
    }
  }

  @Test("a child of a process with sockets writes nothing into its parent's ledger")
  func forkWithSockets() async {
    await #expect(processExitsWith: .success) {
      try synchronously {
        try Ledger.current.publish()
        let reader = LedgerReader(Ledger.current)!
        let pair = try Connection.pair()
        let before = reader.records
        let child = peers_fork()
        if child == 0 {
          // A state change, as any code of the program may still cause in the child.
          _ = pair.first.reference.core.advance(.finishSending)
          precondition(Ledger.current.published == nil)
          _exit(0)
        }
        var status: CInt = 0
        unsafe waitpid(child, &status, 0)
        precondition(status == 0, "the child ended with \(status)")
        precondition(reader.records == before && reader.records.allSatisfy { $0.phase == .connected })
        pair.first.close(.abort)
        pair.second.close(.abort)
      }
    }
  }
}
