/// The sockets that a user wants to destroy, named by one end or by both.
package struct SocketTarget: Hashable, Sendable {
  /// One end of a connection. A link-local address with an interface belongs to that link alone.
  package struct End: Hashable, Sendable {
    /// The address; an IPv4 address equals the IPv6 address that it is mapped to.
    package var address: WrittenAddress
    /// The port; 0 matches nothing.
    package var port: UInt16

    /// Creates an end.
    /// - Parameters:
    ///   - address: The address.
    ///   - port: The port, above 0.
    package init(_ address: NetworkAddress, port: UInt16) { self.init(written: WrittenAddress(address), port: port) }

    /// Creates an end whose interface may be a name.
    package init(written address: WrittenAddress, port: UInt16) {
      self.address = address
      self.port = port
    }

    /// Whether it matches this address and port.
    /// - Parameters:
    ///   - other: A socket's address.
    ///   - port: Its port.
    ///   - namespace: Its network namespace.
    package func names(_ other: NetworkAddress, _ port: UInt16, in namespace: Namespace) -> Bool {
      guard port == self.port, port != 0 else { return false }
      let own = address.address
      if let v4 = own.asIPv4 { return v4 == other.asIPv4 }
      guard own.isIPv6 == other.isIPv6, own.bits == other.bits, let interface = address.interface(in: namespace) else {
        return false
      }
      return interface == 0 || interface == other.interface
    }
  }

  /// The local end; without a ``second`` one, either end.
  package var first: End
  /// The remote end; nil for any.
  package var second: End?

  /// Creates a target from one or both ends.
  /// - Parameters:
  ///   - first: The local end; without a second one, either end.
  ///   - second: The remote end.
  package init(_ first: End, _ second: End? = nil) {
    self.first = first
    self.second = second
  }

  /// Whether this socket is a target.
  /// - Parameters:
  ///   - socket: Its row.
  ///   - namespace: Its network namespace.
  package func matches(_ socket: InetSocket, in namespace: Namespace = Namespace()) -> Bool {
    let isLocal = first.names(socket.localAddress, socket.localPort, in: namespace)
    guard let second else { return isLocal || first.names(socket.remoteAddress, socket.remotePort, in: namespace) }
    return isLocal && second.names(socket.remoteAddress, socket.remotePort, in: namespace)
  }
}

extension InetSocket {
  /// The reason why destroying a socket has to be requested explicitly or cannot work.
  package enum Sparing: Hashable, Sendable {
    /// A listener. Without it, new clients are refused.
    case listener
    /// Bound and nothing more. The kernel finds no such socket to destroy.
    case bound
  }

  /// The reason not to destroy the socket without an explicit request; nil for a connection.
  package var sparing: Sparing? {
    if transport == .udp { return nil }
    return state == .listen ? .listener : state == .bound ? .bound : nil
  }

  /// The effect of destroying the socket on its program and on its peer, in words.
  package var effectOfDestruction: String {
    if transport == .udp {
      return "Its program gets ECONNABORTED once, and a port that it asked for stays bound; the peer receives nothing."
    }
    switch state {
    case .timeWait: return "The kernel removes the entry and the port is free at once; no program is notified."
    case .finWait2 where inode == 0 && info.isEmpty:
      return "The kernel removes the entry and the port is free at once; the peer notices when it sends."
    case .listen:
      return "It stops listening: its program gets EINVAL from accept, and clients that wait are reset. A port that it "
        + "asked for stays bound."
    case .synSent: return "Its program gets ECONNABORTED; the peer receives nothing."
    case .lastAck, .closing: return "Undelivered data is lost; the peer receives nothing."
    case .synReceived, .newSynReceived: return "The kernel gives up the handshake."
    case .established, .closeWait, .finWait1, .finWait2:
      if isWaitingForAccept {
        return "The kernel sends the peer a RST. The connection keeps its place in the queue until the program accepts "
          + "it; the first call then gets ECONNABORTED."
      }
      return inode == 0
        ? "The kernel sends the peer a RST; undelivered data is lost."
        : "Its program gets ECONNABORTED, and the kernel sends the peer a RST."
    default: return "Its program gets ECONNABORTED."
    }
  }
}
