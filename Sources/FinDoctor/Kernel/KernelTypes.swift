/// What the running kernel says of its own types: where a member lies in a structure, which number a function has.
///
/// The format is BTF, as in `/sys/kernel/btf/vmlinux`: a header; types one behind the other, counted from 1, each of 12 bytes
/// and what belongs to its kind; and the names, each ended by a zero. Nothing is read beyond what was given.
struct KernelTypes {
  private let bytes: [UInt8]
  /// Where each type begins.
  private let places: ContiguousArray<UInt32>
  private let names: Range<Int>

  /// The kinds that are looked for.
  enum Kind: UInt8 {
    case structure = 4
    case union = 5
    case function = 12
  }

  /// Those of the running kernel; nil where it does not tell.
  static func ofRunningKernel() -> KernelTypes? {
    (try? Files.read("/sys/kernel/btf/vmlinux", limit: 64 << 20)).flatMap { KernelTypes($0) }
  }

  /// Nil when this is not the format, is cut, or has a kind of type whose length is unknown.
  init?(_ bytes: [UInt8]) {
    let all = unsafe bytes.span.bytes
    guard all.byteCount >= 24, all.number(at: 0, as: UInt16.self) == 0xeb9f else { return nil }
    // The length of the header, and then where types and names lie behind it, and how long they are.
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

  /// What stands behind the 12 bytes that every type has.
  private static func length(ofKind kind: UInt8, count: Int) -> Int? {
    switch kind {
    case 1, 14, 17: 4  // An integer, a variable, a tag of a declaration.
    case 2, 7, 8, 9, 10, 11, 12, 16, 18: 0  // Pointer, forward, typedef, qualifiers, function, float, tag of a type.
    case 3: 12  // An array.
    case 4, 5, 15, 19: 12 * count  // Members, variables of a section, values of 64 bits.
    case 6, 13: 8 * count  // Values, parameters.
    default: nil
    }
  }

  /// The number of the type of this kind and name.
  func number(of name: StaticString, _ kind: Kind) -> Int? {
    (1..<places.count).first { self.kind($0) == kind && isName(info($0, 0), name) }
  }

  /// Where a member of a structure lies, in bytes: also one of a structure without a name inside it.
  func offset(of member: StaticString, in structure: StaticString) -> Int? {
    guard let number = number(of: structure, .structure), let bits = bits(of: member, in: number, depth: 0) else {
      return nil
    }
    return bits % 8 == 0 ? bits / 8 : nil
  }

  private func bits(of member: StaticString, in number: Int, depth: Int) -> Int? {
    // Types may be nested in a circle where somebody else has written them.
    guard depth < 8, places.indices.contains(number), number > 0 else { return nil }
    let kind = kind(number)
    guard kind == .structure || kind == .union else { return nil }
    let about = info(number, 4)
    for index in 0..<Int(about & 0xffff) {
      let at = 12 + index * 12
      let name = info(number, at)
      // With the highest bit of a type, the upper eight bits of an offset are the width of a bit field.
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
