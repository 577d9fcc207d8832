import FinBase
import Glibc

/// The signals that ask a command to stop: SIGINT, SIGTERM and SIGHUP. A command that has connections to close takes
/// them as requests, in a thread of its own.
struct StopSignals {
  /// The signals that were blocked before, with which a started program begins.
  let maskBefore: sigset_t
  private let signals: sigset_t

  /// Blocks the signals in this thread and in those that it will start, and ignores SIGPIPE, so that a reader that has
  /// gone is an error of a write.
  ///
  /// A signal that was ignored when the command began, as under `nohup`, stays ignored.
  init() {
    var signals = sigset_t()
    var before = sigset_t()
    unsafe sigemptyset(&signals)
    for signal in [SIGINT, SIGTERM, SIGHUP] { unsafe sigaddset(&signals, signal) }
    unsafe pthread_sigmask(SIG_BLOCK, &signals, &before)
    _ = signal(SIGPIPE, SIG_IGN)
    maskBefore = before
    self.signals = signals
  }

  /// Calls `body` for each of the signals, in a thread of its own.
  func hear(_ body: @escaping @Sendable (CInt) -> Void) {
    let signals = signals
    let code = DetachedThread.start {
      var signals = signals
      var number: CInt = 0
      while true {
        if unsafe sigwait(&signals, &number) == 0 { body(number) }
      }
    }
    if code != 0 { restore() }
  }

  /// Ends this process by a signal, as the shell that waits for it expects.
  func end(by number: CInt) -> Never {
    _ = signal(number, SIG_DFL)
    var one = sigset_t()
    unsafe sigemptyset(&one)
    unsafe sigaddset(&one, number)
    unsafe pthread_sigmask(SIG_UNBLOCK, &one, nil)
    raise(number)
    exit(128 + number)
  }

  /// Without a thread that hears the signals, they end the command at once.
  private func restore() {
    var before = maskBefore
    unsafe pthread_sigmask(SIG_SETMASK, &before, nil)
  }
}
