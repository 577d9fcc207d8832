/// The 25 kinds of finding, each with a short code that does not change.
public enum FindingID: String, CaseIterable, Hashable, Sendable {
  /// The program read EOF and keeps the descriptor open.
  case closeWaitKnown = "L1"
  /// The peer has closed, and the program has not read EOF.
  case closeWaitUnseen = "L2"
  /// Descriptors of sockets that no kernel table lists.
  case detached = "L3"
  /// Few descriptors are left.
  case descriptorLimit = "L4"
  /// Another program holds the socket as well.
  case inherited = "L5"
  /// Sockets that no descriptor holds.
  case noDescriptor = "L6"
  /// Connections closed with data unread, which resets them.
  case closedUnread = "L7"
  /// The program has finished sending, and waits for the peer without a limit.
  case finWait2Held = "H1"
  /// Closed connections whose last bytes the peer does not take.
  case orphans = "H2"
  /// The peer does not read.
  case peerZeroWindow = "W1"
  /// The program does not read.
  case unread = "W2"
  /// The peer acknowledges nothing.
  case unacknowledged = "P1"
  /// Idle connections without keepalive, so that a lost peer is never detected.
  case idleWithoutKeepalive = "P2"
  /// The peer does not answer keepalive probes.
  case keepaliveFailing = "P3"
  /// Connection attempts that get no answer.
  case connectStuck = "P4"
  /// Few local ports are left for a destination.
  case portsExhausted = "E1"
  /// Ports are taken by bind before connect, for every destination at once.
  case bindBeforeConnect = "E2"
  /// Connections are opened and closed so fast that their ports pile up in TIME-WAIT.
  case timeWaitChurn = "E3"
  /// An obstacle to a bind.
  case bindBlocked = "E4"
  /// A listener's accept queue overflowed.
  case acceptOverflow = "A1"
  /// Clients wait in a listener's accept queue.
  case acceptStalled = "A2"
  /// Unfinished handshakes pile up.
  case synBacklog = "A3"
  /// A listener's program has no descriptor left for accept.
  case acceptWithoutDescriptors = "A4"
  /// The machine's TCP memory, or its connection tracking table, is nearly full.
  case memory = "S1"
  /// Unix sockets: a full queue, a peer that has closed, data that is not read.
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

  /// Parses a code or name, in upper or lower case: `L1`, `l1`, `close-wait-known`. Nil for any other text.
  public init?(_ text: String) {
    let wanted = text.lowercased()
    guard let found = Self.allCases.first(where: { $0.rawValue.lowercased() == wanted || $0.name == wanted }) else {
      return nil
    }
    self = found
  }

  /// The findings that a leak gate looks for: descriptors and sockets that were not given back.
  public static let leaks: Set<FindingID> = [
    .closeWaitKnown, .closeWaitUnseen, .detached, .descriptorLimit, .inherited, .noDescriptor,
  ]
}

/// The severity of a finding.
public enum Severity: Int, CaseIterable, Comparable, Hashable, Sendable, CustomStringConvertible {
  /// Worth knowing, and possibly harmless.
  case info
  /// Will cause harm if it continues.
  case warning
  /// Causes harm now, or within minutes.
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
