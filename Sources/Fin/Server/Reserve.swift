/// Descriptors kept open for nothing, to be let go when the process has run out of them.
struct Reserve: ~Copyable {
  private let size: Int
  private var descriptors: [Waker] = []
  init(_ size: Int) { self.size = max(0, size) }

  /// - Returns: whether all of them could be had.
  @discardableResult
  mutating func fill() -> Bool {
    while descriptors.count < size {
      guard let descriptor = try? Waker() else {
        // All or none: one that is kept now is one that a handler lacks.
        empty()
        return false
      }
      descriptors.append(descriptor)
    }
    return true
  }

  mutating func empty() { descriptors = [] }
}
