/// How long nothing has moved.
extension Since {
  /// How long the peer's window has been closed.
  static func peerWindowClosed(_ socket: InetSocket) -> Since {
    if socket.timer == .persist {
      // Sending stopped when the window closed; the kernel adds up how long windows held it up, over the whole life.
      let lower = UInt64(socket.info.lastDataSent ?? 0)
      return ticking(atLeast: lower, atMost: socket.info.windowLimitedTime.map { max(lower, $0 / 1000) })
    }
    return ticking(atLeast: sinceFirstTry(socket), atMost: nil)
  }

  /// How long data has been on its way without being acknowledged.
  static func unacknowledged(_ socket: InetSocket) -> Since {
    ticking(atLeast: sinceFirstTry(socket), atMost: socket.info.lastAcknowledgementReceived.map(UInt64.init))
  }

  /// How long a closed connection has not been able to send its last bytes.
  static func stuck(_ socket: InetSocket) -> Since {
    socket.info.sendWindow == 0 || socket.timer == .persist ? peerWindowClosed(socket) : unacknowledged(socket)
  }

  /// How long the timer has been doubling: with each try the time-out doubled, up to two minutes.
  private static func sinceFirstTry(_ socket: InetSocket) -> UInt64 {
    guard socket.timer == .retransmit, let timeout = socket.info.retransmitTimeout else { return 0 }
    let current = UInt64(timeout) / 1000
    let before = current - current >> UInt64(min(socket.info.backoff ?? 0, 63))
    return before + (UInt64(socket.expires) < current ? current - UInt64(socket.expires) : 0)
  }
}
