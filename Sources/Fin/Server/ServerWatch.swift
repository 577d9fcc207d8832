internal import FinBase
internal import Synchronization

/// The work of a server beside its handlers: it ends connections at the limits of a conversation; and once its listener
/// is being stopped, it counts the connections, lets the idle ones end, and closes those that never spoke.
///
/// It has a thread of its own as soon as there is something to do, because the server's own thread or task may wait for
/// a free place, which such connections take.
final class ServerWatch: Wakeable, Sendable {
  /// The part of a server that it needs.
  struct Subject: Sendable {
    let listener: Core
    let limits: ConversationLimits
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
  private struct Course {
    var isStarted = false
    var isOver = false
    var isStopped = false
    var progress: [ObjectIdentifier: Progress] = [:]
  }

  private let course = Mutex(Course())

  init(_ subject: Subject) {
    self.subject = subject
    subject.listener.hearStops(self)
    if subject.limits.interval != nil { start() }
    // A stop that came before.
    if subject.listener.closing.withLock({ $0.drain.hasBegun }) { wake() }
  }

  func wake() {
    let isFirst = course.withLock { course in
      defer { course.isStopped = true }
      return !course.isStopped && !course.isOver
    }
    let active = subject.active()
    if isFirst {
      var count = ServerReport.StopCounts()
      for core in active {
        if core.awaitsNext.load(ordering: .sequentiallyConsistent), core.hasTraffic {
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
    start()
    parker.wake()
  }

  /// Starts the thread, once. Without a thread, silent connections end with the drain, and the next stop tries again.
  private func start() {
    let isFirst = course.withLock { course in
      defer { course.isStarted = true }
      return !course.isStarted && !course.isOver
    }
    guard isFirst else { return }
    let code = DetachedThread.start(stack: 256 << 10) { [self] in
      while !course.withLock({ $0.isOver }) {
        endOverLimit()
        let mayBeSilent = endSilent()
        let interval = subject.limits.interval ?? .seconds(3600)
        _ = parker.park(until: Deadline(after: mayBeSilent ? min(ServerWatch.between, interval) : interval))
      }
    }
    if code != 0 { course.withLock { $0.isStarted = false } }
  }

  /// Ends the watch: the server has returned.
  func end() {
    subject.listener.unhearStops(self)
    course.withLock { $0.isOver = true }
    parker.wake()
  }

  /// Whether the listener has gone beyond the time in which it still accepts clients.
  private var isRefusing: Bool { subject.listener.drainDeadline != .never || subject.listener.phase == .closed }

  /// Ends the connections that have been silent for long enough.
  ///
  /// - Returns: whether there may be others later: connections without a byte, or clients in the queue.
  private func endSilent() -> Bool {
    guard isRefusing else { return false }
    let mayAccept = subject.listener.phase != .closed
    let quiet = subject.active().filter { !$0.hasTraffic }
    let over = quiet.filter { $0.record.opened.elapsed >= ServerWatch.silence && $0.isSilent }
    for core in over {
      subject.change { $0.noteSilent(core) }
      // A FIN at once, and no wait: the client has said nothing, and nothing was said to it.
      _ = core.close(.background)
    }
    return mayAccept || over.count < quiet.count
  }

  private func endOverLimit() {
    guard subject.limits.interval != nil else { return }
    let active = subject.active()
    let over = course.withLock { course in
      var progress: [ObjectIdentifier: Progress] = [:]
      var over: [(Core, ConversationLimits.Limit)] = []
      for core in active {
        let gate = core.gate.snapshot
        var own = course.progress[ObjectIdentifier(core)] ?? Progress()
        let look = Progress.Look(
          age: core.record.opened.elapsed, received: core.bytesReceived.load(ordering: .acquiring),
          sent: core.bytesSent.load(ordering: .acquiring), isReceiving: gate.hasReader, isSending: gate.hasWriter,
          awaitsNext: core.awaitsNext.load(ordering: .acquiring))
        if let limit = own.exceeds(subject.limits, look), !gate.isClosing { over.append((core, limit)) }
        progress[ObjectIdentifier(core)] = own
      }
      // Those that have ended are forgotten.
      course.progress = progress
      return over
    }
    for (core, limit) in over {
      subject.change { $0.note(limit, of: core) }
      _ = core.close(.abort)
    }
  }
}
