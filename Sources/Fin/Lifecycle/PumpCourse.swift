/// The course of a pump: how far each of its two directions has come, and what an end in one place means for the other.
///
/// It makes no system call, reads no clock and imports nothing. The shell, which moves the bytes, passes each event to
/// ``handle(_:)`` and carries out the action that comes back. An event that comes too late, or twice, changes nothing.
///
/// - A FIN is passed on as a FIN, once the destination's kernel has accepted all that came before it.
/// - A reset is passed on as a reset, once the destination's peer has acknowledged all that came before it. What the
///   destination still sends then has no reader, and is left.
/// - A connection that fails while bytes are sent to it has ended as a whole. What it had sent before is still
///   delivered, and then the other connection is reset.
/// - When both directions have finished, the pump ends once both peers have acknowledged everything.
struct PumpCourse: Hashable {
  /// One of the two connections; also the direction whose source it is.
  enum Side: Int, CaseIterable {
    case first, second

    var other: Side { self == .first ? .second : .first }
  }

  /// The way in which a source ended. All bytes before the end have been accepted by the destination's kernel by then.
  enum SourceEnd: Hashable {
    /// FIN, or close_notify on a secured connection.
    case finish
    case reset
    /// A secured stream without its close_notify.
    case truncation
  }

  /// The state of a direction.
  enum State: Hashable {
    /// Bytes are moved from the source to the destination.
    case copying
    /// The source was reset or cut off, and its bytes are all with the destination's kernel. The reset follows when the
    /// destination's peer has acknowledged them.
    case drained(SourceEnd)
    /// There is nothing more to do in this direction.
    case finished(PumpEnding)
  }

  /// An observation of the shell.
  enum Event: Hashable {
    /// The source of this direction has ended.
    case ended(Side, SourceEnd)
    /// This connection has failed: its peer takes nothing more. What it sent before may still be there to receive.
    case failed(Side)
    /// The peer of this connection has acknowledged all that it was sent, also the FIN if there was one.
    case acknowledged(Side)
    /// A time limit has passed.
    case late(PumpLimit)
    /// The time for the delivery before a reset has passed.
    case undelivered
    /// One of the connections is being closed from elsewhere, or the task is cancelled.
    case closed
  }

  /// A step that the shell has to take.
  enum Action: Hashable {
    /// Passes the end of the stream on to this connection: FIN.
    case finishSending(Side)
    /// Closes both connections. Both directions have finished.
    case close
    /// Resets both connections.
    case abort
  }

  private var states: [State] = [.copying, .copying]
  private var hasFailed = [false, false]
  private var hasAcknowledged = [false, false]
  /// Whether the pump is over.
  private(set) var isOver = false

  init() {}

  /// The state of the direction from this side to the other one.
  subscript(from side: Side) -> State {
    get { states[side.rawValue] }
    set { states[side.rawValue] = newValue }
  }

  func isCopying(from side: Side) -> Bool { self[from: side] == .copying }

  /// Whether this connection has failed.
  func hasFailed(_ side: Side) -> Bool { hasFailed[side.rawValue] }

  /// Whether one direction has finished with a FIN, and the other goes on.
  var isHalfClosed: Bool { Side.allCases.contains { self[from: $0] == .finished(.finished) } }

  /// The connection that is to be reset once everything that was sent to it is acknowledged; `nil` while there is none.
  var owesReset: Side? {
    if isOver { return nil }
    return Side.allCases.first { hasFailed[$0.other.rawValue] && !hasFailed[$0.rawValue] }
  }

  /// Whether this connection's acknowledgement decides what comes next.
  func awaitsAcknowledgement(of side: Side) -> Bool {
    if isOver || isCopying(from: side.other) { return false }
    if let owesReset { return owesReset == side }
    return areBothFinished && !hasAcknowledged[side.rawValue]
  }

  private var areBothFinished: Bool { states == [.finished(.finished), .finished(.finished)] }

  /// Takes an event.
  ///
  /// - Returns: what follows from it; `nil` when nothing does.
  mutating func handle(_ event: Event) -> Action? {
    if isOver { return nil }
    switch event {
    case .ended(let side, let end):
      guard isCopying(from: side) else { return nil }
      switch end {
      case .finish:
        self[from: side] = .finished(.finished)
        return .finishSending(side.other)
      case .reset, .truncation:
        self[from: side] = .drained(end)
        return fail(side)
      }
    case .failed(let side):
      return fail(side)
    case .acknowledged(let side):
      guard awaitsAcknowledgement(of: side) else { return nil }
      if owesReset == side { return passReset() }
      hasAcknowledged[side.rawValue] = true
      return hasAcknowledged == [true, true] ? end(.close, as: .finished) : nil
    case .undelivered:
      return owesReset == nil ? nil : passReset()
    case .late(let limit):
      // Each peer has the other's FIN. What is left is a matter of the close, whose report names the bytes.
      return areBothFinished && owesReset == nil ? end(.close, as: .finished) : end(.abort, as: .timedOut(limit))
    case .closed:
      return end(.abort, as: .closed)
    }
  }

  /// Records that a connection has failed. What it would still be sent has no reader.
  private mutating func fail(_ side: Side) -> Action? {
    hasFailed[side.rawValue] = true
    switch self[from: side.other] {
    case .copying, .drained: self[from: side.other] = .finished(.undeliverable)
    case .finished: break
    }
    // Both have failed: there is nothing to pass on, and no peer to pass it to.
    guard hasFailed[side.other.rawValue] else { return nil }
    return end(.abort, as: .undeliverable)
  }

  private mutating func passReset() -> Action { end(.abort, as: .reset) }

  /// Ends the pump, and every direction that has not ended yet.
  private mutating func end(_ action: Action, as ending: PumpEnding) -> Action {
    for side in Side.allCases {
      switch self[from: side] {
      case .copying: self[from: side] = .finished(ending)
      // Its reset is passed on now, whatever ends the pump.
      case .drained(.truncation): self[from: side] = .finished(.truncated)
      case .drained(.reset), .drained(.finish): self[from: side] = .finished(.reset)
      case .finished: break
      }
    }
    isOver = true
    return action
  }
}
