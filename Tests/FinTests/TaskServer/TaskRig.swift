import Glibc
import Peers
import Synchronization

@testable import Fin

/// A task, with the value or error that it ends with, for a test that waits for it in a thread.
///
/// The task runs on an executor with threads of its own: a blocking test holds a thread of Swift's pool, which has one
/// per processor.
final class Working<Value: Sendable>: Sendable {
  private let outcome = OneShot<Result<Value, any Error>>()
  private let task: Task<Void, Never>
  private let origin: String

  init(
    on executor: any TaskExecutor, priority: TaskPriority? = nil, file: String = #fileID, line: Int = #line,
    _ body: @escaping @Sendable () async throws -> Value
  ) {
    origin = "\(file):\(line)"
    let outcome = outcome
    task = Task(executorPreference: executor, priority: priority) {
      do { outcome.deliver(.success(try await body())) } catch { outcome.deliver(.failure(error)) }
    }
  }

  func cancel() { task.cancel() }

  var isFinished: Bool { outcome.delivered != nil }

  /// Waits, in a thread, for the task to end.
  @discardableResult
  func join(within limit: Duration = .seconds(20)) throws -> Value {
    guard let result = outcome.delivered ?? outcome.wait(for: limit) else {
      throw RigError("the task started at \(origin) has not ended after \(limit)")
    }
    return try result.get()
  }
}

/// A server in a task, on a reactor of its own.
struct ServingInTask: Sendable {
  let reactor: Reactor
  let address: SocketAddress
  let handle: ListenerHandle
  let task: Working<ServerReport>

  init(
    _ listener: consuming Listener, loops: Int = 1, connections: Int = 65_536, limits: ServerLimits = .default,
    closing: ClosePolicy = .lingering, priority: TaskPriority? = nil, script: Script? = nil,
    _ handler: @escaping @Sendable (consuming Connection) async throws -> Void
  ) throws {
    let reactor = try Reactor(loops: loops)
    self.reactor = reactor
    address = listener.localAddress
    handle = listener.handle
    let owner = Keeper(listener)
    task = Working(on: reactor.executor, priority: priority) {
      await Seam.$script.withValue(script) {
        await owner.listener.serve(
          on: reactor, connections: connections, limits: limits, closing: closing, handler)
      }
    }
  }

  init(
    loops: Int = 1, connections: Int = 65_536, limits: ServerLimits = .default,
    closing: ClosePolicy = .lingering, timeouts: Timeouts = .default, priority: TaskPriority? = nil,
    _ handler: @escaping @Sendable (consuming Connection) async throws -> Void
  ) throws {
    try self.init(
      Listener.bind(.loopback(port: 0), timeouts: timeouts), loops: loops, connections: connections,
      limits: limits, closing: closing, priority: priority, handler)
  }

  var port: UInt16 { address.port! }

  /// Stops the server and waits for its report.
  func stop(within: Timeout = .seconds(10)) throws -> ServerReport {
    handle.stop(within: within)
    return try task.join(within: .seconds(30))
  }
}

/// Echoes every line.
@Sendable func echoInTask(_ connection: consuming Connection) async throws {
  while let line = try await connection.receiveLine() { try await connection.send("\(line)\n") }
}

/// Suspends each task that passes until it is opened. Cancelling a task does not resume it.
final class Hold: Sendable {
  private struct State {
    var isOpen = false
    var waiting: [CheckedContinuation<Void, Never>] = []
  }

  private let state = Mutex(State())
  let arrived = Tally()

  func pass() async {
    arrived.add()
    await withCheckedContinuation { continuation in
      let isOpen = state.withLock { state in
        if !state.isOpen { state.waiting.append(continuation) }
        return state.isOpen
      }
      if isOpen { continuation.resume() }
    }
  }

  func open() {
    let waiting = state.withLock { state in
      state.isOpen = true
      defer { state.waiting = [] }
      return state.waiting
    }
    for continuation in waiting { continuation.resume() }
  }
}

/// The kernel's name for the calling thread.
func threadName() -> String { line(of: "/proc/thread-self/comm") ?? "" }

private func line(of path: String) -> String? {
  let number = unsafe open(path, O_RDONLY | O_CLOEXEC)
  guard number >= 0 else { return nil }
  defer { close(number) }
  var bytes = [UInt8](repeating: 0, count: 64)
  let count = unsafe read(number, &bytes, 64)
  return String(decoding: bytes.prefix(max(0, count)).prefix { $0 != 10 }, as: UTF8.self)
}

/// The names of this process's threads.
func threadNames() throws -> [String] {
  guard let directory = unsafe opendir("/proc/self/task") else { throw RigError("opendir /proc/self/task") }
  defer { unsafe closedir(directory) }
  var names: [String] = []
  while let entry = unsafe readdir(directory) {
    let number = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
      unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    // A thread that has ended meanwhile has no name.
    if Int(number) != nil, let name = line(of: "/proc/self/task/\(number)/comm") { names.append(name) }
  }
  return names
}

/// The cause of the error that `body` throws; `nil` when it throws none.
func cause(_ body: () async throws(SocketError) -> Void) async -> SocketError.Cause? {
  do throws(SocketError) {
    try await body()
    return nil
  } catch { return error.cause }
}
