internal import CFin
internal import Glibc
internal import Synchronization

/// The limit on the threads that a census uses for one job.
enum Threads {
  /// One for each processor that this process may run on, up to four: more would only wait for each other in
  /// the kernel.
  static var useful: Int { min(4, max(1, Int(fin_processors()))) }
}

/// A dedicated thread that ends with its work. A thread that has changed its network namespace must not be reused.
final class OwnThread<Value: Sendable>: Sendable {
  private let work: Work<Value>
  private let thread: pthread_t?

  /// Starts the thread.
  init(_ body: @escaping @Sendable () -> Value) {
    let work = Work(body)
    self.work = work
    var thread = pthread_t()
    let argument = unsafe Unmanaged<Running>.passRetained(work)
    let code = unsafe pthread_create(
      &thread, nil,
      { argument in
        unsafe Unmanaged<Running>.fromOpaque(argument!).takeRetainedValue().run()
        return nil
      }, argument.toOpaque())
    if code != 0 { unsafe argument.release() }
    self.thread = code == 0 ? thread : nil
  }

  /// Waits for the thread to end and returns its result, once; nil when the thread could not be started.
  func join() -> Value? {
    guard let thread else { return nil }
    pthread_join(thread, nil)
    return work.result.withLock { $0.take() }
  }
}

/// The thread's work, with its result type erased.
private class Running: @unchecked Sendable {
  func run() {}
}

private final class Work<Value: Sendable>: Running, @unchecked Sendable {
  let result = Mutex<Value?>(nil)
  private let body: @Sendable () -> Value

  init(_ body: @escaping @Sendable () -> Value) { self.body = body }

  override func run() {
    let value = body()
    result.withLock { $0 = value }
  }
}

/// Hands out every number once, to any thread.
final class Counter: Sendable {
  private let next = Atomic(0)

  func take() -> Int { next.wrappingAdd(1, ordering: .relaxed).oldValue }
}
