internal import FinBase

/// Work in several namespaces by a few dedicated threads. Each takes the next namespace until none is left, and ends.
///
/// A machine may have a thousand namespaces; a thread for each would only wait for the others.
struct NamespaceVisits<Made: Sendable> {
  private let count: Int
  private let threads: [JoinableThread<[Numbered]>]

  private struct Numbered: Sendable {
    var place: Int
    var made: Made
  }

  /// Starts the threads.
  /// - Parameters:
  ///   - places: The namespaces.
  ///   - beginsWithOwn: Whether the first of them is the one that this process is in.
  ///   - visit: The work in one namespace. It enters the namespace, unless the thread is in it already (`isOwn`).
  static func begin(
    _ places: [NamespacePlace], beginsWithOwn: Bool,
    _ visit: @escaping @Sendable (_ place: NamespacePlace, _ isOwn: Bool) -> Made
  ) -> NamespaceVisits {
    let next = Counter()
    let threads = (0..<min(places.count, most)).map { _ in
      JoinableThread { () -> [Numbered] in
        var all: [Numbered] = []
        while true {
          let place = next.take()
          guard place < places.count else { return all }
          // The thread that takes the first namespace has read no other one: it has not moved.
          let isOwn = beginsWithOwn && place == 0
          all.append(Numbered(place: place, made: visit(places[place], isOwn)))
        }
      }
    }
    return NamespaceVisits(count: places.count, threads: threads)
  }

  /// The limit on threads that work at once.
  private static var most: Int { max(2, ParallelChunks.usefulThreads) }

  /// Waits for the threads, and returns each result at its namespace's index; nil for one that no thread could visit.
  consuming func join() -> [Made?] {
    var all = [Made?](repeating: nil, count: count)
    for thread in threads {
      for numbered in thread.join() ?? [] { all[numbered.place] = numbered.made }
    }
    return all
  }
}

/// Dumps of several namespaces.
typealias NamespaceDumps = NamespaceVisits<NamespaceDump>

extension NamespaceDumps {
  /// Starts threads that dump these namespaces, see ``NamespaceVisits/begin(_:beginsWithOwn:_:)``.
  /// - Parameter options: The data to read from each.
  static func begin(_ places: [NamespacePlace], beginsWithOwn: Bool, _ options: Census.Options) -> NamespaceDumps {
    begin(places, beginsWithOwn: beginsWithOwn) { .read($0, isOwn: $1, options) }
  }
}
