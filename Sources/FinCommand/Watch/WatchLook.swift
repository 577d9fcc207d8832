import FinDoctor

/// A look at the machine as `fin watch` keeps it: what its panes show, without the census that it was read from.
///
/// A census of a hundred thousand sockets takes tens of megabytes; of each socket only a row stays.
struct WatchLook: Sendable {
  var when = Census.Moment()
  /// Whether it comes from a history.
  var isPast = false
  /// The time that the look took, with its findings.
  var took = Duration.zero
  var socketCount = 0
  var processCount = 0
  var findings: [WatchFinding] = []
  /// The number of findings below the threshold.
  var below = 0
  var muted = 0
  /// The rows of the sockets, in the order of the census; then those of descriptors that no table lists.
  var rows: [WatchRow] = []
  var programs: [Int32: Program] = [:]
  var states: [WatchState] = []
  /// The changes since the look before; nil for the first one.
  var flows: WatchFlows?
  var listeners: [WatchListener] = []
  var budgets: [WatchBudget] = []
  var tallies: [WatchTally] = []
  /// The gaps of the look, one sentence each.
  var hidden: [String] = []
  var unseenHolders = 0
  var namespaceNames: [String] = []
  var namespaceInodes: [UInt32] = []
  /// The findings that began, worsened or ended with this look.
  var events: [WatchEvent] = []

  /// `nginx[812]`, or `-` without a process.
  func label(_ pid: Int32) -> String { pid == 0 ? "-" : "\(programs[pid]?.name ?? Phrase.ended)[\(pid)]" }

  /// The number of findings of a severity.
  func count(_ severity: Severity) -> Int { findings.count { $0.finding.severity == severity } }
}

/// A finding of a look.
struct WatchFinding: Sendable {
  var finding: Finding
  /// Findings that explain each other share it.
  var chain: Int
  /// Whether it stands below its cause.
  var isEffect: Bool
  /// The same number in each look, for as long as the finding stands.
  var number = 0
  /// The rows of its sockets.
  var members: [Int32] = []
  /// The socket that `fin explain` would show.
  var subject: WatchSubject?
}

/// The subject that an explanation is about, by names that stay the same from look to look.
enum WatchSubject: Hashable, Sendable {
  /// A TCP, UDP or MPTCP socket, by ``InetSocket/identity``.
  case socket(UInt64)
  /// A Unix socket, by its cookie.
  case unix(UInt64)
  case descriptor(pid: Int32, number: Int32)
  case budget(PortBudget.Route)
}

/// One TCP, UDP or MPTCP socket, or a descriptor whose socket no table lists.
struct WatchRow: Sendable {
  var identity: UInt64 = 0
  var cookie: UInt64 = 0
  var local = NetworkAddress(AddressBits(), isIPv6: false)
  var remote = NetworkAddress(AddressBits(), isIPv6: false)
  var since = AgeBounds.unknown
  var receiveQueue: UInt32 = 0
  var sendQueue: UInt32 = 0
  var user: UInt32 = 0
  /// The process with the lowest number that holds it; 0 for none.
  var pid: Int32 = 0
  var descriptor: Int32 = -1
  var localPort: UInt16 = 0
  var remotePort: UInt16 = 0
  var namespace: UInt16 = 0
  var state = SocketState.closed
  var transport = Transport.tcp
  /// The severity of the worst finding about it.
  var severity: Severity?
  var isDetached = false
  var isWaiting = false
  var hasInode = false
  /// Whether another descriptor holds it too.
  var isShared = false

  /// Whether it has a state of TCP.
  var hasState: Bool { transport != .udp && !isDetached }

  var subject: WatchSubject { isDetached ? .descriptor(pid: pid, number: descriptor) : .socket(identity) }

  var stateName: String { isDetached ? "DETACHED" : state.description }
}

/// A state of TCP with its sockets.
struct WatchState: Sendable {
  var name: String
  var count = 0
  /// The time in the state of the socket with the highest lower bound.
  var oldest: AgeBounds?
  /// The severity of the worst finding about a socket in this state.
  var severity: Severity?
}

struct WatchListener: Sendable {
  var name: String
  var owner: String
  var subject: WatchSubject
  var port: UInt16
  var overview: ListenerOverview
}

struct WatchBudget: Sendable {
  var name: String
  /// The program with most of its ports.
  var user: String
  var budget: PortBudget
}

/// The sockets of one process, counted.
struct WatchTally: Sendable {
  var pid: Int32
  var name: String
  var sockets = 0
  var established = 0
  var closeWait = 0
  var listening = 0
  var receiveQueue: UInt64 = 0
  var sendQueue: UInt64 = 0
  /// The number of its descriptors; nil where the kernel does not report it.
  var descriptors: Int?
  var descriptorLimit: UInt64?
  var severity: Severity?

  /// The used part of the limit on descriptors, from 0 to 1.
  var share: Double {
    guard let descriptors, let descriptorLimit, descriptorLimit > 0 else { return 0 }
    return Double(descriptors) / Double(descriptorLimit)
  }
}
