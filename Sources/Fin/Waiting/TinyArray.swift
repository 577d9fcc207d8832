/// An array that keeps its first element inline. It is for lists that mostly have one element or none, which allocate
/// no memory here.
struct TinyArray<Element> {
  private var others: [Element] = []
  private var first: Element?

  var isEmpty: Bool { first == nil && others.isEmpty }
  var count: Int { others.count + (first == nil ? 0 : 1) }

  mutating func append(_ element: Element) {
    if first == nil { first = element } else { others.append(element) }
  }

  /// Removes one matching element.
  ///
  /// - Returns: the element, if there is one, and whether there cannot be another match.
  mutating func take(where isMeant: (Element) -> Bool) -> (Element?, isLast: Bool) {
    if let element = first, isMeant(element) {
      first = nil
      return (element, others.isEmpty)
    }
    if others.isEmpty { return (nil, true) }
    guard let index = others.firstIndex(where: isMeant) else { return (nil, true) }
    return (others.remove(at: index), false)
  }

  /// Removes and returns all matching elements, in one pass.
  mutating func takeAll(where isMeant: (Element) -> Bool) -> TinyArray {
    var taken = TinyArray()
    if let element = first, isMeant(element) {
      taken.first = element
      first = nil
    }
    if others.isEmpty { return taken }
    others.removeAll { element in
      guard isMeant(element) else { return false }
      taken.append(element)
      return true
    }
    return taken
  }

  mutating func removeAll() {
    first = nil
    others = []
  }

  func forEach(_ body: (Element) -> Void) {
    if let first { body(first) }
    for element in others { body(element) }
  }
}

extension TinyArray: Sendable where Element: Sendable {}
