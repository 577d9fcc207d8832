import Glibc
import Peers
import Synchronization
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite("Queued writers: each step takes constant time, and the queue has a limit", .onThreads)
struct WritersQueue {
  private static let count = 20_000

  private func queue(_ gate: SharedGate) throws -> [WriterQueue.Turn] {
    try (0..<WritersQueue.count).map { _ in try gate.queue() }
  }

  /// The order in which the writers give up.
  enum Order: String, CaseIterable, Sendable {
    case firstFirst, lastFirst, middleOut

    func apply<Element>(_ elements: [Element]) -> [Element] {
      switch self {
      case .firstFirst: elements
      case .lastFirst: elements.reversed()
      // Alternates between the two halves, from the middle outwards: neither end of the queue is near.
      case .middleOut:
        zip(elements[..<(elements.count / 2)].reversed(), elements[(elements.count / 2)...]).flatMap { [$0, $1] }
      }
    }
  }

  @Test(
    "20,000 writers that queue and give up visit 40,000 entries of the queue, in whatever order",
    arguments: Order.allCases)
  func givingUp(_ order: Order) throws {
    let gate = SharedGate()
    try gate.enterWriting()
    let turns = try queue(gate)
    #expect(gate.snapshot.queuedWriters == WritersQueue.count)
    for turn in order.apply(turns) { #expect(throws: Gate.EntryError.timedOut) { try gate.leaveQueue(turn) } }
    #expect(gate.queueSteps == 2 * WritersQueue.count)
    #expect(gate.snapshot == .init(hasWriter: true, references: 1))
    #expect(!gate.leave(.writing))
  }

  @Test("20,000 writers that enter one after the other visit 40,000 entries of the queue, in order of arrival")
  func handingOver() throws {
    let gate = SharedGate()
    try gate.enterWriting()
    let turns = try queue(gate)
    for turn in turns {
      #expect(!gate.leave(.writing))
      // The writer that was granted its turn enters; its successor waits.
      try gate.leaveQueue(turn)
    }
    #expect(gate.queueSteps == 2 * WritersQueue.count)
    #expect(!gate.leave(.writing))
    #expect(gate.snapshot == .init())
  }

  @Test("a close refuses 20,000 queued writers at once")
  func refused() throws {
    let gate = SharedGate()
    try gate.enterWriting()
    let turns = try queue(gate)
    #expect(gate.beginClosing())
    for turn in turns { #expect(throws: Gate.EntryError.closed) { try gate.leaveQueue(turn) } }
    #expect(!gate.leave(.writing))
    #expect(gate.leave(.using))
  }

  @Test("writers that queue, give up and enter at random: those that stay enter in order of arrival", arguments: 1...8)
  func model(seed: Int) throws {
    var dice = Dice(seed: UInt64(seed))
    let gate = SharedGate()
    try gate.enterWriting()
    var waiting: [WriterQueue.Turn] = []
    for _ in 0..<2000 {
      switch Int.random(in: 0..<5, using: &dice) {
      case 0, 1, 2: waiting.append(try gate.queue())
      case 3:
        guard !waiting.isEmpty else { continue }
        let turn = waiting.remove(at: Int.random(in: 0..<waiting.count, using: &dice))
        #expect(throws: Gate.EntryError.timedOut) { try gate.leaveQueue(turn) }
      default:
        guard !waiting.isEmpty else { continue }
        #expect(!gate.leave(.writing))
        let first = waiting.removeFirst()
        #expect(first.state == .granted)
        try gate.leaveQueue(first)
      }
      #expect(gate.snapshot.queuedWriters == waiting.count)
    }
    #expect(gate.beginClosing())
    #expect(waiting.allSatisfy { $0.state == .refused })
  }

  @Test("65,536 writers may queue at one socket; one more gets .tooManyOperations, in a thread and in a task")
  func limit() throws {
    let (ours, theirs) = try Medium.pair.open()
    let core = ours.reference.core
    let isInside = try core.gate.enterWriting()
    try #require(isInside)
    let parker = Parker()
    let turns = try (0..<65_536).map { _ in try #require(try core.gate.queue(waking: parker)) }
    let refused = #expect(throws: SocketError.self) { try ours.send("x", within: .seconds(20)) }
    #expect(refused?.cause == .tooManyOperations)
    #expect(try errand { try await ours.send("x", within: .seconds(20)) }.refusal().cause == .tooManyOperations)
    // A writer that gives up makes room for another.
    #expect(throws: Gate.EntryError.timedOut) { try core.gate.leaveQueue(turns[7]) }
    let late = #expect(throws: SocketError.self) { try ours.send("x", within: .zero) }
    #expect(late?.cause == .timedOut)
    for turn in turns where turn !== turns[7] { try? core.gate.leaveQueue(turn) }
    core.leave(.writing)
    try ours.send("y")
    #expect(try theirs.receive(upTo: 9) == Array("y".utf8))
    ours.abort()
    theirs.abort()
  }

  @Test("20,000 queued tasks are cancelled, and none has sent anything")
  func cancelled() throws {
    let (ours, theirs) = try Medium.pair.open()
    let full = try ours.fill()
    let first = onThread { try ours.send([7]) }
    try eventually("a writer that waits") { ours.gate.hasWriter }
    let reactor = try Reactor(loops: 2)
    let counted = Counted()
    let group = Working(on: reactor.executor) {
      await withDiscardingTaskGroup { group in
        for _ in 0..<WritersQueue.count {
          group.addTask {
            do { try await ours.send([1]) } catch let error as SocketError {
              if error.cause == .cancelled, error.bytesAccepted == 0 { counted.add() }
            } catch {}
          }
        }
      }
    }
    try eventually(within: .seconds(60), "queued writers", equals: WritersQueue.count) { ours.gate.queuedWriters }
    group.cancel()
    try group.join(within: .seconds(60))
    #expect(counted.value == WritersQueue.count)
    #expect(ours.gate.queuedWriters == 0)
    _ = try theirs.receive(exactly: full)
    try first.join()
    #expect(try theirs.receive(upTo: 9) == [7])
    ours.abort()
    theirs.abort()
    reactor.stop()
  }
}

private final class Counted: Sendable {
  private let count = Atomic<Int>(0)
  var value: Int { count.load(ordering: .sequentiallyConsistent) }
  func add() { count.wrappingAdd(1, ordering: .sequentiallyConsistent) }
}
