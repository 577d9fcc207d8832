/// The time since a connection last made progress.
extension AgeBounds {
  /// The time that the peer's window has been closed.
  static func peerWindowClosed(_ socket: InetSocket) -> AgeBounds {
    if socket.timer == .persist {
      // Sending stopped when the window closed. The kernel sums up the time lost to closed windows over the whole life.
      let lower = UInt64(socket.info.lastDataSent ?? 0)
      return ticking(atLeast: lower, atMost: socket.info.windowLimitedTime.map { max(lower, $0 / 1000) })
    }
    return ticking(atLeast: sinceFirstTry(socket), atMost: nil)
  }

  /// The time that data has been in flight without an acknowledgement.
  static func unacknowledged(_ socket: InetSocket) -> AgeBounds {
    ticking(atLeast: sinceFirstTry(socket), atMost: socket.info.lastAcknowledgementReceived.map(UInt64.init))
  }

  /// The time that a closed connection has been unable to deliver its last bytes.
  static func stuck(_ socket: InetSocket) -> AgeBounds {
    socket.info.sendWindow == 0 || socket.timer == .persist ? peerWindowClosed(socket) : unacknowledged(socket)
  }

  /// The time since the retransmission timer began to double. Its timeout doubles with each try, up to two minutes.
  private static func sinceFirstTry(_ socket: InetSocket) -> UInt64 {
    guard socket.timer == .retransmit, let timeout = socket.info.retransmitTimeout else { return 0 }
    let current = UInt64(timeout) / 1000
    let before = current - current >> UInt64(min(socket.info.backoff ?? 0, 63))
    return before + (UInt64(socket.expires) < current ? current - UInt64(socket.expires) : 0)
  }
}
