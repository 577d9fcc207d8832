import Fin
import Synchronization

/// The connections of clients that have not sent a whole request.
///
/// When there are too many, the one that has waited longest is ended to make room: a scraper sends its request at once,
/// and thousands of clients that send nothing do not keep it out.
final class WaitingConnections: Sendable {
  private struct State {
    var numbers: [SharedConnection: UInt64] = [:]
    var order: [UInt64: SharedConnection] = [:]
    /// The lowest number that may still be in ``order``.
    var first: UInt64 = 0
    var next: UInt64 = 0
  }

  private let state = Mutex(State())
  private let limit: Int

  init(limit: Int) { self.limit = limit }

  /// Adds a connection, and returns the one that has to end for it, if any.
  func begin(_ connection: SharedConnection) -> SharedConnection? {
    state.withLock { state in
      state.numbers[connection] = state.next
      state.order[state.next] = connection
      state.next += 1
      guard state.numbers.count > limit else { return nil }
      while state.first < state.next {
        defer { state.first += 1 }
        if let oldest = state.order.removeValue(forKey: state.first) {
          state.numbers[oldest] = nil
          return oldest
        }
      }
      return nil
    }
  }

  /// Removes a connection whose request has arrived, or that has ended.
  func end(_ connection: SharedConnection) {
    state.withLock { state in
      if let number = state.numbers.removeValue(forKey: connection) { state.order[number] = nil }
    }
  }
}
