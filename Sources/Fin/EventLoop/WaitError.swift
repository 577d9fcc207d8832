internal import SystemPackage

/// Why a wait ended before the socket was ready. Small, because every function that waits keeps room for it.
enum WaitError: Error {
  case closed, timedOut, cancelled, reactorStopped
  case system(Errno)
}

extension Registration.WakeReason {
  /// Why the operation has to give up; `nil` when it has to try again.
  var interruption: WaitError? {
    switch self {
    case .ready, .look: nil
    case .timedOut: .timedOut
    case .cancelled: .cancelled
    case .stopped: .reactorStopped
    }
  }
}

extension WaitError {
  var isTimeOut: Bool {
    if case .timedOut = self { true } else { false }
  }
}
