/// The age bounds of MPTCP sockets. They are wider than TCP's, because the kernel reports less about MPTCP.
extension AgeBounds {
  /// The time that an MPTCP socket has spent in its state.
  /// - Parameters:
  ///   - socket: The row.
  ///   - paths: The rows of its subflows, as far as they still exist.
  ///   - limits: The limits of the socket's namespace.
  static func inState(
    multipath socket: InetSocket, paths: [InetSocket], limits: KernelLimits = KernelLimits()
  ) -> AgeBounds {
    let detail = socket.multipath
    let first = paths.first { $0.remotePort == socket.remotePort && $0.remoteBits == socket.remoteBits }
    if detail.isPlainTCP == true {
      // After a fallback to plain TCP, MPTCP's times of acknowledgements date from before the fallback.
      guard let first, first.state == socket.state else { return .unknown }
      return inState(first, limits: limits)
    }
    switch socket.state {
    case .established:
      if socket.isWaitingForAccept { return first.map { inState($0, limits: limits) } ?? .unknown }
      // All present subflows may be younger than the connection. The MPTCP socket's own times begin when it is created,
      // before connect.
      return AgeBounds(atLeast: paths.map { inState($0, limits: limits).lower }.max() ?? 0)
    case .closeWait:
      guard let acknowledged = detail.lastAcknowledgementReceived, let received = detail.lastDataReceived else {
        return .unknown
      }
      // The peer's DATA_FIN came with an acknowledgement, at least of TCP's. It takes effect when all data before it
      // has arrived.
      let later = paths.compactMap(\.info.lastAcknowledgementReceived).min() ?? .max
      return ticking(atLeast: UInt64(min(acknowledged, received, later)), atMost: UInt64(received))
    case .finWait2:
      guard let acknowledged = detail.lastAcknowledgementReceived, let sent = detail.lastDataSent else {
        return .unknown
      }
      return ticking(atLeast: UInt64(acknowledged), atMost: UInt64(max(sent, acknowledged)) + 40)
    default: return .unknown
    }
  }
}

extension MPTCPSubflows {
  /// The time that a socket of a census has spent in its state; for MPTCP, its subflows narrow the bounds.
  /// - Parameters:
  ///   - place: The index of the socket.
  ///   - sockets: The rows that this was made from.
  ///   - limits: The limits of the socket's namespace.
  package func since(
    _ place: Int, in sockets: ContiguousArray<InetSocket>, limits: KernelLimits = KernelLimits()
  ) -> AgeBounds {
    if !recordedAges.isEmpty, let known = recordedAges[sockets[place].identity] { return known }
    guard sockets[place].transport == .mptcp else { return AgeBounds.inState(sockets[place], limits: limits) }
    return AgeBounds.inState(multipath: sockets[place], paths: paths(of: place).map { sockets[$0] }, limits: limits)
  }
}

/// Fields that TCP and MPTCP each keep for their own sockets.
extension InetSocket {
  var lastDataSent: UInt32? { transport == .mptcp ? multipath.lastDataSent : info.lastDataSent }
  var lastDataReceived: UInt32? { transport == .mptcp ? multipath.lastDataReceived : info.lastDataReceived }
  var lastAcknowledgementReceived: UInt32? {
    transport == .mptcp ? multipath.lastAcknowledgementReceived : info.lastAcknowledgementReceived
  }
  /// The number of data bytes sent; nil where the kernel does not count them.
  package var bytesSent: UInt64? { transport == .mptcp ? multipath.bytesSent : info.bytesSent }
  /// The number of bytes received in order, for TCP with 1 for the peer's FIN; nil where the kernel does not
  /// count them.
  package var bytesReceived: UInt64? { transport == .mptcp ? multipath.bytesReceived : info.bytesReceived }
  /// The prefix of the names of these fields, as in `tcpi_last_ack_recv`.
  var detailName: String { transport == .mptcp ? "mptcpi" : "tcpi" }
}
