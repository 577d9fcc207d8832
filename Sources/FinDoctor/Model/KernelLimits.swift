/// The kernel's limits, from `/proc/sys`: some for each namespace, the others for the machine. Nil means unknown.
public struct KernelLimits: Hashable, Sendable {
  // MARK: Limits of the namespace

  /// The ports from which connect and bind choose (`ip_local_port_range`).
  package var ephemeralPorts: ClosedRange<UInt16>?
  /// The ports that are never chosen (`ip_local_reserved_ports`).
  package var reservedPorts: [ClosedRange<UInt16>] = []
  /// The longest time that a closed socket stays in FIN-WAIT-2 (`tcp_fin_timeout`).
  package var finTimeout: Duration?
  /// Whether a port in TIME-WAIT is reused: 0 no, 1 yes, 2 on the loopback only (`tcp_tw_reuse`).
  package var timeWaitReuse: Int?
  /// The age at which an entry in TIME-WAIT may be reused (`tcp_tw_reuse_delay`).
  package var timeWaitReuseDelay: Duration?
  /// The limit on entries in TIME-WAIT (`tcp_max_tw_buckets`).
  package var timeWaitEntries: Int?
  /// The limit on a listener's accept queue, whatever backlog `listen` was given (`somaxconn`).
  package var listenBacklog: Int?
  /// The number of connection requests that a listener remembers (`tcp_max_syn_backlog`).
  package var synBacklog: Int?
  /// The number of connections that the packet filter tracks (`nf_conntrack_count`).
  package var trackedConnections: Int?
  /// The limit on connections that the packet filter tracks (`nf_conntrack_max`).
  package var trackedConnectionsLimit: Int?

  // MARK: Limits of the machine

  /// The limit on connections that no program holds (`tcp_max_orphans`).
  package var orphans: Int?
  /// Three numbers of memory pages (`tcp_mem`): below the first, TCP's use is unrestricted; from the second on, TCP is
  /// under pressure; at the third, it refuses.
  package var memoryPages: [Int] = []
  /// The largest receive buffer that a program without privileges may set with `SO_RCVBUF`, in bytes (`rmem_max`).
  package var receiveBuffer: Int?
  /// The number of open files on the machine (`file-nr`).
  package var openFiles: Int?
  /// The limit on open files (`file-max`).
  package var openFilesLimit: Int?

  /// No limit known.
  public init() {}

  /// The number of ports to choose from.
  package var ephemeralPortCount: Int? {
    guard let range = ephemeralPorts else { return nil }
    return range.count - reservedPorts.reduce(0) { $0 + ($1.overlaps(range) ? $1.clamped(to: range).count : 0) }
  }

  /// Whether connect may choose this port.
  package func isEphemeral(_ port: UInt16) -> Bool {
    ephemeralPorts?.contains(port) == true && !reservedPorts.contains { $0.contains(port) }
  }
}
