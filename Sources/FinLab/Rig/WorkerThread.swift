internal import FinBase
import Glibc
import Synchronization

/// Work on a thread of its own, whose answer can be awaited with a time limit.
final class WorkerThread<Answer: Sendable>: Sendable {
  private let answer = Mutex<Answer?>(nil)
  /// The path of the thread below /proc.
  private let place = Mutex<String?>(nil)

  /// Starts the thread. It receives signals, as a thread of the program that an experiment is about does.
  init(_ work: @escaping @Sendable () -> Answer) {
    let failure = DetachedThread.start(blocksSignals: false) { [self] in
      place.withLock { $0 = Kernel.target(of: "/proc/thread-self") }
      let value = work()
      answer.withLock { $0 = value }
    }
    precondition(failure == 0, "pthread_create: \(failure)")
  }

  /// Returns the answer, or nil if it does not arrive in time.
  func answer(within limit: Duration) -> Answer? {
    wait(atMost: limit) { answer.withLock { $0 } }
  }

  /// Returns the answer.
  /// - Throws: A `SetupError` if the answer does not arrive in time.
  func answer(orMishap what: String, within limit: Duration = .seconds(5)) throws -> Answer {
    guard let answer = answer(within: limit) else { throw SetupError("\(what): nothing after \(limit.inSeconds.time)") }
    return answer
  }

  /// Waits until the thread sleeps in the kernel, in the call that the experiment needs it to block in.
  /// - Returns: Whether the thread sleeps.
  func sleeps(within limit: Duration = .seconds(5)) -> Bool {
    wait(atMost: limit) {
      place.withLock { $0 }.map { Kernel.sleeps("/proc/\($0)") } ?? false
    }
  }

  var isRunning: Bool { answer.withLock { $0 == nil } }
}

/// Polls `question` until it has an answer or the time is over. Changes inside the kernel give no event to wait for.
func wait<Answer>(atMost limit: Duration, for question: () -> Answer?) -> Answer? {
  let clock = ContinuousClock()
  let end = clock.now + limit
  while true {
    if let answer = question() { return answer }
    if clock.now >= end { return nil }
    usleep(1000)
  }
}

/// Waits for a condition; returns whether it came true in time.
func wait(atMost limit: Duration, until condition: () -> Bool) -> Bool {
  wait(atMost: limit) { condition() ? true : nil } ?? false
}

func pause(_ duration: Duration) { usleep(UInt32(duration.inMilliseconds) * 1000) }
