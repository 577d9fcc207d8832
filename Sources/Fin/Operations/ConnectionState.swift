internal import Synchronization
internal import SystemPackage

/// The terminal state of a connection: the first fatal error, which every later call returns.
///
/// The kernel reports a reset once. After a send has reported it, or after `SO_ERROR` has been read, later reads return
/// the remaining bytes and then a clean EOF. So the operation that receives the error records it here, and reads check
/// here before they trust an EOF. Duplicates of a descriptor share one terminal state, because they share the kernel's.
final class ConnectionState: Sendable {
  struct State {
    /// Stored by reference: every connection has a terminal state, and few connections fail.
    private var kept: Kept?
    /// The number of Fin's descriptors that share the connection.
    var owners: Int32 = 1
    /// Whether a read returned an EOF that is genuine: not one behind which the kernel hides a reset.
    var sawEnd = false
    /// Whether `SHUT_WR` was called, even if the call came too late to succeed.
    var finishedSending = false
    /// Whether `SHUT_WR` was called in time: the kernel then counts our FIN among what is not acknowledged.
    var isFINQueued = false
    /// How long the kernel waits for acknowledgements: the connection's `TCP_USER_TIMEOUT`.
    var userTimeout = UserTimeout.unknown

    /// Records a `SHUT_WR` that was called outside Fin, as the kernel's state shows.
    mutating func noteFinish() {
      finishedSending = true
      isFINQueued = true
    }

    /// The client's address, where a proxy told it.
    var originalAddress: SocketAddress? {
      get { original?.address }
      set { original = newValue.map(Original.init) }
    }
    fileprivate(set) var original: Original?

    /// The phase in which a descriptor begins that is newly attached to this connection.
    var phase: Phase {
      if failure != nil { return .failed }
      if sawEnd { return finishedSending ? .bothFinished : .peerFinished }
      return finishedSending ? .sendFinished : .connected
    }

    /// The fatal error: a reset, a peer that has closed (`EPIPE`), or a connection that the kernel gave up.
    var failure: SocketError.Cause? {
      get { kept?.cause }
      set { kept = newValue.map(Kept.init) }
    }
  }

  // [boxed cold state]
  final class Original: Sendable {
    let address: SocketAddress
    init(_ address: SocketAddress) { self.address = address }
  }

  // [boxed cold state]
  private final class Kept: Sendable {
    let cause: SocketError.Cause
    init(_ cause: SocketError.Cause) { self.cause = cause }
  }

  private let state: Mutex<State>
  /// Whether sending is possible: nothing has failed, and sending is not finished. Senders read it without the lock.
  private let isClear = Atomic<Bool>(true)

  /// The stop of the listener that accepted the connection; `nil` for one that no listener accepted.
  let drain: Drain?

  init(userTimeout: UserTimeout = .unknown, drain: Drain? = nil) {
    self.drain = drain
    var state = State()
    state.userTimeout = userTimeout
    self.state = Mutex(state)
  }

  var value: State { state.withLock { $0 } }

  var allowsSending: Bool { isClear.load(ordering: .acquiring) }

  func update<R>(_ change: (inout State) -> R) -> R where R: Sendable {
    state.withLock { state in
      defer { if state.failure != nil || state.finishedSending { isClear.store(false, ordering: .releasing) } }
      return change(&state)
    }
  }

  /// Records a failure. The first one stays.
  ///
  /// - Returns: the cause that holds.
  func fail(_ cause: SocketError.Cause) -> SocketError.Cause {
    update { state in
      if state.failure == nil { state.failure = cause }
      return state.failure!
    }
  }
}

extension SocketError.Cause {
  /// The meaning of an error code that ends an established connection; `nil` for a code that does not end it.
  static func terminal(_ code: Errno) -> SocketError.Cause? {
    switch code {
    case .connectionReset: .reset
    case .brokenPipe: .peerClosed
    case .timedOut, .connectionAbort, .noRouteToHost, .networkUnreachable, .networkDown, .hostIsDown: .lost(code)
    default: nil
    }
  }
}
