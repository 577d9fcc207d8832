/// What the shell has to do when a phase changes, in the order of the cases' bits.
public struct Actions: OptionSet, Hashable, Sendable, CustomStringConvertible {
  public let rawValue: UInt16
  public init(rawValue: UInt16) { self.rawValue = rawValue }

  /// `shutdown(SHUT_RD)` on a listener: the port stays ours, the queue is reset. On a Unix listener, for which
  /// that would be the end, `listen(0)`: the queue stays.
  public static let shutdownRead = Actions(rawValue: 1 << 0)
  /// `shutdown(SHUT_WR)`: the FIN goes behind everything accepted so far.
  public static let shutdownWrite = Actions(rawValue: 1 << 1)
  /// `listen(2)` again, with the backlog the listener was made with.
  public static let widenBacklog = Actions(rawValue: 1 << 2)
  /// `listen(2)` with a backlog of 0: no new clients, and those queued stay. On a Unix listener
  /// `shutdown(SHUT_RD)`, which does just that; on an adopted one nothing, because others may hold it.
  public static let narrowBacklog = Actions(rawValue: 1 << 3)
  /// Wait for the edge that says acknowledged, end of file, or error.
  public static let watch = Actions(rawValue: 1 << 4)
  /// Read what has arrived and count it, so that closing does not turn it into a reset.
  public static let discardInput = Actions(rawValue: 1 << 5)
  /// Bound the life of the kernel's orphan: `TCP_USER_TIMEOUT` and `TCP_LINGER2`.
  public static let boundOrphan = Actions(rawValue: 1 << 6)
  /// Read what the kernel knows, before anything spoils it: `SIOCOUTQ`, `SIOCOUTQNSD`, `TCP_INFO`.
  public static let snapshot = Actions(rawValue: 1 << 7)
  /// `SO_LINGER {1, 0}`, so that `close(2)` sends a reset.
  public static let armReset = Actions(rawValue: 1 << 8)
  /// Tell of the leak.
  public static let reportLeak = Actions(rawValue: 1 << 9)
  /// `close(2)`, once.
  public static let release = Actions(rawValue: 1 << 10)
  /// Hand the number to the caller.
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

/// How a life ended, as far as the table can know; the shell adds what the kernel says to make an ``Ending``.
public enum Outcome: Hashable, Sendable, CaseIterable {
  /// Everything of ours is acknowledged.
  case acknowledged
  /// The same, and the peer finished too.
  case peerFinished
  /// A reset, or the kernel gave up; what it was is in the kernel's own words.
  case failure
  /// A budget of ours was spent.
  case timedOut
  /// We sent the reset.
  case aborted
  /// Released at once; the kernel goes on alone.
  case background
  /// Dropped open, reported and released.
  case leaked
  /// Given away.
  case detached
  /// There was no connection to end.
  case released
}

/// One row of the lifecycle: in this phase, on this event, go there and do that.
public struct Transition: Hashable, Sendable {
  /// Where the socket is.
  public let phase: Phase
  /// What happens.
  public let event: Event
  /// Where it is then.
  public let next: Phase
  /// What has to be done.
  public let actions: Actions
  /// Present exactly when `next` is ``Phase/closed``.
  public let outcome: Outcome?

  init(_ phase: Phase, _ event: Event, _ next: Phase, _ actions: Actions = [], _ outcome: Outcome? = nil) {
    self.phase = phase
    self.event = event
    self.next = next
    self.actions = actions
    self.outcome = outcome
  }
}
