/// What bounds the times of MPTCP's own sockets: less than of TCP, because the kernel tells less of them.
extension Since {
  /// How long a socket of MPTCP has been in its state.
  /// - Parameters:
  ///   - socket: The row.
  ///   - paths: The rows of its paths, as far as there still are any.
  ///   - limits: Of the socket's namespace.
  static func inState(
    multipath socket: InetSocket, paths: [InetSocket], limits: KernelLimits = KernelLimits()
  ) -> Since {
    let detail = socket.multipath
    let first = paths.first { $0.remotePort == socket.remotePort && $0.remoteBits == socket.remoteBits }
    if detail.isPlainTCP == true {
      // What MPTCP keeps of acknowledgements is from before it found out.
      guard let first, first.state == socket.state else { return .unknown }
      return inState(first, limits: limits)
    }
    switch socket.state {
    case .established:
      if socket.isWaitingForAccept { return first.map { inState($0, limits: limits) } ?? .unknown }
      // The paths of today may all be younger. What the socket itself keeps begins when it is made, before connect.
      return Since(atLeast: paths.map { inState($0, limits: limits).lower }.max() ?? 0)
    case .closeWait:
      guard let acknowledged = detail.lastAcknowledgementReceived, let received = detail.lastDataReceived else {
        return .unknown
      }
      // The peer's end came with an acknowledgement, at least of TCP's; it counts when all data before it has come.
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

extension Multipath {
  /// How long a socket of a census has been in its state; of MPTCP with what its paths know.
  /// - Parameters:
  ///   - place: The socket's place.
  ///   - sockets: The rows that this was made of.
  ///   - limits: Of the socket's namespace.
  public func since(
    _ place: Int, in sockets: ContiguousArray<InetSocket>, limits: KernelLimits = KernelLimits()
  ) -> Since {
    guard sockets[place].transport == .mptcp else { return Since.inState(sockets[place], limits: limits) }
    return Since.inState(multipath: sockets[place], paths: paths(of: place).map { sockets[$0] }, limits: limits)
  }
}

/// What TCP and MPTCP both know, each of its own sockets.
extension InetSocket {
  var lastDataSent: UInt32? { transport == .mptcp ? multipath.lastDataSent : info.lastDataSent }
  var lastDataReceived: UInt32? { transport == .mptcp ? multipath.lastDataReceived : info.lastDataReceived }
  var lastAcknowledgementReceived: UInt32? {
    transport == .mptcp ? multipath.lastAcknowledgementReceived : info.lastAcknowledgementReceived
  }
  /// Bytes of data sent; nil where the kernel does not count them.
  public var bytesSent: UInt64? { transport == .mptcp ? multipath.bytesSent : info.bytesSent }
  /// Bytes received in order, of TCP with 1 for the peer's FIN; nil where the kernel does not count them.
  public var bytesReceived: UInt64? { transport == .mptcp ? multipath.bytesReceived : info.bytesReceived }
  /// Before the names of the fields of these: `tcpi_last_ack_recv`.
  var detailName: String { transport == .mptcp ? "mptcpi" : "tcpi" }
}
