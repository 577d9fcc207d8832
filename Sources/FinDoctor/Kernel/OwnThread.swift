internal import CFin
internal import Glibc
internal import Synchronization

/// How many threads a census uses at most for one thing.
enum Threads {
  /// One for each processor that this process may run on, up to four: more only wait for each other in the kernel.
  static var useful: Int { min(4, max(1, Int(fin_processors()))) }
}

/// A thread of its own, which ends with its work: one that changes its network namespace must be nobody else's after.
final class OwnThread<Value: Sendable>: Sendable {
  private let work: Work<Value>
  private let thread: pthread_t?

  /// Begins.
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

  /// Waits for the end and gives what came out, once; nil when there was no thread to be had.
  func join() -> Value? {
    guard let thread else { return nil }
    pthread_join(thread, nil)
    return work.result.withLock { $0.take() }
  }
}

/// What the thread runs, without its type.
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
