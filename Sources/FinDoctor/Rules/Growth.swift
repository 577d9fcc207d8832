/// The number of leaked sockets in each of several censuses.
struct Growth {
  private let before: [Int]
  private let now: Int

  init(_ before: [Int], _ now: Int) {
    self.before = before
    self.now = now
  }

  /// Whether there were some in the first census, and more in each one than in the one before.
  var isSteady: Bool {
    before.first ?? 0 > 0 && zip(before, before.dropFirst() + [now]).allSatisfy { $0 < $1 }
  }

  var evidence: [Finding.Evidence] {
    if before.isEmpty { return [] }
    return [
      .init(
        before.count == 1 ? "in the earlier snapshot" : "in the earlier snapshots",
        before.map { "\($0)" }.joined(separator: ", "))
    ]
  }
}

extension CensusIndex {
  /// The growth of a counter between the two censuses, summed over all namespaces; 0 without an earlier census.
  /// - Parameters:
  ///   - counter: The name.
  ///   - place: The index of the only namespace that counts; nil for all.
  func increase(of counter: String, in place: UInt16? = nil) -> Int64 {
    guard let earlier = options.earlier else { return 0 }
    return census.namespaces.enumerated().reduce(0) { sum, one in
      let namespace = one.element
      guard place == nil || place == UInt16(clamping: one.offset), let new = namespace.counters[counter],
        let old = earlier.namespaces.first(where: { $0.inode == namespace.inode })?.counters[counter]
      else { return sum }
      return sum + max(0, new - old)
    }
  }
}
