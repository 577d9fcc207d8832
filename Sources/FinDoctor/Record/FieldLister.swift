/// Lists the fields of recorded values, for the help.
struct FieldLister: FieldVisitor {
  private(set) var lines: [String] = []
  private var depth: Int

  init(depth: Int = 0) { self.depth = depth }

  private mutating func add(_ key: JSONKey, _ type: String) {
    lines.append(String(repeating: "  ", count: depth) + "\(key.text) \(type)")
  }

  mutating func number<Number: FixedWidthInteger>(
    _ key: JSONKey, _ value: inout Number
  ) throws(CensusRecord.Fault) { add(key, "number") }
  mutating func number<Number: FixedWidthInteger>(
    _ key: JSONKey, _ value: inout Number?
  ) throws(CensusRecord.Fault) { add(key, "number?") }
  mutating func user(_ key: JSONKey, _ value: inout UInt32) throws(CensusRecord.Fault) { add(key, "number") }
  mutating func user(_ key: JSONKey, _ value: inout UInt32?) throws(CensusRecord.Fault) { add(key, "number?") }
  mutating func flag(_ key: JSONKey, _ value: inout Bool) throws(CensusRecord.Fault) { add(key, "flag") }
  mutating func flag(_ key: JSONKey, _ value: inout Bool?) throws(CensusRecord.Fault) { add(key, "flag?") }
  mutating func text(
    _ key: JSONKey, _ kind: Redaction.Kind, _ value: inout String
  ) throws(CensusRecord.Fault) { add(key, "text") }
  mutating func text(
    _ key: JSONKey, _ kind: Redaction.Kind, _ value: inout String?
  ) throws(CensusRecord.Fault) { add(key, "text?") }
  mutating func address(
    _ key: JSONKey, _ value: inout AddressBits, isIPv6: Bool
  ) throws(CensusRecord.Fault) { add(key, "text") }
  mutating func numbers<Number: FixedWidthInteger>(
    _ key: JSONKey, _ values: inout [Number]
  ) throws(CensusRecord.Fault) { add(key, "[number]") }

  mutating func object(_ key: JSONKey, _ value: inout some Recorded) throws(CensusRecord.Fault) {
    add(key, "object")
    try nested(&value)
  }

  mutating func object<Value: Recorded>(_ key: JSONKey, _ value: inout Value?) throws(CensusRecord.Fault) {
    add(key, "object?")
    var blank = Value()
    try nested(&blank)
  }

  mutating func list<Value: Recorded>(
    _ key: JSONKey, _ values: inout ContiguousArray<Value>
  ) throws(CensusRecord.Fault) {
    add(key, "[object]")
    var blank = Value()
    try nested(&blank)
  }

  mutating func check(
    _ isRight: Bool, _ key: JSONKey, _ problem: @autoclosure () -> String
  ) throws(CensusRecord.Fault) {}

  private mutating func nested(_ value: inout some Recorded) throws(CensusRecord.Fault) {
    depth += 1
    try value.visit(&self)
    depth -= 1
  }
}
