/// The counters of TCP that each network namespace has, and that node_exporter shows for its own one only.
enum NamespaceEvents {
  /// The names, as `/proc/net/snmp` and `/proc/net/netstat` have them, with the section before the point.
  static let names = [
    "TcpExt.ListenOverflows", "TcpExt.ListenDrops", "TcpExt.TCPAbortOnData", "TcpExt.TCPAbortOnClose",
    "TcpExt.TCPAbortOnMemory", "TcpExt.TCPAbortOnTimeout", "TcpExt.TCPTimeWaitOverflow", "TcpExt.TCPReqQFullDrop",
    "Tcp.EstabResets", "Tcp.AttemptFails", "Tcp.OutRsts", "Tcp.RetransSegs",
  ]

  /// The value of the label `event`: the name without its section.
  static func label(_ name: String) -> String { name.split(separator: ".").last.map(String.init) ?? name }
}

extension Census {
  /// The value of the label `netns` for each namespace: `own`, its name, the container or unit of a process in it, or
  /// `unnamed`. The number of a process is never part of it.
  func namespaceLabels(_ containers: ContainerNames) -> [String] {
    namespaces.map { namespace in
      guard namespace.name.hasPrefix("pid ") else { return namespace.name }
      let program = Int32(namespace.name.dropFirst(4)).flatMap { programs[$0] }
      let unit = UnitName.name(ofCgroup: program?.cgroupPath, containers)
      return unit == UnitName.none ? "unnamed" : unit
    }
  }
}
