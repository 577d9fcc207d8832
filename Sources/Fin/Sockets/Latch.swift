internal import Synchronization
internal import SystemPackage

/// What has become of a connection for good: the first cause, told for ever, whatever call asks.
///
/// The kernel tells a reset once. If a send hears it, later reads return the rest and then a clean end of file; if somebody
/// reads `SO_ERROR`, the same. So whoever hears it writes it here, and reads ask here before they believe an end of file.
/// Duplicates of a descriptor share one latch, because they share the kernel's.
final class Latch: Sendable {
  struct State {
    /// By reference: every connection has a latch, and few fail.
    private var kept: Kept?
    /// Descriptors of ours that share the connection.
    var owners: Int32 = 1
    /// End of file was read and is true.
    var sawEnd = false
    /// `SHUT_WR` is done, or was tried too late.
    var finishedSending = false
    /// `SHUT_WR` was done in time: the kernel counts our FIN among what is not acknowledged.
    var isFINQueued = false
    /// How long the kernel waits for acknowledgements.
    var silence = Silence.unknown

    /// The kernel's state says that `SHUT_WR` was done, by a call that was not Fin's.
    mutating func noteFinish() {
      finishedSending = true
      isFINQueued = true
    }

    /// Where the life of a descriptor begins that comes to this connection now.
    var phase: Phase {
      if failure != nil { return .failed }
      if sawEnd { return finishedSending ? .bothFinished : .peerFinished }
      return finishedSending ? .sendFinished : .connected
    }

    /// Reset, or given up by the kernel.
    var failure: SocketError.Cause? {
      get { kept?.cause }
      set { kept = newValue.map(Kept.init) }
    }
  }

  private final class Kept: Sendable {
    let cause: SocketError.Cause
    init(_ cause: SocketError.Cause) { self.cause = cause }
  }

  private let state: Mutex<State>
  /// For those who send: nothing has failed and nothing is finished. Read without the lock.
  private let isClear = Atomic<Bool>(true)

  init(silence: Silence = .unknown) {
    var state = State()
    state.silence = silence
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

  /// Writes a failure down; the first one stays.
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
  /// What an code from an established connection means, when it is the end of it; `nil` when it is not.
  static func terminal(_ code: Errno) -> SocketError.Cause? {
    switch code {
    case .connectionReset: .reset
    case .brokenPipe: .peerClosed
    case .timedOut, .connectionAbort, .noRouteToHost, .networkUnreachable, .networkDown, .hostIsDown: .lost(code)
    default: nil
    }
  }
}
