internal import FinBase

/// Dumps of several namespaces by a few dedicated threads. Each takes the next namespace until none is left, and ends.
///
/// A machine may have a thousand namespaces; a thread for each would only wait for the others.
struct NamespaceDumps {
  private let count: Int
  private let threads: [JoinableThread<[Numbered]>]

  private struct Numbered: Sendable {
    var place: Int
    var dump: NamespaceDump
  }

  /// Starts the threads.
  /// - Parameters:
  ///   - places: The namespaces.
  ///   - beginsWithOwn: Whether the first of them is the one that this process is in.
  ///   - options: The data to read from each.
  static func begin(_ places: [NamespacePlace], beginsWithOwn: Bool, _ options: Census.Options) -> NamespaceDumps {
    let next = Counter()
    let threads = (0..<min(places.count, most)).map { _ in
      JoinableThread { () -> [Numbered] in
        var all: [Numbered] = []
        while true {
          let place = next.take()
          guard place < places.count else { return all }
          // The thread that takes the first namespace has read no other one: it has not moved.
          let isOwn = beginsWithOwn && place == 0
          all.append(Numbered(place: place, dump: .read(places[place], isOwn: isOwn, options)))
        }
      }
    }
    return NamespaceDumps(count: places.count, threads: threads)
  }

  /// The limit on threads that read at once.
  private static let most = max(2, ParallelChunks.usefulThreads)

  /// Waits for the threads, and returns each dump at its namespace's index; nil for one that no thread could read.
  consuming func join() -> [NamespaceDump?] {
    var dumps = [NamespaceDump?](repeating: nil, count: count)
    for thread in threads {
      for numbered in thread.join() ?? [] { dumps[numbered.place] = numbered.dump }
    }
    return dumps
  }
}
