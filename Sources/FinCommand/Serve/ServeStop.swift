import ArgumentParser
import Fin
import FinBase
import Synchronization

/// The stop of a server: the first request lets its clients end within a time, the second ends them at once. A third
/// means that it hangs, such as in a line that is not read.
final class ServeStop: Sendable {
  private let listener: ListenerHandle
  let grace: Duration
  private let requests = Mutex(0)
  /// Rings, and goes on ringing, when the time of the clients is over. It wakes threads that wait for a program.
  let over: Bell

  init(_ listener: ListenerHandle, grace: Duration, _ over: Bell) {
    self.over = over
    self.listener = listener
    self.grace = grace
  }

  /// Stops the server; the second call ends what is left.
  /// - Returns: Whether there was something left to do.
  func stop() -> Bool {
    let number = requests.withLock { requests in
      requests += 1
      return requests
    }
    if number == 2 { end() }
    guard number == 1 else { return number == 2 }
    listener.stop(within: Timeout(grace))
    countTime()
    return true
  }

  /// Notes that a successor has taken over, which is a first request: the clients of this server have their time.
  func noteHandover() {
    let isFirst = requests.withLock { requests in
      defer { requests = max(1, requests) }
      return requests == 0
    }
    if isFirst { countTime() }
  }

  private func countTime() {
    let (over, grace) = (over, grace)
    let code = DetachedThread.start {
      SystemClock.pause(grace)
      over.ring()
    }
    // Without the thread that counts the time, there is no time.
    if code != 0 { end() }
  }

  /// Ends everything at once.
  func end() {
    listener.stop(within: .zero)
    over.ring()
  }
}
