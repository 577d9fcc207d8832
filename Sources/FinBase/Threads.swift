internal import Glibc
internal import Synchronization

/// A thread of Fin's own, in which blocking is allowed. It is not allowed in the cooperative pool of Swift's tasks,
/// which has one thread for each core.
///
/// It does not inherit the caller's task-local values.
package enum DetachedThread {
  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// Starts a thread with `pthread_create`.
  ///
  /// - Parameters:
  ///   - stack: the size of the stack in bytes; 0 for the system's default.
  ///   - blocksSignals: whether signals are blocked, so that the program's handlers stay on the program's threads.
  ///     Those of a fault are not: the kernel would end the process without the handler that reports it.
  /// - Returns: the result of `pthread_create`: 0 for success, `EAGAIN` for lack of memory or at a limit.
  package static func start(
    stack: Int = 0, blocksSignals: Bool = true, _ run: @escaping @Sendable () -> Void
  ) -> CInt {
    create(CInt(PTHREAD_CREATE_DETACHED), stack: stack, blocksSignals: blocksSignals, run).code
  }

  fileprivate static func create(
    _ state: CInt, stack: Int, blocksSignals: Bool, _ run: @escaping @Sendable () -> Void
  ) -> (code: CInt, thread: pthread_t) {
    let body = Body(run)
    var attributes = pthread_attr_t()
    unsafe pthread_attr_init(&attributes)
    unsafe pthread_attr_setdetachstate(&attributes, state)
    if stack > 0 { unsafe pthread_attr_setstacksize(&attributes, stack) }
    defer { unsafe _ = pthread_attr_destroy(&attributes) }

    // A new thread inherits the mask of the one that starts it.
    var all = sigset_t()
    var before = sigset_t()
    if blocksSignals {
      unsafe sigfillset(&all)
      for fault in [SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV, SIGSYS] { unsafe sigdelset(&all, fault) }
    }
    unsafe pthread_sigmask(SIG_BLOCK, &all, &before)
    defer { unsafe _ = pthread_sigmask(SIG_SETMASK, &before, nil) }

    var thread = pthread_t()
    let argument = unsafe Unmanaged.passRetained(body)
    let code = unsafe pthread_create(
      &thread, &attributes,
      { argument in
        unsafe Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
        return nil
      }, argument.toOpaque())
    if code != 0 { unsafe argument.release() }
    return (code, thread)
  }
}

/// A thread that ends with its work, whose result is joined. It is not reused, because it may have another namespace.
package final class JoinableThread<Value: Sendable>: Sendable {
  private final class Result: Sendable {
    let value = Mutex<Value?>(nil)
  }

  private let result: Result
  private let thread: pthread_t?

  /// Starts the thread.
  package init(_ body: @escaping @Sendable () -> Value) {
    let result = Result()
    let (code, thread) = DetachedThread.create(CInt(PTHREAD_CREATE_JOINABLE), stack: 0, blocksSignals: true) {
      let value = body()
      result.value.withLock { $0 = value }
    }
    self.result = result
    self.thread = code == 0 ? thread : nil
  }

  /// Lets the thread end on its own, whenever that is. It is not joined afterwards.
  package func leave() {
    if let thread { pthread_detach(thread) }
  }

  /// Waits for the thread to end and returns its result, once; nil when the thread could not be started.
  package func join() -> Value? {
    guard let thread else { return nil }
    pthread_join(thread, nil)
    return result.value.withLock { $0.take() }
  }
}
