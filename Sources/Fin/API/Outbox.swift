internal import Synchronization

/// A bounded queue of bytes that go out on a connection, for a sender that must not wait for a slow reader: a
/// broadcast, a log, a stream of events.
///
/// ``offer(_:)`` takes a message as a whole or not at all, and never waits. One task sends what was offered:
/// ``run()``. A reader that falls behind fills the queue, and then the sender decides: drop the message, or the reader.
/// ```swift
/// let outbox = Outbox(connection, limit: 256 << 10)
/// group.addTask { try await outbox.run() }
/// if try !outbox.offer("news\n".utf8) { await connection.abort() }
/// ```
public final class Outbox: Sendable {
  private struct State {
    var pieces: [[UInt8]] = []
    /// The bytes offered and not yet accepted by the kernel, those that are being sent included.
    var bytes = 0
    var isFinished = false
    var failure: SocketError?
    /// Woken by the next offer, while ``Outbox/run()`` waits for one.
    var waiter: Registration?
    var isRunning = false
  }

  private let connection: SharedConnection
  private let limit: Int
  private let within: Timeout
  private let state = Mutex(State())

  /// Makes a queue for a connection.
  ///
  /// - Parameters:
  ///   - connection: the connection. The queue does not close it.
  ///   - limit: the largest number of bytes that wait; a longer message is never taken.
  ///   - within: the timeout of each send; by default ``Timeouts/send``.
  public init(_ connection: SharedConnection, limit: Int = 1 << 20, within: Timeout = .default) {
    self.connection = connection
    self.limit = limit
    self.within = within
  }

  /// The number of bytes that were offered and not yet accepted by the kernel.
  public var bytesWaiting: Int { state.withLock { $0.bytes } }

  /// Takes a message into the queue, whole or not at all. It does not wait.
  ///
  /// - Returns: whether there was room.
  /// - Throws: the error that ended ``run()``; `.finished` after ``finish()``.
  @discardableResult
  public func offer(_ message: some Collection<UInt8>) throws(SocketError) -> Bool {
    let bytes = Array(message)
    let (isTaken, waiter): (Bool, Registration?) = try state.withLock { state throws(SocketError) in
      if let failure = state.failure { throw failure }
      if state.isFinished { throw connection.reference.core.error(.send, .finished) }
      guard bytes.count <= limit - state.bytes else { return (false, nil) }
      if bytes.isEmpty { return (true, nil) }
      state.pieces.append(bytes)
      state.bytes += bytes.count
      return (true, state.waiter.take())
    }
    waiter?.wake()
    return isTaken
  }

  /// Takes no more messages. ``run()`` returns when all that was taken has been sent.
  public func finish() {
    let waiter = state.withLock { state in
      state.isFinished = true
      return state.waiter.take()
    }
    waiter?.wake()
  }

  /// Sends what is offered, until ``finish()``. One task may call it, once.
  ///
  /// - Throws: the error of the send that failed, which every later ``offer(_:)`` throws too; `.cancelled`;
  ///   `.invalid` for a second call.
  public func run() async throws(SocketError) {
    let isFirst = state.withLock { state in
      defer { state.isRunning = true }
      return !state.isRunning
    }
    guard isFirst else { throw connection.reference.core.error(.send, .invalid("this outbox runs already")) }
    do throws(SocketError) { try await sendAll() } catch {
      state.withLock { state in
        state.failure = error
        state.pieces = []
      }
      throw error
    }
  }

  private nonisolated(nonsending) func sendAll() async throws(SocketError) {
    let core = connection.reference.core
    let registration: Registration
    do throws(WaitError) { registration = try Reactor.nearest().makeRegistration() } catch {
      throw core.error(.send, error.cause)
    }
    defer { registration.leave() }
    // A close of the connection wakes this wait as well.
    _ = core.gate.park(registration)
    defer { core.gate.unpark(registration) }
    while true {
      // Read before the queue: an offer that comes from then on ends the wait.
      let changes = registration.snapshot.changes
      let (pieces, isOver) = state.withLock { state in
        defer { state.pieces = [] }
        state.waiter = state.pieces.isEmpty ? registration : nil
        return (state.pieces, state.pieces.isEmpty && state.isFinished)
      }
      if isOver { return }
      guard pieces.isEmpty else {
        try await connection.send(gathering: pieces, within: within)
        let sent = pieces.reduce(0) { $0 + $1.count }
        state.withLock { $0.bytes -= sent }
        continue
      }
      if core.gate.isClosing { throw core.error(.send, .closed) }
      let wake = await registration.park(.change(since: changes), until: .never)
      if let interruption = wake.interruption { throw core.error(.send, interruption.cause) }
    }
  }
}
