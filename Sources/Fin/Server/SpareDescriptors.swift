/// Spare descriptors, closed at the descriptor limit so that running connections can go on.
struct SpareDescriptors: ~Copyable {
  private let size: Int
  private var descriptors: [Waker] = []
  init(_ size: Int) { self.size = max(1, size) }

  /// Opens the missing descriptors.
  ///
  /// - Returns: whether all of them could be opened.
  @discardableResult
  mutating func fill() -> Bool {
    while descriptors.count < size {
      guard let descriptor = try? Waker() else {
        // All or none: a spare descriptor kept now is one that a handler lacks.
        empty()
        return false
      }
      descriptors.append(descriptor)
    }
    return true
  }

  mutating func empty() { descriptors = [] }
}
