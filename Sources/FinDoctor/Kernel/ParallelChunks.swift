/// Work on large collections, done in pieces by several threads.
package enum ParallelChunks {
  /// Computes a result for each piece in parallel, and uses the results in order on the calling thread.
  ///
  /// At most ``Threads/useful`` pieces are computed at once, and no more results than that are held. For a single
  /// piece, no thread is started.
  /// - Parameters:
  ///   - count: The number of elements.
  ///   - size: The number of elements in a piece.
  ///   - make: Computes the result for the elements at these indices, on any thread.
  ///   - use: Uses one result.
  package static func forEach<Made: Sendable>(
    of count: Int, each size: Int = 8192, make: @escaping @Sendable (Range<Int>) -> Made, use: (Made) -> Void
  ) {
    let atOnce = Threads.useful
    var start = 0
    while start < count {
      let wave = stride(from: start, to: min(count, start + size * atOnce), by: size)
        .map { $0..<min($0 + size, count) }
      let others = wave.dropFirst().map { piece in (piece, OwnThread { make(piece) }) }
      use(make(wave[0]))
      for (piece, thread) in others { use(thread.join() ?? make(piece)) }
      start = wave[wave.count - 1].upperBound
    }
  }
}
