/// The kernel's counters of one namespace, from `/proc/net/netstat`, `snmp` and `sockstat`, under the kernel's names.
///
/// Most of them only grow, so that the difference of two readings counts the events between them.
package struct Counters: Hashable, Sendable {
  /// The values by name: `TcpExt.ListenOverflows`, `Tcp.ActiveOpens`, `sockstat.TCP.tw`.
  package var values: [String: Int64]

  /// Makes counters from names and values.
  package init(_ values: [String: Int64] = [:]) { self.values = values }

  /// The value of a counter; nil when this kernel has none of that name.
  package subscript(name: String) -> Int64? { values[name] }
}
