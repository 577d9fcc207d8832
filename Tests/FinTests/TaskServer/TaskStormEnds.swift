import Peers
import Synchronization

@testable import Fin

/// A stream's two shared ends, used by any thread or task.
final class TaskStream: Sendable {
  let id: UInt64
  let ends: [TaskStreamEnd]
  private let stepsLeft: Atomic<Int>

  init(id: UInt64, _ first: SharedConnection, _ second: SharedConnection, steps: Int, more: [SocketError.Cause]) {
    self.id = id
    ends = [TaskStreamEnd(first, more), TaskStreamEnd(second, more)]
    stepsLeft = Atomic(steps)
  }

  /// Whether the step just taken was the last.
  func isOver() -> Bool { stepsLeft.subtract(1, ordering: .acquiringAndReleasing).newValue == 0 }
}

/// One end, with a record of the operations on it.
final class TaskStreamEnd: Sendable {
  struct Received {
    var bytes: [UInt8] = []
    var sawEnd = false
    var sawReset = false
  }

  let connection: SharedConnection
  private let outgoing = Mutex<[Message: Int]>([:])
  private let incoming = Mutex(Received())
  private let ending = Mutex<CloseReport?>(nil)
  private let isReceiving = Flagged()
  let cancelled = Tally()

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

  // MARK: Sending

  func send(_ message: Message) {
    do throws(SocketError) {
      try connection.send(message.bytes, within: .milliseconds(5))
      note(message)
    } catch { note(message, error) }
  }

  func send(_ message: Message) async {
    do throws(SocketError) {
      try await connection.send(message.bytes, within: .milliseconds(5))
      note(message)
    } catch { note(message, error) }
  }

  private func note(_ message: Message, _ error: SocketError? = nil) {
    if let error { expect(error, [.closed, .timedOut, .reset, .peerClosed, .cancelled]) }
    outgoing.withLock { $0[message] = error?.bytesAccepted ?? message.length }
  }

  // MARK: Receiving

  /// Receives what has arrived; with `toEnd`, until EOF, a reset, or a timeout.
  func receive(toEnd: Bool) {
    // One reader at a time keeps the bytes in order. A task that finds another reading checks that a second reader is
    // refused.
    guard isReceiving.set() else { return look() }
    defer { isReceiving.clear() }
    do throws(SocketError) {
      repeat {
        guard note(try connection.receive(upTo: 1 << 18, within: .milliseconds(toEnd ? 50 : 1))) else { return }
      } while toEnd
    } catch { note(error) }
  }

  func receive(toEnd: Bool) async {
    guard isReceiving.set() else { return await look() }
    defer { isReceiving.clear() }
    do throws(SocketError) {
      repeat {
        guard note(try await connection.receive(upTo: 1 << 18, within: .milliseconds(toEnd ? 50 : 1))) else { return }
      } while toEnd
    } catch { note(error) }
  }

  /// - Returns: `false` at the end of the stream.
  private func note(_ more: [UInt8]?) -> Bool {
    incoming.withLock { incoming in
      if let more { incoming.bytes += more } else { incoming.sawEnd = true }
      return more != nil
    }
  }

  private func note(_ error: SocketError) {
    expect(error, [.closed, .timedOut, .reset, .peerClosed, .busy, .cancelled])
    if error.cause == .reset { incoming.withLock { $0.sawReset = true } }
  }

  // MARK: Other operations

  /// Calls every operation that changes nothing.
  func look() {
    do throws(SocketError) {
      _ = try connection.peek(upTo: 10, within: .zero)
      try lookAtKernel()
    } catch { expect(error, [.closed, .timedOut, .reset, .peerClosed, .busy]) }
  }

  func look() async {
    do throws(SocketError) {
      _ = try await connection.peek(upTo: 10, within: .zero)
      try lookAtKernel()
    } catch { expect(error, [.closed, .timedOut, .reset, .peerClosed, .busy, .cancelled]) }
  }

  private func lookAtKernel() throws(SocketError) {
    _ = try connection.bytesUnacknowledged()
    _ = try connection.cookie()
    _ = try connection.failure()
  }

  func close(_ policy: ClosePolicy) { note(connection.close(policy)) }
  func close(_ policy: ClosePolicy) async { note(await connection.close(policy)) }

  private func note(_ report: CloseReport) {
    ending.withLock { ending in
      check(ending == nil || ending == report, "two closes, two reports: \(String(describing: ending)), \(report)")
      ending = report
    }
  }

  private func expect(_ error: SocketError, _ causes: [SocketError.Cause]) {
    if error.cause == .cancelled { cancelled.add() }
    check(causes.contains(error.cause) || more.contains(error.cause), "\(error)")
  }
}

/// A flag that one task at a time can hold, across an `await` too.
private final class Flagged: Sendable {
  private let isTaken = Atomic<Bool>(false)
  func set() -> Bool { !isTaken.exchange(true, ordering: .acquiringAndReleasing) }
  func clear() { isTaken.store(false, ordering: .releasing) }
}
