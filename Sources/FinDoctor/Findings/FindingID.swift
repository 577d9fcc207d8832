/// The 25 things that can be found, each with a short code that stays.
public enum FindingID: String, CaseIterable, Hashable, Sendable {
  /// The program read the end of file and keeps the descriptor.
  case closeWaitKnown = "L1"
  /// The peer has finished, and nobody in the program has read that.
  case closeWaitUnseen = "L2"
  /// Descriptors of sockets that no table lists.
  case detached = "L3"
  /// Few descriptors are left.
  case descriptorLimit = "L4"
  /// Another program holds the socket as well.
  case inherited = "L5"
  /// A socket that no descriptor holds.
  case noDescriptor = "L6"
  /// Connections closed with data unread, which resets them.
  case closedUnread = "L7"
  /// We have finished, and wait for the peer without a limit.
  case finWait2Held = "H1"
  /// Closed connections whose last bytes the peer does not take.
  case orphans = "H2"
  /// The peer does not read.
  case peerZeroWindow = "W1"
  /// We do not read.
  case unread = "W2"
  /// The peer acknowledges nothing.
  case unacknowledged = "P1"
  /// Idle, and nobody asks whether the peer is still there.
  case idleWithoutKeepalive = "P2"
  /// The peer does not answer keepalive.
  case keepaliveFailing = "P3"
  /// Connection attempts that nobody answers.
  case connectStuck = "P4"
  /// Few local ports are left for a destination.
  case portsExhausted = "E1"
  /// Ports are taken by bind before connect, for every destination at once.
  case bindBeforeConnect = "E2"
  /// Connections are opened and closed so fast that ports rest in TIME-WAIT.
  case timeWaitChurn = "E3"
  /// Something stands in the way of a bind.
  case bindBlocked = "E4"
  /// A listener's queue overflowed.
  case acceptOverflow = "A1"
  /// Clients wait in a listener's queue.
  case acceptStalled = "A2"
  /// Handshakes that are not finished pile up.
  case synBacklog = "A3"
  /// A listener's program has no descriptor left to accept with.
  case acceptWithoutDescriptors = "A4"
  /// The machine's memory for TCP, or its table of tracked connections, is nearly full.
  case memory = "S1"
  /// Unix sockets: a full queue, a peer that is gone, data nobody reads.
  case unix = "U1"

  /// The name in words: `close-wait-known`.
  public var name: String {
    switch self {
    case .closeWaitKnown: "close-wait-known"
    case .closeWaitUnseen: "close-wait-unseen"
    case .detached: "detached"
    case .descriptorLimit: "fd-limit"
    case .inherited: "inherited"
    case .noDescriptor: "no-fd-holder"
    case .closedUnread: "closed-with-unread-data"
    case .finWait2Held: "fin-wait2-held"
    case .orphans: "orphans"
    case .peerZeroWindow: "peer-zero-window"
    case .unread: "we-do-not-read"
    case .unacknowledged: "unacknowledged"
    case .idleWithoutKeepalive: "idle-no-keepalive"
    case .keepaliveFailing: "keepalive-failing"
    case .connectStuck: "connect-stuck"
    case .portsExhausted: "ports-exhausted"
    case .bindBeforeConnect: "bind-before-connect"
    case .timeWaitChurn: "time-wait-churn"
    case .bindBlocked: "bind-blocked"
    case .acceptOverflow: "accept-overflow"
    case .acceptStalled: "accept-stalled"
    case .synBacklog: "syn-backlog"
    case .acceptWithoutDescriptors: "listener-at-emfile"
    case .memory: "tcp-memory"
    case .unix: "unix"
    }
  }

  /// The finding of this code or name, in any case: `L1`, `l1`, `close-wait-known`.
  public init?(_ text: String) {
    let wanted = text.lowercased()
    guard let found = Self.allCases.first(where: { $0.rawValue.lowercased() == wanted || $0.name == wanted }) else {
      return nil
    }
    self = found
  }

  /// Those that a leak gate looks at: descriptors and sockets that were not given back.
  public static let leaks: Set<FindingID> = [
    .closeWaitKnown, .closeWaitUnseen, .detached, .descriptorLimit, .inherited, .noDescriptor,
  ]
}

/// How bad it is.
public enum Severity: Int, CaseIterable, Comparable, Hashable, Sendable, CustomStringConvertible {
  /// Worth knowing; may be as it should be.
  case info
  /// Will hurt when it goes on.
  case warning
  /// Hurts now, or within minutes.
  case critical

  public static func < (left: Severity, right: Severity) -> Bool { left.rawValue < right.rawValue }

  public var description: String {
    switch self {
    case .info: "info"
    case .warning: "warning"
    case .critical: "critical"
    }
  }
}
