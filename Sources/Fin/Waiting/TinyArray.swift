/// An array that keeps its first element inline. It is for lists that mostly have one element or none, which allocate
/// no memory here.
struct TinyArray<Element> {
  /// The elements that did not fit inline; `nil` before the first of them. Without it, copying and dropping the list
  /// counts no reference: even the storage of an empty array is counted.
  private var others: [Element]?
  private var first: Element?

  var isEmpty: Bool { first == nil && hasNoOthers }
  var count: Int { (others?.count ?? 0) + (first == nil ? 0 : 1) }

  @inline(__always)
  private var hasNoOthers: Bool { others?.isEmpty ?? true }

  mutating func append(_ element: Element) {
    if first == nil { first = element } else { others?.append(element) ?? (others = [element]) }
  }

  /// Removes one matching element.
  ///
  /// - Returns: the element, if there is one, and whether there cannot be another match.
  mutating func take(where isMeant: (Element) -> Bool) -> (Element?, isLast: Bool) {
    if let element = first, isMeant(element) {
      first = nil
      return (element, hasNoOthers)
    }
    guard let index = others?.firstIndex(where: isMeant) else { return (nil, true) }
    return (others?.remove(at: index), false)
  }

  /// Removes and returns all matching elements, in one pass.
  mutating func takeAll(where isMeant: (Element) -> Bool) -> TinyArray {
    var taken = TinyArray()
    if let element = first, isMeant(element) {
      taken.first = element
      first = nil
    }
    if !hasNoOthers { takeOthers(where: isMeant, into: &taken) }
    return taken
  }

  // [outlined slow path]
  @inline(never)
  private mutating func takeOthers(where isMeant: (Element) -> Bool, into taken: inout TinyArray) {
    others?.removeAll { element in
      guard isMeant(element) else { return false }
      taken.append(element)
      return true
    }
  }

  mutating func removeAll() {
    first = nil
    others = nil
  }

  func forEach(_ body: (Element) -> Void) {
    if let first { body(first) }
    if let others { for element in others { body(element) } }
  }
}

extension TinyArray: Sendable where Element: Sendable {}
