/// A set of the cookies or inodes seen so far, built for a hundred thousand of them. The kernel chooses these numbers,
/// so that the hash needs no protection against collisions made on purpose.
struct NumberSet {
  /// The slots, with open addressing. 0 is an empty slot, and no socket's cookie or inode.
  private var places = ContiguousArray<UInt64>(repeating: 0, count: 1 << 12)
  private var count = 0

  /// Inserts a number, and returns whether it was new. 0 is never stored, and counts as new each time.
  @discardableResult
  mutating func insert(_ number: UInt64) -> Bool {
    guard number != 0 else { return true }
    if count * 2 >= places.count { grow() }
    let place = place(of: number)
    if places[place] == number { return false }
    places[place] = number
    count += 1
    return true
  }

  /// Whether the number was inserted; always false for 0.
  func contains(_ number: UInt64) -> Bool { number != 0 && places[place(of: number)] == number }

  private func place(of number: UInt64) -> Int {
    let mask = places.count - 1
    var place = Int(truncatingIfNeeded: number &* 0x9e37_79b9_7f4a_7c15 >> 32) & mask
    while places[place] != 0, places[place] != number { place = (place + 1) & mask }
    return place
  }

  private mutating func grow() {
    let old = places
    places = ContiguousArray(repeating: 0, count: old.count * 4)
    for number in old where number != 0 { places[place(of: number)] = number }
  }
}
