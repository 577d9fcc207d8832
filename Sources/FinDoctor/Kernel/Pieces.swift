/// Work on very many things, done piece by piece on all processors.
package enum Pieces {
  /// Makes something of each piece, and uses what was made, in order and on this thread.
  ///
  /// As many pieces are made at once as there are processors, and no more are kept. With one piece, no thread is made.
  /// - Parameters:
  ///   - count: How many things there are.
  ///   - size: How many are one piece.
  ///   - make: What is made of the things at these places; on any thread.
  ///   - use: What is done with it.
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
