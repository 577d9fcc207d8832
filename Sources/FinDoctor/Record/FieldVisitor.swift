/// A part of a census that can be written to a file and read back. Its fields are listed once, for both.
protocol Recorded {
  /// Makes a value without data, whose fields a reader then sets.
  init()

  /// Calls the visitor with every field, in the order of the file.
  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault)
}

/// Visits the fields of recorded values: it writes them, sets them, or lists their names.
///
/// A field that is optional is absent from the file where it is nil. Every other field is always there; where a file
/// of another version lacks it, it keeps the value that `init()` gave it, and the reader notes that.
protocol FieldVisitor {
  mutating func number<Number: FixedWidthInteger>(
    _ key: JSONKey, _ value: inout Number
  ) throws(CensusRecord.Fault)
  mutating func number<Number: FixedWidthInteger>(
    _ key: JSONKey, _ value: inout Number?
  ) throws(CensusRecord.Fault)
  /// A user id, which a redaction replaces.
  mutating func user(_ key: JSONKey, _ value: inout UInt32) throws(CensusRecord.Fault)
  mutating func user(_ key: JSONKey, _ value: inout UInt32?) throws(CensusRecord.Fault)
  mutating func flag(_ key: JSONKey, _ value: inout Bool) throws(CensusRecord.Fault)
  mutating func flag(_ key: JSONKey, _ value: inout Bool?) throws(CensusRecord.Fault)
  /// A text that is safe to print.
  mutating func text(
    _ key: JSONKey, _ kind: Redaction.Kind, _ value: inout String
  ) throws(CensusRecord.Fault)
  mutating func text(
    _ key: JSONKey, _ kind: Redaction.Kind, _ value: inout String?
  ) throws(CensusRecord.Fault)
  mutating func address(
    _ key: JSONKey, _ value: inout AddressBits, isIPv6: Bool
  ) throws(CensusRecord.Fault)
  mutating func numbers<Number: FixedWidthInteger>(
    _ key: JSONKey, _ values: inout [Number]
  ) throws(CensusRecord.Fault)
  mutating func object(_ key: JSONKey, _ value: inout some Recorded) throws(CensusRecord.Fault)
  mutating func object<Value: Recorded>(_ key: JSONKey, _ value: inout Value?) throws(CensusRecord.Fault)
  mutating func list<Value: Recorded>(
    _ key: JSONKey, _ values: inout ContiguousArray<Value>
  ) throws(CensusRecord.Fault)
  /// Ends the visit with an error about a field that was read. A writer ignores it.
  mutating func check(_ isRight: Bool, _ key: JSONKey, _ problem: @autoclosure () -> String) throws(CensusRecord.Fault)
}

/// Fields that are described by the ones above.
extension FieldVisitor {
  /// A value of a kernel's number that has a type of its own.
  mutating func raw<Value: RawRepresentable>(
    _ key: JSONKey, _ value: inout Value
  ) throws(CensusRecord.Fault) where Value.RawValue: FixedWidthInteger {
    var number = value.rawValue
    try self.number(key, &number)
    let read = Value(rawValue: number)
    try check(read != nil, key, "there is no \(Value.self) of this number")
    if let read { value = read }
  }

  /// A time, in nanoseconds.
  mutating func duration(_ key: JSONKey, _ value: inout Duration?) throws(CensusRecord.Fault) {
    var number: Int64? = value.map { time in
      let (seconds, attoseconds) = time.components
      return seconds &* 1_000_000_000 &+ attoseconds / 1_000_000_000
    }
    try self.number(key, &number)
    value = number.map { .nanoseconds($0) }
  }

  /// A dictionary, as a list in the order of its keys.
  mutating func dictionary<Key: Comparable, Value, Entry: RecordedEntry>(
    _ key: JSONKey, _ values: inout [Key: Value], as: Entry.Type
  ) throws(CensusRecord.Fault) where Entry.Key == Key, Entry.Value == Value {
    var entries = ContiguousArray(values.sorted { $0.key < $1.key }.map { Entry($0.key, $0.value) })
    try list(key, &entries)
    values = Dictionary(entries.map { ($0.key, $0.value) }) { $1 }
  }
}

/// A key of a dictionary with its value.
protocol RecordedEntry: Recorded {
  associatedtype Key: Hashable
  associatedtype Value
  var key: Key { get }
  var value: Value { get }
  init(_ key: Key, _ value: Value)
}

/// An entry whose key and value are numbers, or whose value is recorded.
struct NumberEntry<Key: FixedWidthInteger, Value: FixedWidthInteger>: RecordedEntry {
  var key: Key
  var value: Value

  init(_ key: Key, _ value: Value) { (self.key, self.value) = (key, value) }
  init() { (key, value) = (0, 0) }

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try fields.number("key", &key)
    try fields.number("value", &value)
  }
}

/// An entry whose value is recorded.
struct ValueEntry<Key: FixedWidthInteger, Value: Recorded>: RecordedEntry {
  var key: Key
  var value: Value

  init(_ key: Key, _ value: Value) { (self.key, self.value) = (key, value) }
  init() { (key, value) = (0, Value()) }

  mutating func visit(_ fields: inout some FieldVisitor) throws(CensusRecord.Fault) {
    try fields.number("key", &key)
    try value.visit(&fields)
  }
}
