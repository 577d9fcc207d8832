internal import Synchronization
internal import SystemPackage

/// The part of a connection's stream that the kernel has sent, and that the peer's kernel has acknowledged, at one
/// moment before a request; the evidence of whether the request was delivered.
///
/// A FIN acknowledges what the peer's kernel has received before it sent the FIN. So when the peer's FIN is there and
/// nothing of the request is acknowledged, the peer had closed, or finished sending, before a byte of the request came.
/// A reset proves nothing: a peer that reads the request and resets at once may never have acknowledged it.
struct RequestMark: Hashable, Sendable {
  private let acknowledged: UInt64
  private let sent: UInt64

  /// `nil` when the kernel does not count: a Unix socket, or a connection that is closed.
  init?(_ core: Core) {
    guard core.isTCP,
      let info = try? core.withAccess(.tcpInfo, { access in try? TCPInfo.read(core.number(access)) }),
      let acknowledged = info.bytesAcknowledged, let sent = info.bytesSent
    else { return nil }
    self.acknowledged = acknowledged
    self.sent = sent
  }

  /// Whether the request that began at this mark is known not to have been delivered. It may discard what was received
  /// and not read.
  ///
  /// - Parameter peerReadsAfterItsEnd: whether the peer's program may read on after it has finished sending.
  func provesUndelivered(on core: Core, peerReadsAfterItsEnd: Bool) -> Bool {
    // The end first: the acknowledgement that came with the FIN is counted before the FIN can be read.
    let hasEnded = core.findEnd()
    guard let now = RequestMark(core) else { return false }
    if now.sent == sent, now.acknowledged == acknowledged, core.hasNoneQueued { return true }
    return hasEnded && !peerReadsAfterItsEnd && now.acknowledged == acknowledged
  }
}

extension Core {
  /// The most that is read in search of the peer's end, in bytes.
  private static let mostBeforeEnd = 64 << 10

  /// Whether the connection is over, as far as this side knows.
  var isKnownToBeOver: Bool {
    let state = connectionState.value
    return state.sawEnd || state.failure != nil
  }

  /// Whether the peer has said that it sends nothing more: FIN, or close_notify on a secured connection, where anything
  /// on the path can forge a FIN. What was received before it is discarded.
  fileprivate func findEnd() -> Bool {
    var timeout = LazyDeadline(.zero)
    var nothing = Stateless()
    let found = try? perform(.reading, .receive, &timeout, &nothing) { _, access throws(SocketError) in
      var left = Core.mostBeforeEnd
      while left > 0, let count = try self.fill(access) {
        if count == 0 { return .done(true) }
        self.withBuffer { $0.drop($0.count) }
        left -= count
      }
      return .done(false)
    }
    guard let found, found else { return false }
    return closeNotify?.received ?? true
  }

  /// Whether the kernel keeps no byte of ours: none waits to be sent or to be acknowledged.
  fileprivate var hasNoneQueued: Bool {
    ((try? withAccess(.getOption) { unacknowledged($0) }) ?? 1) == 0
  }

  /// Whether a pool may keep the connection for the next caller: nothing has arrived that was not read, neither an end
  /// nor an error has, and the last caller kept no part of it.
  var isAtRest: Bool {
    let gate = gate.snapshot
    guard !gate.hasReader, !gate.hasWriter, connectionState.value.owners == 1 else { return false }
    return SharedConnection(core: self, timeouts: .default).isReusable()
  }
}
