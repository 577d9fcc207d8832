/// Sockets as a person names them who wants to end one: by one end, or by both.
public struct SocketTarget: Hashable, Sendable {
  /// One end of a connection. With an interface, a link-local address is of that link alone.
  public struct End: Hashable, Sendable {
    /// The address; an IPv4 address is the same as the IPv6 one that it is mapped to.
    public var address: NetworkAddress
    /// The port; 0 names nothing.
    public var port: UInt16

    /// From both.
    /// - Parameters:
    ///   - address: The address.
    ///   - port: The port, above 0.
    public init(_ address: NetworkAddress, port: UInt16) {
      self.address = address
      self.port = port
    }

    /// Whether it names this address and port.
    /// - Parameters:
    ///   - other: A socket's address.
    ///   - port: Its port.
    public func names(_ other: NetworkAddress, _ port: UInt16) -> Bool {
      guard port == self.port, port != 0 else { return false }
      if let v4 = address.asIPv4 { return v4 == other.asIPv4 }
      return address.isIPv6 == other.isIPv6 && address.bits == other.bits
        && (address.interface == 0 || address.interface == other.interface)
    }
  }

  /// The local end; of a name with one end alone, either.
  public var first: End
  /// The remote end.
  public var second: End?

  /// From its ends.
  /// - Parameters:
  ///   - first: The local end, or without a second one, either end.
  ///   - second: The remote end.
  public init(_ first: End, _ second: End? = nil) {
    self.first = first
    self.second = second
  }

  /// Whether it names this socket.
  /// - Parameter socket: Its row.
  public func matches(_ socket: InetSocket) -> Bool {
    let isLocal = first.names(socket.localAddress, socket.localPort)
    guard let second else { return isLocal || first.names(socket.remoteAddress, socket.remotePort) }
    return isLocal && second.names(socket.remoteAddress, socket.remotePort)
  }
}

extension InetSocket {
  /// Why destroying it needs to be asked for by name, or cannot work; nil for a connection.
  public enum Sparing: Hashable, Sendable {
    /// A listener: whoever wants to connect would be refused.
    case listener
    /// Bound and nothing more: the kernel finds no such socket to end.
    case bound
  }

  /// Why it is no connection that one may simply end.
  public var sparing: Sparing? {
    if transport == .udp { return nil }
    return state == .listen ? .listener : state == .bound ? .bound : nil
  }

  /// What destroying it does, to its program and to its peer, in words.
  public var effectOfDestruction: String {
    if transport == .udp {
      return "Its program gets ECONNABORTED once, and a port that it asked for stays bound; the peer is told nothing."
    }
    switch state {
    case .timeWait: return "The entry goes and the port is free at once; nobody is told."
    case .finWait2 where inode == 0 && info.isEmpty:
      return "The entry goes and the port is free at once; the peer is told when it sends."
    case .listen:
      return "It stops listening: its program gets EINVAL from accept, and clients that wait are reset. A port that it "
        + "asked for stays bound."
    case .synSent: return "Its program gets ECONNABORTED; the peer is told nothing."
    case .lastAck, .closing: return "What was not delivered is lost; the peer is told nothing."
    case .synReceived, .newSynReceived: return "The handshake is given up."
    case .established, .closeWait, .finWait1, .finWait2:
      if isWaitingForAccept {
        return "The peer is sent a RST. Its place in the queue stays taken until it is accepted; the first call then "
          + "gets ECONNABORTED."
      }
      return inode == 0
        ? "The peer is sent a RST; what was not delivered is lost."
        : "Its program gets ECONNABORTED, and the peer is sent a RST."
    default: return "Its program gets ECONNABORTED."
    }
  }
}
