internal import FinBase

extension KernelLimits {
  /// The limits of the machine and of the namespace that the calling thread is in.
  static func ofThisThread() -> KernelLimits {
    var limits = KernelLimits()
    let v4 = "/proc/sys/net/ipv4/"
    let range = numbers(v4 + "ip_local_port_range")
    if range.count == 2, range[0] <= range[1], let low = UInt16(exactly: range[0]), let high = UInt16(exactly: range[1])
    {
      limits.ephemeralPorts = low...high
    }
    limits.reservedPorts = (try? Files.read(v4 + "ip_local_reserved_ports")).map { ranges($0) } ?? []
    limits.finTimeout = Files.number(v4 + "tcp_fin_timeout").map { .seconds($0) }
    limits.timeWaitReuse = Files.number(v4 + "tcp_tw_reuse")
    limits.timeWaitReuseDelay = Files.number(v4 + "tcp_tw_reuse_delay").map { .milliseconds($0) }
    limits.timeWaitEntries = Files.number(v4 + "tcp_max_tw_buckets")
    limits.listenBacklog = Files.number("/proc/sys/net/core/somaxconn")
    limits.synBacklog = Files.number(v4 + "tcp_max_syn_backlog")
    limits.trackedConnections = Files.number("/proc/sys/net/netfilter/nf_conntrack_count")
    limits.trackedConnectionsLimit = Files.number("/proc/sys/net/netfilter/nf_conntrack_max")
    limits.orphans = Files.number(v4 + "tcp_max_orphans")
    limits.memoryPages = numbers(v4 + "tcp_mem")
    limits.receiveBuffer = Files.number("/proc/sys/net/core/rmem_max")
    limits.openFiles = Files.number("/proc/sys/fs/file-nr")
    limits.openFilesLimit = Files.number("/proc/sys/fs/file-max")
    return limits
  }

  private static func numbers(_ path: String) -> [Int] {
    guard let bytes = try? Files.read(path, limit: 256) else { return [] }
    return Fields(bytes).compactMap { Int(decimal: $0) }
  }

  /// Reads a list of ports and ranges, which may be empty: `8080,9000-9010`.
  static func ranges(_ bytes: [UInt8]) -> [ClosedRange<UInt16>] {
    Fields(bytes).flatMap { $0.split(separator: UInt8(ascii: ",")) }.compactMap { part in
      let ends = part.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
      guard let low = UInt16(decimal: ends[0]), let high = UInt16(decimal: ends[ends.count - 1]), low <= high,
        ends.count <= 2
      else { return nil }
      return low...high
    }
  }
}
