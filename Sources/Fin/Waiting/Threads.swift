internal import Glibc

/// Threads of Fin's own, in which blocking is allowed. It is not allowed in the cooperative pool of Swift's tasks,
/// which has one thread for each core.
enum Threads {
  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// Starts a thread with `pthread_create`, detached, with every signal blocked, so that the program's handlers stay on
  /// the program's threads. The thread does not inherit the caller's task-local values.
  ///
  /// - Parameter stack: the size of the stack in bytes; 0 for the system's default.
  /// - Returns: the result of `pthread_create`: 0 for success, `EAGAIN` for lack of memory or at a limit.
  static func start(stack: Int = 0, _ run: @escaping @Sendable () -> Void) -> CInt {
    let body = Body(run)
    var attributes = pthread_attr_t()
    unsafe pthread_attr_init(&attributes)
    unsafe pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
    if stack > 0 { unsafe pthread_attr_setstacksize(&attributes, stack) }
    defer { unsafe _ = pthread_attr_destroy(&attributes) }

    var all = sigset_t()
    var before = sigset_t()
    unsafe sigfillset(&all)
    unsafe pthread_sigmask(SIG_SETMASK, &all, &before)
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
    return code
  }
}
