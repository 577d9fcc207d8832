/// A reader of BTF, the running kernel's description of its own types: the offset of a structure's member, the type
/// number of a function.
///
/// BTF, as in `/sys/kernel/btf/vmlinux`, is a header; then the types in sequence, numbered from 1, each of 12 bytes and
/// the data of its kind; and the names, each terminated by a zero. No read goes beyond the given bytes.
struct BTF {
  private let bytes: [UInt8]
  /// The offset of each type.
  private let places: ContiguousArray<UInt32>
  private let names: Range<Int>

  /// The kinds of types that can be looked up.
  enum Kind: UInt8 {
    case structure = 4
    case union = 5
    case function = 12
  }

  /// Reads the BTF of the running kernel; nil where the kernel provides none.
  static func ofRunningKernel() -> BTF? {
    (try? Files.read("/sys/kernel/btf/vmlinux", limit: 64 << 20)).flatMap { BTF($0) }
  }

  /// Indexes the types; nil when the bytes are not BTF, are truncated, or have a kind of type whose length is unknown.
  init?(_ bytes: [UInt8]) {
    let all = unsafe bytes.span.bytes
    guard all.byteCount >= 24, all.number(at: 0, as: UInt16.self) == 0xeb9f else { return nil }
    // The header's length; after the header, at offsets that it gives, lie the types and the names.
    let header = Int(all.number(at: 4, as: UInt32.self))
    func part(_ offset: Int) -> Range<Int>? {
      let start = header + Int(all.number(at: offset, as: UInt32.self))
      let length = Int(all.number(at: offset + 4, as: UInt32.self))
      return start + length <= all.byteCount ? start..<start + length : nil
    }
    guard let types = part(8), let names = part(16) else { return nil }
    var places: ContiguousArray<UInt32> = [0]
    places.reserveCapacity(types.count / 24)
    var place = types.lowerBound
    while place < types.upperBound {
      guard place + 12 <= types.upperBound else { return nil }
      let info = all.number(at: place + 4, as: UInt32.self)
      guard let more = Self.length(ofKind: UInt8(info >> 24 & 31), count: Int(info & 0xffff)),
        place + 12 + more <= types.upperBound
      else { return nil }
      places.append(UInt32(place))
      place += 12 + more
    }
    self.bytes = bytes
    self.places = places
    self.names = names
  }

  /// The length of the data behind the 12 bytes that every type has.
  private static func length(ofKind kind: UInt8, count: Int) -> Int? {
    switch kind {
    case 1, 14, 17: 4  // Integer, variable, declaration tag.
    case 2, 7, 8, 9, 10, 11, 12, 16, 18: 0  // Pointer, forward, typedef, qualifiers, function, float, type tag.
    case 3: 12  // Array.
    case 4, 5, 15, 19: 12 * count  // Members, variables of a section, 64-bit enumerators.
    case 6, 13: 8 * count  // Enumerators, parameters.
    default: nil
    }
  }

  /// The number of the type of this kind and name.
  func number(of name: StaticString, _ kind: Kind) -> Int? {
    (1..<places.count).first { self.kind($0) == kind && isName(info($0, 0), name) }
  }

  /// The byte offset of a member of a structure, or of an anonymous structure or union inside it.
  func offset(of member: StaticString, in structure: StaticString) -> Int? {
    guard let number = number(of: structure, .structure), let bits = bits(of: member, in: number, depth: 0) else {
      return nil
    }
    return bits % 8 == 0 ? bits / 8 : nil
  }

  private func bits(of member: StaticString, in number: Int, depth: Int) -> Int? {
    // Malformed BTF may nest types in a cycle.
    guard depth < 8, places.indices.contains(number), number > 0 else { return nil }
    let kind = kind(number)
    guard kind == .structure || kind == .union else { return nil }
    let about = info(number, 4)
    for index in 0..<Int(about & 0xffff) {
      let at = 12 + index * 12
      let name = info(number, at)
      // If the highest bit of a type's info is set, the upper eight bits of an offset are the width of a bit field.
      let offset = Int(about >> 31 == 1 ? info(number, at + 8) & 0xff_ffff : info(number, at + 8))
      if isName(name, member) { return offset }
      if isName(name, ""), let inner = bits(of: member, in: Int(info(number, at + 4)), depth: depth + 1) {
        return offset + inner
      }
    }
    return nil
  }

  private func kind(_ number: Int) -> Kind? { Kind(rawValue: UInt8(info(number, 4) >> 24 & 31)) }

  private func info(_ number: Int, _ offset: Int) -> UInt32 {
    unsafe bytes.span.bytes.number(at: Int(places[number]) + offset)
  }

  private func isName(_ offset: UInt32, _ name: StaticString) -> Bool {
    let start = names.lowerBound + Int(offset)
    let length = name.utf8CodeUnitCount
    guard start + length < names.upperBound, bytes[start + length] == 0 else { return false }
    for index in 0..<length where unsafe bytes[start + index] != name.utf8Start[index] { return false }
    return true
  }
}
