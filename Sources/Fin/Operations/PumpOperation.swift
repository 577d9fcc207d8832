internal import CFin
internal import Glibc
internal import SystemPackage

/// The times of a pump.
struct PumpTimes {
  /// Without a byte in either direction, while both go on.
  let idle: Timeout
  /// Without a byte, once one direction has finished.
  let halfClosed: Timeout
  /// In all.
  let whole: Timeout
  /// For the delivery of what came before a reset, and for the close of a secured connection.
  let delivery: Duration

  init(_ idle: Timeout, _ halfClosed: Timeout, _ whole: Timeout, _ delivery: Duration) {
    self.idle = idle.or(.seconds(600))
    self.halfClosed = halfClosed.or(.seconds(60))
    self.whole = whole.or(.never)
    self.delivery = delivery
  }
}

/// A pump: both directions, each moved as far as the kernel allows, and the course that says what an end means. It is
/// written once, as a step that never waits; ``PumpWaiting`` has the waits of a thread and of a task.
///
/// The gates of both connections are held throughout, as the only reader and the only writer of each.
struct PumpOperation {
  /// The next thing to do.
  enum Step {
    /// The pump is over: both connections are to be closed, or reset.
    case over(PumpCourse.Action)
    /// Wait for an event of one of the sockets, until the deadline.
    case wait(Deadline)
    /// More can be moved at once. Others get their turn first.
    case again
  }

  /// The attempts in each direction in one step, so that neither direction, and no other task, waits for long.
  private static let roundsAStep = 16

  let cores: [Core]
  private let times: PumpTimes
  private let whole: Deadline
  private var streams: [PumpStream]
  private var course = PumpCourse()
  private var entered: [Core] = []
  /// Whether an attempt in the direction from this side may find something since its last one did not.
  private var mayMove = BothSides(true)
  /// Whether the last attempt in the direction from this side found nothing to receive.
  private var isStarved = BothSides(false)
  /// Whether this side may have failed since the last step.
  private var hasNews = BothSides(true)
  /// The end of the time without a byte.
  private var quiet = Deadline.never
  /// The bytes that the peers had not acknowledged when the time without a byte was over before.
  private var queuedBefore: [Int]?
  /// The end of the time for the delivery before a reset.
  private var delivery: Deadline?
  /// The pause until the next look at a queue whose last acknowledgement comes without an event.
  private var pause = Duration.milliseconds(1)

  init(_ first: Core, _ second: Core, _ times: PumpTimes, _ meter: PumpMeter?) {
    self.times = times
    cores = [first, second]
    whole = Deadline(allowing: times.whole)
    // The kernel must not give up a peer that does not read while the pump still waits for it.
    let patience = Timeout(nanoseconds: max(times.idle.nanoseconds, times.halfClosed.nanoseconds))
    streams = [
      PumpStream(from: first, to: second, .first, idle: patience, meter),
      PumpStream(from: second, to: first, .second, idle: patience, meter),
    ]
  }

  // MARK: Beginning and ending

  /// Enters both gates.
  ///
  /// - Returns: `nil` when a connection is being closed, or when another operation uses it.
  mutating func enter() -> Access? {
    var access: Access?
    for core in cores {
      do throws(SocketError) { access = try core.enterAlone(.receive) } catch {
        leave()
        close()
        return nil
      }
      entered.append(core)
    }
    guard let access else { return nil }
    for side in PumpCourse.Side.allCases { streams[side.rawValue].begin(access) }
    renew()
    return access
  }

  /// Leaves the gates, for the closes.
  mutating func leave() {
    if entered.count == 2 { for side in PumpCourse.Side.allCases { streams[side.rawValue].end() } }
    for core in entered { core.leaveAlone() }
    entered = []
  }

  /// Ends the pump at once.
  ///
  /// - Returns: what is to be done with the connections.
  @discardableResult
  mutating func close() -> PumpCourse.Action { course.handle(.closed) ?? .abort }

  /// The policy by which a connection is closed when the pump is over.
  func policy(of core: Core, after action: PumpCourse.Action) -> ClosePolicy {
    switch action {
    case .abort, .finishSending: return .abort
    case .close:
      #if TLS
      // The FIN of a secured peer may come after its close_notify.
      if core.isSecured { return .confirmed(within: times.delivery) }
      #endif
      // Everything was acknowledged, or the time for it has passed.
      return .confirmed(within: .zero)
    }
  }

  func report(_ first: CloseReport, _ second: CloseReport) -> PumpReport {
    PumpReport(first: first, second: second, forward: stream(.first), backward: stream(.second))
  }

  private func stream(_ side: PumpCourse.Side) -> PumpedStream {
    guard case .finished(let ending) = course[from: side] else { preconditionFailure("a direction has no end") }
    let stream = streams[side.rawValue]
    return PumpedStream(bytes: stream.moved, bytesLost: stream.bytesHeld, ending: ending)
  }

  // MARK: A step

  /// Moves what can be moved in both directions, and takes the ends that it meets to the course.
  ///
  /// - Parameter isWithoutSignal: whether `SIGPIPE` is blocked, so that a pipe may be used.
  mutating func step(_ access: Access, isWithoutSignal: Bool) -> Step {
    if cores.contains(where: { $0.gate.isClosing }) { return .over(close()) }
    for side in PumpCourse.Side.allCases { streams[side.rawValue].beginStep(isWithoutSignal: isWithoutSignal) }
    var hasMoved = false
    var rounds = PumpOperation.roundsAStep
    while rounds > 0, canMove(.first) || canMove(.second) {
      rounds -= 1
      for side in PumpCourse.Side.allCases where canMove(side) {
        var event: PumpCourse.Event?
        let motion = streams[side.rawValue].move(access)
        isStarved[side] = false
        switch motion {
        case .moved:
          hasMoved = true
          continue
        case .starved: isStarved[side] = true
        case .stalled: break
        case .ended(let end): event = .ended(side, end)
        case .destinationFailed: event = .failed(side.other)
        }
        mayMove[side] = false
        if let event, let over = take(event, access) { return over }
      }
    }
    if hasMoved { renew() }
    if let over = lookForFailures(access) ?? lookForAcknowledgements(access) { return over }
    if canMove(.first) || canMove(.second) {
      return whole.hasPassed ? take(.late(.whole), access) ?? .again : .again
    }
    return lookAtTime(access)
  }

  /// A step in a thread that others use as well: `SIGPIPE` is blocked while a pipe may be used, and only then.
  mutating func stepAmongOthers(_ access: Access) -> Step {
    guard streams.contains(where: \.wantsPipe) else { return step(access, isWithoutSignal: false) }
    return Syscalls.withoutBrokenPipe { step(access, isWithoutSignal: true) }
  }

  private func canMove(_ side: PumpCourse.Side) -> Bool { mayMove[side] && course.isCopying(from: side) }

  /// Notes an event at one of the sockets: the next step looks there. An event reports the whole state of the socket,
  /// of which counts what a direction waits for: bytes at its source, or else room at its destination.
  mutating func note(_ number: CInt, _ readiness: Readiness, _ access: Access) {
    for side in PumpCourse.Side.allCases where cores[side.rawValue].number(access) == number {
      // A secured connection may have to receive before it can send, and the other way round.
      if !cores[side.rawValue].isPlain { return noteAll() }
      // An error, a hang-up or the peer's end.
      if readiness.contains(.inputIsPartial) { hasNews[side] = true }
      if readiness.contains(.input), isStarved[side] { mayMove[side] = true }
      if readiness.contains(.output), !isStarved[side.other] { mayMove[side.other] = true }
    }
  }

  /// Has the next step look everywhere.
  mutating func noteAll() { (mayMove, hasNews) = (BothSides(true), BothSides(true)) }

  /// Takes an event to the course, and carries out what follows.
  private mutating func take(_ event: PumpCourse.Event, _ access: Access) -> Step? {
    switch course.handle(event) {
    case .finishSending(let side):
      // A failure stands in the connection's state, and is found there.
      _ = try? cores[side.rawValue].finishSendingIfConnected(access)
      renew()
      return nil
    case .close: return .over(.close)
    case .abort: return .over(.abort)
    case nil: return nil
    }
  }

  /// Looks at the connections that are not read at the moment: nothing else says that they have failed.
  private mutating func lookForFailures(_ access: Access) -> Step? {
    for side in PumpCourse.Side.allCases where hasNews[side] && !course.hasFailed(side) {
      hasNews[side] = false
      // The attempt to receive has looked.
      if isStarved[side], course.isCopying(from: side) { continue }
      if cores[side.rawValue].takeError(access) != nil, let over = take(.failed(side), access) { return over }
    }
    return nil
  }

  private mutating func lookForAcknowledgements(_ access: Access) -> Step? {
    for side in PumpCourse.Side.allCases {
      let core = cores[side.rawValue]
      #if TLS
      if core.isSecured { core.flushSecured(access) }
      #endif
      guard course.awaitsAcknowledgement(of: side) else { continue }
      // A Unix socket keeps what was sent, also when it is closed: a reset need not wait for its reader.
      let isKept = core.family == .unix && course.owesReset == side
      guard isKept || unacknowledged(core, access) <= core.queueFloor else { continue }
      if let over = take(.acknowledged(side), access) { return over }
    }
    return nil
  }

  /// The bytes that a peer has not acknowledged; the FIN counts as one.
  private func unacknowledged(_ core: Core, _ access: Access) -> Int {
    var count = (try? Syscalls.queue(core.number(access), CInt(FIN_SIOCOUTQ))) ?? 0
    #if TLS
    count += core.unsentRecords
    #endif
    return count
  }

  // MARK: Time

  /// Begins the time without a byte anew.
  private mutating func renew() {
    quiet = Deadline(allowing: course.isHalfClosed ? times.halfClosed : times.idle)
    queuedBefore = nil
    pause = .milliseconds(1)
  }

  private mutating func lookAtTime(_ access: Access) -> Step {
    if whole.hasPassed, let over = take(.late(.whole), access) { return over }
    if let side = course.owesReset {
      let end = delivery ?? Deadline(after: times.delivery)
      delivery = end
      if end.hasPassed, let over = take(.undelivered, access) { return over }
      guard course.awaitsAcknowledgement(of: side) else { return .wait(min(end, whole)) }
      // The last acknowledgement is no event: the socket was ready to send before it.
      defer { pause = min(pause * 2, .milliseconds(20)) }
      return .wait(min(min(end, whole), Deadline(after: pause)))
    }
    if quiet.hasPassed {
      // Bytes that leave the queue of a peer that reads slowly are moving as well.
      let queued = cores.map { unacknowledged($0, access) }
      if queued == [0, 0] || queued == queuedBefore {
        if let over = take(.late(course.isHalfClosed ? .halfClosed : .idle), access) { return over }
      }
      renew()
      queuedBefore = queued
    }
    return .wait(min(quiet, whole))
  }
}

/// A value for each side of a pump.
struct BothSides<Value> {
  private var first: Value
  private var second: Value

  init(_ both: Value) { (first, second) = (both, both) }

  subscript(side: PumpCourse.Side) -> Value {
    get { side == .first ? first : second }
    set { if side == .first { first = newValue } else { second = newValue } }
  }
}
