internal import FinBase

/// Sets the fields of recorded values from a checked JSON text.
struct FieldReader: FieldVisitor {
  private let text: JSONText
  private var members: [JSONText.Member]
  /// The names of the fields and list places that lead here.
  private let path: String
  /// The same without the places in lists: `sockets[].timer` is missing once, and not a thousand times.
  private let kind: String
  private let position: Int
  private let notes: Notes
  /// The number of the member that is tried first: fields stand in the order in which they are visited.
  private var next = 0

  /// The notes about a whole file.
  final class Notes {
    /// The fields that the file lacks, each once.
    private(set) var missing: [String] = []
    private var known: Set<String> = []
    /// The bytes that lists may still take in memory: a file of some megabytes can have millions of empty objects.
    fileprivate var room: Int

    init(room: Int) { self.room = room }

    func lacks(_ field: String) {
      if known.insert(field).inserted { missing.append(field) }
    }
  }

  /// Begins with the outermost object.
  init(_ text: JSONText, _ notes: Notes) throws(CensusRecord.Fault) {
    try self.init(text, at: text.root, path: "", kind: "", notes)
  }

  private init(
    _ text: JSONText, at position: Int, path: String, kind: String, _ notes: Notes
  ) throws(CensusRecord.Fault) {
    guard let members = text.members(at: position) else {
      throw CensusRecord.Fault(text, position, path, "an object is expected")
    }
    (self.text, self.members, self.position, self.notes) = (text, members, position, notes)
    (self.path, self.kind) = (path, kind)
  }

  /// The position of a field's value; nil if the object has no such field, or null.
  private mutating func find(_ key: JSONKey) -> Int? {
    for step in 0..<members.count {
      let place = (next + step) % members.count
      guard text.bytes[members[place].key].elementsEqual(key) else { continue }
      next = place + 1
      let value = members[place].value
      return text.bytes[value] == UInt8(ascii: "n") ? nil : value
    }
    return nil
  }

  /// Does as `find`, and notes it if the field is not there.
  private mutating func expect(_ key: JSONKey) -> Int? {
    if let found = find(key) { return found }
    notes.lacks(kind + "\(key.text)")
    return nil
  }

  private func fault(_ position: Int, _ key: JSONKey, _ problem: String) -> CensusRecord.Fault {
    CensusRecord.Fault(text, position, path + "\(key.text)", problem)
  }

  private func read<Number: FixedWidthInteger>(_ position: Int, _ key: JSONKey) throws(CensusRecord.Fault) -> Number {
    guard let number: Number = text.number(at: position) else {
      throw fault(position, key, "a number from \(Number.min) to \(Number.max) is expected")
    }
    // Counts and limits are added and multiplied, and those of a machine are far below this.
    if Number.self == Int.self, number.magnitude > 1 << 40 {
      throw fault(position, key, "the number is too large")
    }
    return number
  }

  mutating func number<Number: FixedWidthInteger>(
    _ key: JSONKey, _ value: inout Number
  ) throws(CensusRecord.Fault) {
    if let position = expect(key) { value = try read(position, key) }
  }

  mutating func number<Number: FixedWidthInteger>(
    _ key: JSONKey, _ value: inout Number?
  ) throws(CensusRecord.Fault) {
    if let position = find(key) { value = try read(position, key) as Number }
  }

  mutating func user(_ key: JSONKey, _ value: inout UInt32) throws(CensusRecord.Fault) { try number(key, &value) }
  mutating func user(_ key: JSONKey, _ value: inout UInt32?) throws(CensusRecord.Fault) { try number(key, &value) }

  mutating func flag(_ key: JSONKey, _ value: inout Bool) throws(CensusRecord.Fault) {
    guard let position = expect(key) else { return }
    guard let flag = text.flag(at: position) else { throw fault(position, key, "true or false is expected") }
    value = flag
  }

  mutating func flag(_ key: JSONKey, _ value: inout Bool?) throws(CensusRecord.Fault) {
    guard let position = find(key) else { return }
    guard let flag = text.flag(at: position) else { throw fault(position, key, "true or false is expected") }
    value = flag
  }

  mutating func text(
    _ key: JSONKey, _ kind: Redaction.Kind, _ value: inout String
  ) throws(CensusRecord.Fault) {
    if let position = expect(key) { value = try string(position, key) }
  }

  mutating func text(
    _ key: JSONKey, _ kind: Redaction.Kind, _ value: inout String?
  ) throws(CensusRecord.Fault) {
    if let position = find(key) { value = try string(position, key) }
  }

  /// A text that is safe to print. A file may come from anywhere: its escapes are not trusted to be complete.
  private func string(_ position: Int, _ key: JSONKey) throws(CensusRecord.Fault) -> String {
    guard let string = text.string(at: position) else { throw fault(position, key, "a string is expected") }
    let parts = string.split(separator: "\\", omittingEmptySubsequences: false)
    guard parts.allSatisfy({ visible(String($0)) == $0 }) else {
      throw fault(position, key, "the string has a character that must be escaped, as \\\\x1b")
    }
    return string
  }

  mutating func address(
    _ key: JSONKey, _ value: inout AddressBits, isIPv6: Bool
  ) throws(CensusRecord.Fault) {
    guard let position = expect(key) else { return }
    guard let bits = text.string(at: position).flatMap({ AddressBits(whole: $0, isIPv6: isIPv6) }) else {
      throw fault(
        position, key, isIPv6 ? "eight groups of an IPv6 address are expected" : "an IPv4 address is expected")
    }
    value = bits
  }

  mutating func numbers<Number: FixedWidthInteger>(
    _ key: JSONKey, _ values: inout [Number]
  ) throws(CensusRecord.Fault) {
    guard let position = expect(key) else { return }
    var all: [Number] = []
    let isList = try text.forEachElement(at: position) { (element) throws(CensusRecord.Fault) in
      all.append(try read(element, key))
    }
    guard isList else { throw fault(position, key, "a list is expected") }
    values = all
  }

  mutating func object(_ key: JSONKey, _ value: inout some Recorded) throws(CensusRecord.Fault) {
    guard let position = expect(key) else { return }
    var inner = try FieldReader(
      text, at: position, path: path + "\(key.text).", kind: kind + "\(key.text).", notes)
    try value.visit(&inner)
  }

  mutating func object<Value: Recorded>(_ key: JSONKey, _ value: inout Value?) throws(CensusRecord.Fault) {
    guard let position = find(key) else { return }
    var inner = try FieldReader(
      text, at: position, path: path + "\(key.text).", kind: kind + "\(key.text).", notes)
    var known = Value()
    try known.visit(&inner)
    value = known
  }

  mutating func list<Value: Recorded>(
    _ key: JSONKey, _ values: inout ContiguousArray<Value>
  ) throws(CensusRecord.Fault) {
    guard let position = expect(key) else { return }
    var all: ContiguousArray<Value> = []
    let kind = kind + "\(key.text)[]."
    let isList = try text.forEachElement(at: position) { (element) throws(CensusRecord.Fault) in
      notes.room -= MemoryLayout<Value>.stride
      guard notes.room >= 0 else { throw fault(element, key, "the lists up to here take too much memory") }
      var inner = try FieldReader(text, at: element, path: path + "\(key.text)[\(all.count)].", kind: kind, notes)
      var value = Value()
      try value.visit(&inner)
      all.append(value)
    }
    guard isList else { throw fault(position, key, "a list is expected") }
    values = all
  }

  mutating func check(
    _ isRight: Bool, _ key: JSONKey, _ problem: @autoclosure () -> String
  ) throws(CensusRecord.Fault) {
    if !isRight { throw fault(find(key) ?? position, key, problem()) }
  }
}

extension ArraySlice<UInt8> {
  fileprivate func elementsEqual(_ key: JSONKey) -> Bool {
    count == key.text.utf8CodeUnitCount && begins(with: key.text)
  }
}
