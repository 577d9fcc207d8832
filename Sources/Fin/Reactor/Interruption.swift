internal import SystemPackage

/// Why a wait ended though the socket is not ready. Small, because every function that waits keeps room for it.
enum Interruption: Error {
  case closed, timedOut, cancelled, reactorStopped
  case system(Errno)
}

extension Seat.Wake {
  /// Why nothing is ready, if that is so.
  var interruption: Interruption? {
    switch self {
    case .ready, .look: nil
    case .timedOut: .timedOut
    case .cancelled: .cancelled
    case .stopped: .reactorStopped
    }
  }
}

extension Interruption {
  var isTimeOut: Bool {
    if case .timedOut = self { true } else { false }
  }
}
