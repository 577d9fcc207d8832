internal import FinBase

/// The descriptors that a thread in poll or select waits for: the places in its memory where they stand, as the
/// arguments of its system call say, and their layout there.
struct PollSet {
  /// Some bytes in the memory of the process.
  struct Piece: Hashable {
    var address: UInt64
    var count: Int
  }

  /// The name of the call.
  let call: String
  /// The array of `struct pollfd`, or the bit sets for input, output and exceptions; nil where memory of this size
  /// cannot be right.
  private let places: [Piece]?

  /// The pieces of memory to read.
  var pieces: [Piece] { places ?? [] }
  /// The number of bytes in them.
  var size: Int { pieces.reduce(0) { $0 + $1.count } }

  /// Reads the text of `/proc/PID/task/TID/syscall`: the call's number and its arguments; nil for any other call.
  init?(_ line: [UInt8]) {
    let words = Array(Fields(line))
    guard words.count > 6, let number = Int(decimal: words[0]), let call = Self.calls[number] else { return nil }
    let arguments = words[1...6].map { UInt64(hexadecimal: $0.dropFirst(2)) ?? 0 }
    self.call = call
    var all: [Piece]? = []
    func add(_ address: UInt64, _ count: UInt64) {
      if count > 1 << 20 || address >= 1 << 62 { all = nil }
      if count > 0 { all?.append(Piece(address: address, count: Int(truncatingIfNeeded: count))) }
    }
    if call.hasSuffix("poll") {
      let (count, isTooMany) = arguments[1].multipliedReportingOverflow(by: 8)
      add(arguments[0], isTooMany ? .max : count)
    } else {
      for set in 1...3 where arguments[set] != 0 { add(arguments[set], (arguments[0] &+ 7) / 8) }
    }
    places = all
  }

  /// The descriptors, from the bytes of each piece; nil when one could not be read whole.
  func descriptors(in bytes: [[UInt8]?]) -> [Int32]? {
    guard let places, bytes.count == places.count else { return nil }
    var all: Set<Int32> = []
    for (piece, bytes) in zip(places, bytes) {
      guard let bytes, bytes.count == piece.count else { return nil }
      if call.hasSuffix("poll") { Self.add(polled: bytes, to: &all) } else { Self.add(selected: bytes, to: &all) }
    }
    return all.sorted()
  }

  /// Reads an array of `struct pollfd`: a descriptor, the requested events, the returned events.
  private static func add(polled bytes: [UInt8], to all: inout Set<Int32>) {
    unsafe bytes.withUnsafeBytes { memory in
      for offset in stride(from: 0, to: memory.count - 7, by: 8) {
        let descriptor = unsafe memory.loadUnaligned(fromByteOffset: offset, as: Int32.self)
        // The kernel ignores negative descriptors.
        if descriptor >= 0 { all.insert(descriptor) }
      }
    }
  }

  private static func add(selected bytes: [UInt8], to all: inout Set<Int32>) {
    for (place, byte) in bytes.enumerated() where byte != 0 {
      for bit in 0..<8 where byte & 1 << UInt8(bit) != 0 { all.insert(Int32(place * 8 + bit)) }
    }
  }

  private static let calls: [Int: String] = {
    #if arch(x86_64)
    [7: "poll", 23: "select", 270: "pselect", 271: "ppoll"]
    #else
    [72: "pselect", 73: "ppoll"]
    #endif
  }()
}
