internal import CFin
internal import FinBase
internal import Synchronization

/// Work on large collections, done in pieces by several threads.
package enum ParallelChunks {
  /// The limit on the threads that a census uses for one job: one for each processor that this process may run on, up
  /// to four. More would only wait for each other in the kernel.
  static var usefulThreads: Int { min(4, max(1, Int(fin_processors()))) }

  /// Computes a result for each piece in parallel, and uses the results in order on the calling thread.
  ///
  /// At most ``usefulThreads`` pieces are computed at once, and no more results than that are held. For a single
  /// piece, no thread is started.
  /// - Parameters:
  ///   - count: The number of elements.
  ///   - size: The number of elements in a piece.
  ///   - make: Computes the result for the elements at these indices, on any thread.
  ///   - use: Uses one result.
  package static func forEach<Made: Sendable>(
    of count: Int, each size: Int = 8192, make: @escaping @Sendable (Range<Int>) -> Made, use: (Made) -> Void
  ) {
    let atOnce = usefulThreads
    var start = 0
    while start < count {
      let wave = stride(from: start, to: min(count, start + size * atOnce), by: size)
        .map { $0..<min($0 + size, count) }
      let others = wave.dropFirst().map { piece in (piece, JoinableThread { make(piece) }) }
      use(make(wave[0]))
      for (piece, thread) in others { use(thread.join() ?? make(piece)) }
      start = wave[wave.count - 1].upperBound
    }
  }
}

/// Hands out every number once, to any thread.
final class Counter: Sendable {
  private let next = Atomic(0)

  func take() -> Int { next.wrappingAdd(1, ordering: .relaxed).oldValue }
}
