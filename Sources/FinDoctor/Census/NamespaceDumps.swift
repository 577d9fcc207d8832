internal import Synchronization

/// Several namespaces, read by a few threads of their own: each takes the next one until there is none left, and ends.
///
/// A machine may have a thousand namespaces; as many threads at once would only wait for each other.
struct NamespaceDumps {
  private let count: Int
  private let threads: [OwnThread<[Numbered]>]

  private struct Numbered: Sendable {
    var place: Int
    var dump: NamespaceDump
  }

  /// Begins.
  /// - Parameters:
  ///   - places: The namespaces.
  ///   - beginsWithOwn: Whether the first of them is the one that this process is in.
  ///   - options: What to read of each.
  static func begin(_ places: [NamespacePlace], beginsWithOwn: Bool, _ options: Census.Options) -> NamespaceDumps {
    let next = Counter()
    let threads = (0..<min(places.count, most)).map { _ in
      OwnThread { () -> [Numbered] in
        var all: [Numbered] = []
        while true {
          let place = next.take()
          guard place < places.count else { return all }
          // The first one taken is also the first that any of these threads reads: it has not moved.
          let isOwn = beginsWithOwn && place == 0
          all.append(Numbered(place: place, dump: .read(places[place], isOwn: isOwn, options)))
        }
      }
    }
    return NamespaceDumps(count: places.count, threads: threads)
  }

  /// How many read at once.
  private static let most = max(2, Threads.useful)

  /// Waits, and gives each dump at its namespace's place; nil when there was no thread to be had.
  consuming func join() -> [NamespaceDump?] {
    var dumps = [NamespaceDump?](repeating: nil, count: count)
    for thread in threads {
      for numbered in thread.join() ?? [] { dumps[numbered.place] = numbered.dump }
    }
    return dumps
  }
}

/// Gives every number once, to whichever thread asks.
final class Counter: Sendable {
  private let next = Atomic(0)

  func take() -> Int { next.wrappingAdd(1, ordering: .relaxed).oldValue }
}
