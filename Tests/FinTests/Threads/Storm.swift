import Glibc
import Peers
import Synchronization
import TestTraits
import Testing

@testable import Fin

/// All operations concurrently, at random, and every byte accounted for.
///
/// `FIN_STORM_ROUNDS` sets the number of streams (10,000), `FIN_STORM_SEED` the random seed (1). `Tests/sanitized` runs
/// it under the thread sanitizer.
@Suite("Promise 1: closed once: a storm of random operations in threads")
struct Storm {
  @Test(
    "eight threads open, exchange and close at random: every byte arrives or is reported, and nothing is left",
    .onThreads,
    .faults(1, 2, 5, 6, 7, 8, 60))
  func storm() async {
    await #expect(processExitsWith: .success) {
      // In a network namespace of its own, where the machine allows one, so that the storm does not touch the machine's
      // own socket tables.
      let network = Privileges.canMakeNamespaces ? try NetworkNamespace() : nil
      if let network { try network.run { try Storm.blow() } } else { try Storm.blow() }
    }
  }

  static func blow(_ layer: StormLayer? = nil) throws {
    let rounds = layer.rounds
    let seed = UInt64(stormNumber("FIN_STORM_SEED", 1))
    // The watch that is kept for the next close is created with the first stream.
    let (first, second) = try Medium.tcp.open()
    first.abort()
    second.abort()
    let before = try stormCensus()
    let ledger = Ledger()
    let sky = Ledger.$current.withValue(ledger) { Sky(rounds: rounds, layer: layer) }
    let threads = (0..<8).map { index in
      onThread { try Ledger.$current.withValue(ledger) { try sky.run(seed &* 1000 &+ UInt64(index)) } }
    }
    for thread in threads { try thread.join(within: .seconds(600)) }
    let after = try stormCensus()
    check(before == after, "seed \(seed): \(before) became \(after)")
    check(ledger.counts.open == 0 && ledger.counts.leaked == 0, "seed \(seed): \(ledger.counts)")
    check(sky.streams.value == rounds, "\(sky.streams.value) streams")
    check(ledger.counts.opened >= 2 * rounds, "\(ledger.counts)")
    let summary = sky.summary
    for ending in layer.endings {
      check(summary.endings[ending, default: 0] > 0, "seed \(seed): no close was \(ending): \(summary)")
    }
    check(summary.whole > rounds / 10, "seed \(seed): too few streams were read to their end: \(summary)")
    check(summary.torn > 0, "seed \(seed): no stream was cut: \(summary)")
    print(summary)
  }
}

/// All streams, with the remaining steps, which threads draw at random.
private final class Sky: Sendable {
  private struct Step {
    enum Verb { case send(number: UInt64, length: Int), receive, receiveAll, look, close(ClosePolicy) }
    let stream: Stream
    let side: Int
    let verb: Verb
  }

  struct Summary: Sendable {
    var endings: [String: Int] = [:]
    /// Directions that were read to EOF.
    var whole = 0
    /// Directions that lost bytes, as reported.
    var torn = 0
    var bytes = 0
  }

  private let rounds: Int
  private let layer: StormLayer?
  private let steps = Mutex<[Step]>([])
  private let results = Mutex(Summary())
  let streams = Tally()
  private let opened = Atomic<Int>(0)

  init(rounds: Int, layer: StormLayer?) {
    self.rounds = rounds
    self.layer = layer
  }

  var summary: Summary { results.withLock { $0 } }

  /// Runs one thread's share: opens a stream while few steps are left, otherwise takes a step at random.
  func run(_ seed: UInt64) throws {
    var random = SeededRandom(seed: seed)
    let listener = try Listener.bind(.loopback(port: 0))
    while true {
      if steps.withLock({ $0.count < 60 }) {
        let number = opened.add(1, ordering: .relaxed).oldValue
        if number < rounds {
          try open(UInt64(number), listener, &random)
          continue
        }
      }
      let step = steps.withLock { steps -> Step? in
        guard !steps.isEmpty else { return nil }
        steps.swapAt(Int(random.next() % UInt64(steps.count)), steps.count - 1)
        return steps.removeLast()
      }
      guard let step else { break }
      try take(step)
      if step.stream.isOver() { finish(step.stream) }
    }
    listener.close()
  }

  private func open(_ id: UInt64, _ listener: borrowing Listener, _ random: inout SeededRandom) throws {
    var pair: ConnectionPair
    if random.next() % 2 == 0 {
      let client = try Connection.connect(to: listener.localAddress)
      pair = ConnectionPair(first: client, second: try listener.accept(within: .seconds(20)))
    } else {
      pair = try Connection.pair()
    }
    if let layer {
      pair = try layer.inThread(pair)
    } else if random.next() % 8 == 0 {
      // Detached and adopted again: the same descriptor with a new owner.
      let first = try Connection.adopt(try pair.first.detach().descriptor)
      pair = ConnectionPair(first: first, second: pair.second)
    }
    var plan: [(Int, Step.Verb)] = []
    for number in 0..<(1 + random.next() % 5) {
      let length = random.next() % 12 == 0 ? 100_000 + random.next() % 300_000 : 24 + random.next() % 2_000
      plan.append((Int(random.next() % 2), .send(number: number, length: Int(length))))
      plan.append((Int(random.next() % 2), random.next() % 3 == 0 ? .look : .receive))
    }
    plan.append((0, .close(policy(&random))))
    plan.append((1, .close(policy(&random))))
    // Half of the streams are read to EOF before the close, as an orderly program does; the others are closed at any
    // point.
    if random.next() % 2 == 0 { plan[plan.count - 1].1 = .receiveAll }
    let stream = Stream(id: id, pair.first.share(), pair.second.share(), steps: plan.count, more: layer.causes)
    steps.withLock { $0 += plan.map { Step(stream: stream, side: $0.0, verb: $0.1) } }
  }

  private func policy(_ random: inout SeededRandom) -> ClosePolicy {
    let time = Duration.milliseconds([1, 5, 20, 200][Int(random.next() % 4)])
    switch random.next() % 8 {
    case 0, 1, 2: return .confirmed(within: time)
    case 3, 4: return .lingering(within: time, idle: .milliseconds(2), discarding: 1 << 20)
    case 5, 6: return .background(orphanTimeout: .seconds(5))
    default: return .abort
    }
  }

  private func take(_ step: Step) throws {
    let end = step.stream.ends[step.side]
    switch step.verb {
    case .send(let number, let length):
      end.send(Message(stream: step.stream.id &* 2 &+ UInt64(step.side), number: number, length: length))
    case .receive: end.receive(toEnd: false)
    case .receiveAll:
      end.receive(toEnd: true)
      end.close(.confirmed(within: .milliseconds(200)))
    case .look: end.look()
    case .close(let policy): end.close(policy)
    }
  }

  /// Checks every byte of a stream whose two ends are closed.
  private func finish(_ stream: Stream) {
    streams.add()
    for side in 0..<2 {
      let (from, to) = (stream.ends[side], stream.ends[1 - side])
      guard let report = from.report, to.report != nil else {
        return check(false, "stream \(stream.id): an end was never closed")
      }
      let verdict = StormVerdict(sent: from.sent, received: to.received.bytes, stream: stream.id &* 2 &+ UInt64(side))
      check(verdict.complaint == nil, "stream \(stream.id), from \(side): \(verdict.complaint ?? "")")
      let isWhole = verdict.received == verdict.accepted
      if to.received.sawEnd { check(isWhole, "stream \(stream.id): an end of file after \(verdict)") }
      if report.isDelivered, to.received.sawEnd || to.received.sawReset {
        check(isWhole, "stream \(stream.id): said to be delivered (\(report)), but \(verdict)")
      }
      results.withLock { results in
        let name =
          switch report.ending {
          case .timedOut: "timed out"
          default: "\(report.ending)"
          }
        results.endings[name, default: 0] += 1
        results.bytes += verdict.received
        if to.received.sawEnd { results.whole += 1 }
        if !isWhole { results.torn += 1 }
      }
    }
  }
}

/// A stream's two shared ends, used by any thread.
private final class Stream: Sendable {
  let id: UInt64
  let ends: [End]
  private let stepsLeft: Atomic<Int>

  init(id: UInt64, _ first: SharedConnection, _ second: SharedConnection, steps: Int, more: [SocketError.Cause]) {
    self.id = id
    ends = [End(first, more), End(second, more)]
    stepsLeft = Atomic(steps)
  }

  /// Whether the step just taken was the last.
  func isOver() -> Bool { stepsLeft.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 }
}

/// One end, with a record of the operations on it.
private final class End: Sendable {
  struct Received {
    var bytes: [UInt8] = []
    var sawEnd = false
    var sawReset = false
  }

  let connection: SharedConnection
  private let outgoing = Mutex<[Message: Int]>([:])
  private let incoming = Mutex(Received())
  private let ending = Mutex<CloseReport?>(nil)

  /// The causes with which any operation may fail.
  private let more: [SocketError.Cause]

  init(_ connection: SharedConnection, _ more: [SocketError.Cause]) {
    self.connection = connection
    self.more = more
  }

  /// The messages sent, and the number of bytes that the kernel accepted of each.
  var sent: [Message: Int] { outgoing.withLock { $0 } }
  var received: Received { incoming.withLock { $0 } }
  var report: CloseReport? { ending.withLock { $0 } }

  func send(_ message: Message) {
    var accepted = message.length
    do throws(SocketError) { try connection.send(message.bytes, within: .milliseconds(5)) } catch {
      expect(error, [.closed, .timedOut, .reset, .peerClosed])
      accepted = error.bytesAccepted
    }
    outgoing.withLock { $0[message] = accepted }
  }

  /// Receives what has arrived; with `toEnd`, until EOF, a reset, or a timeout.
  func receive(toEnd: Bool) {
    // The lock keeps the bytes in order. A thread that finds it taken checks that a second reader is refused, or
    // arrives too late.
    let isMine: Void? = incoming.withLockIfAvailable { incoming in
      repeat {
        do throws(SocketError) {
          guard let more = try connection.receive(upTo: 1 << 18, within: .milliseconds(toEnd ? 50 : 1)) else {
            incoming.sawEnd = true
            return
          }
          incoming.bytes += more
        } catch {
          expect(error, [.closed, .timedOut, .reset, .peerClosed, .busy])
          if error.cause == .reset { incoming.sawReset = true }
          return
        }
      } while toEnd
    }
    if isMine == nil { look() }
  }

  /// Calls every operation that changes nothing.
  func look() {
    do throws(SocketError) {
      _ = try connection.peek(upTo: 10, within: .zero)
      _ = try connection.bytesUnacknowledged()
      _ = try connection.cookie()
      _ = try connection.failure()
    } catch { expect(error, [.closed, .timedOut, .reset, .peerClosed, .busy]) }
  }

  func close(_ policy: ClosePolicy) {
    let report = connection.close(policy)
    ending.withLock { ending in
      check(ending == nil || ending == report, "two closes, two reports: \(String(describing: ending)), \(report)")
      ending = report
    }
  }

  private func expect(_ error: SocketError, _ causes: [SocketError.Cause]) {
    check(causes.contains(error.cause) || more.contains(error.cause), "\(error)")
  }
}
