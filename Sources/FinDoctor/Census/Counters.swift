/// The kernel's counters of one namespace: `/proc/net/netstat`, `snmp` and `sockstat`, under the names they have there.
///
/// Most of them only grow, so that the difference of two looks counts what happened between them.
public struct Counters: Hashable, Sendable {
  /// `TcpExt.ListenOverflows`, `Tcp.ActiveOpens`, `sockstat.TCP.tw`.
  public var values: [String: Int64]

  /// From their names and values.
  public init(_ values: [String: Int64] = [:]) { self.values = values }

  /// The value of a counter; nil when this kernel has none of that name.
  public subscript(name: String) -> Int64? { values[name] }
}
