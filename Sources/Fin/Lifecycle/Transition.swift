extension Lifecycle {
  /// The actions that the shell carries out when a phase changes, in the order of their bits.
  public struct Actions: OptionSet, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt16
    public init(rawValue: UInt16) { self.rawValue = rawValue }

    /// `shutdown(SHUT_RD)` on a listener: the port stays ours, and the queue is reset. On a Unix listener, which that
    /// call would end, `listen(0)`: the queue stays.
    public static let shutdownRead = Actions(rawValue: 1 << 0)
    /// `shutdown(SHUT_WR)`: the FIN follows all the bytes accepted so far.
    public static let shutdownWrite = Actions(rawValue: 1 << 1)
    /// `listen(2)` again, with the backlog the listener was made with.
    public static let widenBacklog = Actions(rawValue: 1 << 2)
    /// `listen(2)` with a backlog of 0: no new clients, and those queued stay. On a Unix listener `shutdown(SHUT_RD)`,
    /// which has that effect; on an adopted listener nothing, because other processes may hold it.
    public static let narrowBacklog = Actions(rawValue: 1 << 3)
    /// Wait for the edge that reports an acknowledgement, EOF or an error.
    public static let watch = Actions(rawValue: 1 << 4)
    /// Read what has arrived and count it, so that closing does not turn it into a reset.
    public static let discardInput = Actions(rawValue: 1 << 5)
    /// Limit the life of the kernel's orphan: `TCP_USER_TIMEOUT` and `TCP_LINGER2`.
    public static let boundOrphan = Actions(rawValue: 1 << 6)
    /// Read the kernel's counters before a later action changes them: `SIOCOUTQ`, `SIOCOUTQNSD`, `TCP_INFO`.
    public static let snapshot = Actions(rawValue: 1 << 7)
    /// `SO_LINGER {1, 0}`, so that `close(2)` sends a reset.
    public static let armReset = Actions(rawValue: 1 << 8)
    /// Report the leak.
    public static let reportLeak = Actions(rawValue: 1 << 9)
    /// `close(2)`, once.
    public static let release = Actions(rawValue: 1 << 10)
    /// Give the descriptor to the caller.
    public static let handOver = Actions(rawValue: 1 << 11)

    static let names: [(Actions, String)] = [
      (.shutdownRead, "shutdown(SHUT_RD)"), (.shutdownWrite, "shutdown(SHUT_WR)"), (.widenBacklog, "listen(backlog)"),
      (.narrowBacklog, "listen(0)"), (.watch, "watch"), (.discardInput, "discard input"),
      (.boundOrphan, "bound the orphan"), (.snapshot, "snapshot"), (.armReset, "arm the reset"),
      (.reportLeak, "report the leak"), (.release, "release"), (.handOver, "hand over"),
    ]

    public var description: String {
      Actions.names.filter { contains($0.0) }.map(\.1).joined(separator: ", ")
    }
  }

  /// The way in which a socket's life ended, as far as the table can know; the shell adds the kernel's report to make
  /// an ``Ending``.
  public enum Outcome: Hashable, Sendable, CaseIterable {
    /// Everything that we sent is acknowledged.
    case acknowledged
    /// Everything that we sent is acknowledged, and the peer finished too.
    case peerFinished
    /// A reset arrived, or the kernel gave up; the kernel's error code has the cause.
    case failure
    /// A limit of ours was reached.
    case timedOut
    /// We sent the reset.
    case aborted
    /// Released at once; the kernel goes on alone.
    case background
    /// Dropped while open, then reported and released.
    case leaked
    /// Given to the caller by a detach.
    case detached
    /// There was no connection to end.
    case released
  }

  /// One row of the lifecycle's table: a phase and an event, the next phase, and the actions.
  public struct Transition: Hashable, Sendable {
    /// The phase in which the event occurs.
    public let phase: Phase
    /// The event of this row.
    public let event: Event
    /// The phase after the event.
    public let next: Phase
    /// The actions to carry out.
    public let actions: Actions
    /// The outcome; present exactly when `next` is ``Phase/closed``.
    public let outcome: Outcome?

    init(_ phase: Phase, _ event: Event, _ next: Phase, _ actions: Actions = [], _ outcome: Outcome? = nil) {
      self.phase = phase
      self.event = event
      self.next = next
      self.actions = actions
      self.outcome = outcome
    }
  }
}
