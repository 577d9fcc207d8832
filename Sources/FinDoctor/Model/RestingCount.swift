/// A number of connections in TIME-WAIT with one destination, or at one port of a server, as a history has it: between
/// two key frames it does not list each of them.
package struct RestingCount: Hashable, Sendable {
  /// An index in ``Census/namespaces``.
  package var namespace: UInt16 = 0
  /// The local address.
  package var local: NetworkAddress
  /// The local port of connections that were accepted there; 0 where connect chose it.
  package var localPort: UInt16 = 0
  /// The remote end of connections whose local port connect chose; no address and port 0 for accepted ones.
  package var remote = NetworkAddress(AddressBits(), isIPv6: false)
  package var remotePort: UInt16 = 0
  /// The process that had them open at an earlier look; 0 where none is known.
  package var pid: Int32 = 0
  package var count = 0

  package init(from local: NetworkAddress) { self.local = local }
}
