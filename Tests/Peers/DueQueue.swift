/// A priority queue ordered by due time, first in first out among equal times. A binary heap.
struct DueQueue<Element> {
  private struct Entry {
    let due: Deadline
    let number: Int
    let element: Element

    func precedes(_ other: Entry) -> Bool { (due, number) < (other.due, other.number) }
  }

  private var heap: [Entry] = []
  private var added = 0

  var nextDue: Deadline? { heap.first?.due }

  mutating func add(_ element: Element, due: Deadline) {
    heap.append(Entry(due: due, number: added, element: element))
    added += 1
    var child = heap.count - 1
    while child > 0, heap[child].precedes(heap[(child - 1) / 2]) {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  /// Removes and returns the first element that is due at `now`, if there is one.
  mutating func take(at now: Deadline) -> Element? {
    guard let first = heap.first, first.due <= now else { return nil }
    heap.swapAt(0, heap.count - 1)
    heap.removeLast()
    var parent = 0
    while true {
      let least = [2 * parent + 1, 2 * parent + 2].filter { $0 < heap.count }
        .min { heap[$0].precedes(heap[$1]) }
      guard let least, heap[least].precedes(heap[parent]) else { return first.element }
      heap.swapAt(parent, least)
      parent = least
    }
  }
}
