import FinBase
import Glibc

/// The signals that ask a command to stop, where it looks for them between its steps. A command that has connections to
/// close hears them in a thread of their own: ``StopSignals``.
struct AwaitedSignals {
  private var all = sigset_t()

  /// Blocks the signals in this thread and in those that it starts from now on.
  ///
  /// A signal that was ignored when the command began, as under `nohup`, stays ignored.
  /// - Parameter signals: The signals.
  init(_ signals: [CInt] = [SIGTERM, SIGINT, SIGHUP]) {
    unsafe sigemptyset(&all)
    for signal in signals where !Self.isIgnored(signal) { unsafe sigaddset(&all, signal) }
    unsafe pthread_sigmask(SIG_BLOCK, &all, nil)
  }

  /// Whether a signal has no effect.
  static func isIgnored(_ signal: CInt) -> Bool {
    var action = sigaction()
    guard unsafe sigaction(signal, nil, &action) == 0 else { return false }
    return unsafe unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1
  }

  /// Waits for one of them, at most until this moment of the monotonic clock, in milliseconds.
  /// - Returns: The signal; nil if none came.
  func wait(until moment: Int64) -> CInt? {
    var all = all
    while true {
      let rest = max(0, moment - Self.now)
      var time = timespec(tv_sec: Int(rest / 1000), tv_nsec: Int(rest % 1000) * 1_000_000)
      let signal = unsafe sigtimedwait(&all, nil, &time)
      if signal > 0 { return signal }
      if rest == 0 || errno == EAGAIN, Self.now >= moment { return nil }
    }
  }

  /// The present moment of the monotonic clock, in milliseconds.
  static var now: Int64 { SystemClock.monotonic / 1_000_000 }
}
