internal import FinBase
internal import Synchronization

/// What a server does for its connections once its listener is being stopped: it counts them, lets the idle ones end,
/// and closes those that never spoke.
///
/// Every stop wakes it. It has a thread of its own from the first one on, because the server's own thread or task may
/// wait for a free place, which the silent connections take.
final class DrainWatch: Wakeable, Sendable {
  /// The part of a server that it needs.
  struct Subject: Sendable {
    let listener: Core
    /// The active connections.
    let active: @Sendable () -> [Core]
    /// Changes the server's admission.
    let change: @Sendable ((inout Admission) -> Void) -> Void
  }

  /// How long a connection may be silent when its server stops, from when it was accepted: the first request of a
  /// client that has just connected is under way.
  static let silence = Duration.seconds(1)
  /// The time between two looks at new connections: the queue is still accepted after a stop.
  private static let between = Duration.milliseconds(100)

  private let subject: Subject
  private let parker = Parker()
  private let course = Mutex((isStarted: false, isOver: false))

  init(_ subject: Subject) {
    self.subject = subject
    subject.listener.hearStops(self)
    // A stop that came before.
    if subject.listener.closing.withLock({ $0.drain.hasBegun }) { wake() }
  }

  func wake() {
    let isFirst = course.withLock { course in
      defer { course.isStarted = true }
      return !course.isStarted && !course.isOver
    }
    let active = subject.active()
    if isFirst {
      var count = ServerReport.AtStop()
      for core in active {
        if core.awaitsNext.load(ordering: .sequentiallyConsistent) {
          count.idle += 1
        } else if core.isSilent {
          count.silent += 1
        } else {
          count.busy += 1
        }
      }
      subject.change { $0.report.atStop = count }
    }
    // Those that wait for their next request look again, and find that the server is being stopped.
    for core in active { core.gate.wakeParked() }
    guard isFirst else { return parker.wake() }
    let code = DetachedThread.start(stack: 256 << 10) { [self] in
      while !course.withLock({ $0.isOver }) {
        look()
        _ = parker.park(until: isRefusing ? Deadline(after: DrainWatch.between) : .never)
      }
    }
    // Without a thread, silent connections end with the drain.
    _ = code
  }

  /// Ends the watch: the server has returned.
  func end() {
    subject.listener.unhearStops(self)
    course.withLock { $0.isOver = true }
    parker.wake()
  }

  /// Whether the listener has gone beyond the time in which it still accepts clients.
  private var isRefusing: Bool { subject.listener.drainDeadline != .never || subject.listener.phase == .closed }

  private func look() {
    guard isRefusing else { return }
    for core in subject.active() where core.record.opened.elapsed >= DrainWatch.silence && core.isSilent {
      subject.change { $0.noteSilent(core) }
      // A FIN at once, and no wait: the client has said nothing, and nothing was said to it.
      _ = core.close(.background)
    }
  }
}
