extension DatagramSocketProtocol where Self: ~Copyable {
  /// Joins a multicast group: datagrams to it, and to the port of this socket, arrive here as well.
  ///
  /// The socket receives from the groups that it has joined, and from no other: the kernel's default, to receive also
  /// from groups that other programs of the machine have joined, is switched off (``SocketOption/multicastAll``). Its
  /// memberships end with it.
  ///
  /// Several sockets that are bound to one port receive a copy each. Every one of them has to set
  /// ``SocketOption/reuseAddress`` before its bind.
  /// ```swift
  /// let socket = try DatagramSocket(.ipv4)
  /// try socket.set(.reuseAddress, to: true)
  /// try socket.bind(to: .any(port: 5353))
  /// try socket.join(.v4(IPv4Address(224, 0, 0, 251)), on: .named("eth0"))
  /// ```
  /// The corresponding C option is `MCAST_JOIN_GROUP`, or `MCAST_JOIN_SOURCE_GROUP` (RFC 3678). An IPv6 socket joins
  /// IPv4 groups too, unless it is ``SocketOption/ipv6Only``.
  /// - Parameters:
  ///   - group: an address in 224.0.0.0/4 or `ff00::/8`. The scope of an IPv6 group counts as the interface.
  ///   - source: the only sender to hear; join again for a further one. `nil` for every sender. To a socket that
  ///     hears every sender it says which one alone to hear from now on.
  ///   - interface: the interface on which to listen; `nil` for the one that the route to the group names.
  /// - Throws: `.invalid` when the addresses are not of a group and of a sender of the socket's family, and for a Unix
  ///   socket; `.system(EADDRINUSE)` when the socket is a member already, `.system(EADDRNOTAVAIL)` when it is one from
  ///   this sender; `.system(ENODEV)` when there is no such interface, or no route; `.system(ENOBUFS)` at the kernel's
  ///   limit of groups or senders; `.closed`.
  public borrowing func join(
    _ group: IPAddress, from source: IPAddress? = nil, on interface: NetworkInterface? = nil
  ) throws(SocketError) {
    try reference.core.join(group, from: source, on: interface)
  }

  /// Leaves a multicast group, or stops hearing one of its senders. The arguments are those of the join.
  ///
  /// The corresponding C option is `MCAST_LEAVE_GROUP`, or `MCAST_LEAVE_SOURCE_GROUP` (RFC 3678).
  /// - Throws: `.system(EADDRNOTAVAIL)` when the socket is no member; otherwise as ``join(_:from:on:)``.
  public borrowing func leave(
    _ group: IPAddress, from source: IPAddress? = nil, on interface: NetworkInterface? = nil
  ) throws(SocketError) {
    try reference.core.leave(group, from: source, on: interface)
  }
}
