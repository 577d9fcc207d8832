import FinBase
import Peers
import Synchronization
import Testing

@_spi(Fin) @testable import Fin

/// A task that a test starts, cancels and waits for from its own thread.
///
/// The task runs on an executor with a thread of its own: blocking tests hold the threads of Swift's own pool, and
/// could block the task that they wait for.
final class TestTask<Value: Sendable>: Sendable {
  private let task: Task<Void, Never>
  private let outcome: OneShot<Result<Value, any Error>>
  private let origin: String

  fileprivate init(
    on executor: any TaskExecutor, origin: String, _ body: @escaping @Sendable () async throws -> Value
  ) {
    let outcome = OneShot<Result<Value, any Error>>()
    self.outcome = outcome
    self.origin = origin
    task = Task(executorPreference: executor) {
      let result: Result<Value, any Error>
      do { result = .success(try await body()) } catch { result = .failure(error) }
      outcome.deliver(result)
    }
  }

  func cancel() { task.cancel() }

  var isFinished: Bool { outcome.delivered != nil }

  /// Waits for the task to end.
  ///
  /// - Throws: the error that the task threw; `TimedOut`.
  func join(within limit: Duration = .seconds(60)) throws -> Value {
    let end = Fin.Deadline(after: limit)
    while outcome.delivered == nil, !end.hasPassed { _ = outcome.wait(for: end.remaining ?? .zero) }
    guard let delivered = outcome.delivered else { throw TimedOut("the task started at \(origin)", after: limit) }
    return try delivered.get()
  }

  /// The task's value, awaited in another task.
  var value: Value {
    get async throws {
      await task.value
      return try outcome.delivered!.get()
    }
  }

  /// The error that the task ends with.
  func refusal(within limit: Duration = .seconds(60)) throws -> SocketError {
    do { _ = try join(within: limit) } catch let error as SocketError { return error }
    throw RigError("the task started at \(origin) threw no error")
  }
}

/// Starts a task in the given place.
func errand<Value: Sendable>(
  on place: Place = .loop, file: String = #fileID, line: Int = #line,
  _ body: @escaping @Sendable () async throws -> Value
) -> TestTask<Value> {
  TestTask(on: place.executor, origin: "\(file):\(line)", body)
}

/// Starts a task on an executor of the test's own.
func errand<Value: Sendable>(
  on executor: any TaskExecutor, file: String = #fileID, line: Int = #line,
  _ body: @escaping @Sendable () async throws -> Value
) -> TestTask<Value> {
  TestTask(on: executor, origin: "\(file):\(line)", body)
}

/// Runs `body` in a task, and waits for it.
func inTask<Value: Sendable>(
  on place: Place = .loop, within limit: Duration = .seconds(20), file: String = #fileID, line: Int = #line,
  _ body: @escaping @Sendable () async throws -> Value
) throws -> Value {
  try errand(on: place, file: file, line: line, body).join(within: limit)
}

/// The executor that a task runs on.
enum Place: String, CaseIterable, Sendable, CustomTestStringConvertible {
  /// On the event loop that their sockets are registered with: tasks resume without a hop.
  case loop = "on a loop"
  /// On another executor: each wait takes a hop.
  case elsewhere = "on another executor"

  var testDescription: String { rawValue }

  private static let reactor: Reactor = {
    guard let reactor = try? Reactor(loops: 2) else { fatalError("no descriptors for the tests' reactor") }
    return reactor
  }()
  private static let thread = OwnThread()

  var executor: any TaskExecutor {
    switch self {
    case .loop: Place.reactor.executor
    case .elsewhere: Place.thread
    }
  }
}

/// A task executor of one thread. It never ends.
final class OwnThread: TaskExecutor, Sendable {
  private let jobs = Mutex<[UnownedJob]>([])
  private let parker = Parker()
  private let hook = Mutex<(@Sendable () -> Void)?>(nil)

  init() {
    let code = DetachedThread.start { [self] in
      while true {
        let next = jobs.withLock { $0.isEmpty ? nil : $0.removeFirst() }
        guard let next else {
          _ = parker.park()
          continue
        }
        unsafe next.runSynchronously(on: asUnownedTaskExecutor())
      }
    }
    precondition(code == 0, "no thread for an executor")
  }

  /// Runs `body` once, in the thread that enqueues the next job, before the job is stored.
  func beforeNextJob(_ body: @escaping @Sendable () -> Void) { hook.withLock { $0 = body } }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    hook.withLock { $0.take() }?()
    jobs.withLock { $0.append(job) }
    parker.wake()
  }
}

/// Cancels the calling task.
func cancelThisTask() { unsafe withUnsafeCurrentTask { unsafe $0?.cancel() } }

extension SocketProtocol where Self: ~Copyable {
  /// Waits until this many tasks wait for this socket.
  borrowing func awaitParked(_ count: Int = 1) throws {
    let core = reference.core
    try eventually(within: .seconds(60), "tasks that wait", equals: count) {
      core.lazyRegistration.load()?.waiterCount ?? 0
    }
  }
}

/// A Fin listener that tasks use.
func openListener(_ address: SocketAddress = .loopback(port: 0)) throws -> Keeper {
  Keeper(try Listener.bind(address))
}

extension Keeper {
  /// Stops the listener, which is shared and cannot be consumed here, and aborts every queued client.
  func end() {
    listener.stop(within: .zero)
    do { while true { try listener.accept(within: .zero).abort() } } catch {}
  }
}

/// A shared Fin connection, with the plain socket at its other end.
func openStrangers(timeouts: Timeouts = .default) throws -> (ours: SharedConnection, plain: Plain) {
  let pair = try Strangers.connected(timeouts: timeouts)
  let plain = Plain(pair.plain)
  return (pair.ours.share(), plain)
}

/// A plain socket that several threads and closures use.
final class Plain: Sendable {
  private let state: Mutex<PlainSocket?>
  let descriptor: CInt

  init(_ socket: consuming PlainSocket) {
    descriptor = socket.descriptor
    state = Mutex(socket)
  }

  func send(_ bytes: [UInt8]) throws { try state.withLock { try $0?.send(bytes) } }
  func send(_ text: String) throws { try send(Array(text.utf8)) }
  func receive(upTo count: Int = 65536) throws -> [UInt8] { try state.withLock { try $0?.receive(upTo: count) ?? [] } }
  func receiveAll() throws -> [UInt8] { try state.withLock { try $0?.receiveAll() ?? [] } }
  func finishSending() throws { try state.withLock { try $0?.finishSending() } }
  func close() { state.withLock { $0 = nil } }
  func abort() { state.withLock { $0.take() }?.abort() }
}
