import Fin
import FinBase
import Synchronization

/// The line on a terminal that says how many connections are passed on, and how fast their bytes move. It goes away
/// for each other line, and at the end.
final class RelayRates: Sendable {
  private static let interval = Duration.milliseconds(500)

  private struct State: ~Copyable {
    var line: ProgressLine
    var isOver = false
    var last = (forward: 0, backward: 0, at: SystemClock.monotonic)
  }

  let meter = PumpMeter()
  private let isWanted: Bool
  private let open = Atomic<Int>(0)
  private let state: Mutex<State>

  init(isWanted: Bool) {
    let line = ProgressLine(isWanted: isWanted)
    self.isWanted = line.isWanted
    state = Mutex(State(line: line))
  }

  /// Begins to show the line, in a thread of its own.
  func begin() {
    guard isWanted else { return }
    _ = DetachedThread.start { [self] in
      while true {
        SystemClock.pause(Self.interval)
        guard show() else { return }
      }
    }
  }

  /// Counts the connections that are passed on at the moment.
  func change(by count: Int) { open.wrappingAdd(count, ordering: .relaxed) }

  /// Removes the line while another one is written.
  func hidden<R>(_ body: () -> R) -> R {
    guard isWanted else { return body() }
    return state.withLock { state in
      state.line.clear()
      return body()
    }
  }

  /// Removes the line for good.
  func end() {
    state.withLock { state in
      state.line.clear()
      state.isOver = true
    }
  }

  /// - Returns: Whether there will be another line.
  private func show() -> Bool {
    state.withLock { state in
      if state.isOver { return false }
      let now = (forward: meter.bytesForward, backward: meter.bytesBackward, at: SystemClock.monotonic)
      let seconds = Double(max(1, now.at - state.last.at)) / 1e9
      let text = Self.text(
        open: open.load(ordering: .relaxed), forward: Double(now.forward - state.last.forward) / seconds,
        backward: Double(now.backward - state.last.backward) / seconds)
      state.last = now
      state.line.replace(text)
      return true
    }
  }

  /// `3 connections, 1.5 MiB/s to the target, 512 bytes/s back`
  static func text(open: Int, forward: Double, backward: Double) -> String {
    "\(Phrase.noun(open, "connection")), \(Phrase.size(forward))/s to the target, \(Phrase.size(backward))/s back"
  }
}
