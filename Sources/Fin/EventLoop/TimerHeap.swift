/// The slots that a loop has to check, and when: a heap, the earliest first, with at most one entry for each slot.
///
/// The entries are lazy. A wait with a later deadline than the wait before leaves the slot's entry where it is. When
/// that entry is due, the loop checks the slot, finds no deadline that has passed, and enters the slot again for later.
/// So a deadline on every operation costs a comparison, and a slot that is used again and again still has one entry.
struct TimerHeap {
  private struct Entry {
    var due: Int64
    var slot: UInt32
  }

  private var heap: [Entry] = []
  /// The index of each slot's entry in the heap; −1 for a slot without an entry.
  private var positions: [Int32] = []

  /// The time at which the first entry is due; never when there is none.
  var earliest: Deadline { heap.first.map { Deadline(nanoseconds: $0.due) } ?? .never }

  /// Schedules a check of `slot` at `deadline`, or earlier if an earlier check is scheduled already.
  mutating func set(_ slot: UInt32, _ deadline: Deadline) {
    guard deadline != .never else { return }
    while positions.count <= Int(slot) { positions.append(-1) }
    let position = Int(positions[Int(slot)])
    if position < 0 {
      heap.append(Entry(due: deadline.nanoseconds, slot: slot))
      rise(heap.count - 1)
    } else if deadline.nanoseconds < heap[position].due {
      heap[position].due = deadline.nanoseconds
      rise(position)
    }
  }

  /// Removes the first entry if it is due, and returns its slot.
  mutating func takeDue(at now: Int64) -> UInt32? {
    guard let first = heap.first, first.due <= now else { return nil }
    positions[Int(first.slot)] = -1
    let last = heap.removeLast()
    if !heap.isEmpty {
      heap[0] = last
      sink(0)
    }
    return first.slot
  }

  private mutating func rise(_ start: Int) {
    var position = start
    let entry = heap[position]
    while position > 0 {
      let parent = (position - 1) / 2
      if heap[parent].due <= entry.due { break }
      put(heap[parent], at: position)
      position = parent
    }
    put(entry, at: position)
  }

  private mutating func sink(_ start: Int) {
    var position = start
    let entry = heap[position]
    while true {
      var child = 2 * position + 1
      if child >= heap.count { break }
      if child + 1 < heap.count, heap[child + 1].due < heap[child].due { child += 1 }
      if entry.due <= heap[child].due { break }
      put(heap[child], at: position)
      position = child
    }
    put(entry, at: position)
  }

  private mutating func put(_ entry: Entry, at position: Int) {
    heap[position] = entry
    positions[Int(entry.slot)] = Int32(position)
  }
}
