/// Bytes that were received and not yet requested. It is created when buffered reading is first used.
struct ReadBuffer {
  private var storage: [UInt8] = []
  private var start = 0
  /// Whether the bytes are the first of the stream behind a proxy's header, and no caller has taken any of it.
  private(set) var isBeginning = false

  var count: Int { storage.count - start }
  var isEmpty: Bool { count == 0 }

  /// The number of bytes that one system call may receive.
  static let chunk = 16 << 10

  var bytes: ArraySlice<UInt8> { storage[start...] }

  mutating func append(_ bytes: UnsafeRawBufferPointer) {
    if start > 0, isEmpty || start > storage.count / 2 {
      storage.removeFirst(start)
      start = 0
    }
    unsafe storage.append(contentsOf: bytes)
  }

  /// Puts bytes back at the front.
  mutating func putBack(_ bytes: [UInt8]) {
    storage = bytes + storage[start...]
    start = 0
  }

  mutating func take(_ most: Int) -> [UInt8] {
    let taken = tight(bytes.prefix(most))
    drop(taken.count)
    return taken
  }

  mutating func drop(_ amount: Int) {
    isBeginning = false
    start += amount
    if isEmpty {
      storage.removeAll(keepingCapacity: storage.capacity <= 4 * ReadBuffer.chunk)
      start = 0
    }
  }

  /// Drops the header with which a proxy begins the stream.
  mutating func dropHeader(_ amount: Int) {
    drop(amount)
    isBeginning = !isEmpty
  }

  /// Returns the position of `delimiter`, counted from the first byte. The first `from` bytes are known not to
  /// begin it.
  func find(_ delimiter: [UInt8], from: Int) -> Int? {
    guard let first = delimiter.first, count >= delimiter.count else { return nil }
    return unsafe storage.withUnsafeBufferPointer { storage in
      let bytes = unsafe UnsafeBufferPointer(rebasing: storage[start...])
      var position = max(0, from)
      while position + delimiter.count <= bytes.count {
        if unsafe bytes[position] == first {
          var matched = 1
          while matched < delimiter.count, unsafe bytes[position + matched] == delimiter[matched] { matched += 1 }
          if matched == delimiter.count { return position }
        }
        position += 1
      }
      return nil
    }
  }
}

/// Copies the bytes into an array without spare capacity. An `Array` made of a slice may take over the slice's storage,
/// with all its capacity.
func tight(_ bytes: ArraySlice<UInt8>) -> [UInt8] {
  unsafe bytes.withUnsafeBufferPointer { unsafe Array($0) }
}
