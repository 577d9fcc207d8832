/// What the kernel allows, out of `/proc/sys`: some of it for each namespace, the rest for the machine. Nil is unknown.
public struct KernelLimits: Hashable, Sendable {
  // MARK: Of the namespace

  /// The ports that connect and bind choose from (`ip_local_port_range`).
  public var ephemeralPorts: ClosedRange<UInt16>?
  /// Ports that are never chosen (`ip_local_reserved_ports`).
  public var reservedPorts: [ClosedRange<UInt16>] = []
  /// How long a closed socket may rest in FIN-WAIT-2 (`tcp_fin_timeout`).
  public var finTimeout: Duration?
  /// Whether a port in TIME-WAIT is used again: 0 no, 1 yes, 2 on the loopback only (`tcp_tw_reuse`).
  public var timeWaitReuse: Int?
  /// How old it must be for that (`tcp_tw_reuse_delay`).
  public var timeWaitReuseDelay: Duration?
  /// How many entries in TIME-WAIT there may be (`tcp_max_tw_buckets`).
  public var timeWaitEntries: Int?
  /// The most that may wait for accept, whatever `listen` was given (`somaxconn`).
  public var listenBacklog: Int?
  /// How many connection requests a listener remembers (`tcp_max_syn_backlog`).
  public var synBacklog: Int?
  /// Connections the packet filter tracks, and the most that it can.
  public var trackedConnections: Int?
  /// The most that the packet filter can track (`nf_conntrack_max`).
  public var trackedConnectionsLimit: Int?

  // MARK: Of the machine

  /// How many connections without a program there may be (`tcp_max_orphans`).
  public var orphans: Int?
  /// Pages of memory at which TCP is at ease, under pressure, and refuses (`tcp_mem`).
  public var memoryPages: [Int] = []
  /// Open files of the machine (`file-nr`).
  public var openFiles: Int?
  /// The most there may be (`file-max`).
  public var openFilesLimit: Int?

  /// Nothing known.
  public init() {}

  /// How many ports there are to choose from.
  public var ephemeralPortCount: Int? {
    guard let range = ephemeralPorts else { return nil }
    return range.count - reservedPorts.reduce(0) { $0 + ($1.overlaps(range) ? $1.clamped(to: range).count : 0) }
  }

  /// Whether connect may choose this port by itself.
  public func isEphemeral(_ port: UInt16) -> Bool {
    ephemeralPorts?.contains(port) == true && !reservedPorts.contains { $0.contains(port) }
  }
}
