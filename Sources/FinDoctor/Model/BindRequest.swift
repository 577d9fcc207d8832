/// A bind to judge: an address, a port, and the properties that decide which sockets conflict with it.
package struct BindRequest: Hashable, Sendable {
  /// The address; unspecified stands for every address of the machine.
  package var address: NetworkAddress
  /// The port, above 0.
  package var port: UInt16
  /// TCP for a listener, or UDP.
  package var transport: Transport
  /// Whether a socket on `::` excludes IPv4 (`IPV6_V6ONLY`).
  package var isIPv6Only: Bool
  /// An index in ``Census/namespaces``.
  package var namespace: UInt16

  /// Creates a request to bind an address and port.
  /// - Parameters:
  ///   - address: The address; unspecified stands for every address of the machine.
  ///   - port: The port, above 0.
  ///   - transport: TCP or UDP.
  ///   - isIPv6Only: Whether a socket on `::` excludes IPv4.
  ///   - namespace: An index in ``Census/namespaces``.
  package init(
    _ address: NetworkAddress, port: UInt16, transport: Transport = .tcp, isIPv6Only: Bool = false,
    namespace: UInt16 = 0
  ) {
    self.address = address
    self.port = port
    self.transport = transport
    self.isIPv6Only = isIPv6Only
    self.namespace = namespace
  }

  /// Whether this socket and the requested one would receive the same packets, so that the kernel compares
  /// their options.
  package func meets(_ socket: InetSocket) -> Bool {
    guard socket.transport == transport, socket.namespace == namespace, socket.localPort == port else { return false }
    // A link-local address belongs to its interface. A socket that is bound to no interface meets all of them.
    if address.isLinkLocal, address.interface != 0, socket.interface != 0, address.interface != socket.interface {
      return false
    }
    // A connection whose handshake is unfinished is not in the kernel's bind table.
    if socket.state == .synReceived || socket.state == .newSynReceived { return false }
    return overlaps(socket)
  }

  /// Compares the addresses as the kernel does: a socket on `::` also takes IPv4, unless it has `IPV6_V6ONLY`, and
  /// 1.2.3.4 equals `::ffff:1.2.3.4`.
  private func overlaps(_ socket: InetSocket) -> Bool {
    let other = socket.localAddress
    switch (isAny, address.asIPv4 != nil, isAny(socket), other.asIPv4 != nil) {
    case (true, true, _, _), (_, _, true, true):
      // With 0.0.0.0 on one side, the other side conflicts if it takes IPv4 at all.
      return takesIPv4 && takesIPv4(socket)
    case (true, false, true, false): return true
    case (true, false, _, let isV4): return isV4 ? !isIPv6Only : true
    case (_, let isV4, true, false): return isV4 ? socket.isIPv6Only != true : true
    default:
      if let v4 = address.asIPv4 { return v4 == other.asIPv4 }
      return address.bits == other.bits
    }
  }

  private var isAny: Bool { address.isUnspecified || address.asIPv4 == 0 }
  private func isAny(_ socket: InetSocket) -> Bool {
    socket.localAddress.isUnspecified || socket.localAddress.asIPv4 == 0
  }
  private var takesIPv4: Bool { address.asIPv4 != nil || address.isUnspecified && !isIPv6Only }
  private func takesIPv4(_ socket: InetSocket) -> Bool {
    let address = socket.localAddress
    return address.asIPv4 != nil || address.isUnspecified && socket.isIPv6Only != true
  }
}

extension BindRequest: CustomStringConvertible {
  /// `tcp 127.0.0.1:80`.
  package var description: String { "\(transport) \(address.with(port: port))" }
}
