internal import FinBase

/// Writes the fields of recorded values as JSON.
struct FieldWriter: FieldVisitor {
  var json = JSONWriter()
  /// Replaces what identifies people and machines; nil to keep it.
  let redaction: Redaction?

  init(redaction: Redaction?) { self.redaction = redaction }

  mutating func number<Number: FixedWidthInteger>(
    _ key: JSONKey, _ value: inout Number
  ) throws(CensusRecord.Fault) {
    if Number.isSigned {
      json.write(key, signed: Int(value))
    } else {
      json.write(key, number: UInt64(value))
    }
  }

  mutating func number<Number: FixedWidthInteger>(
    _ key: JSONKey, _ value: inout Number?
  ) throws(CensusRecord.Fault) {
    guard var known = value else { return }
    try number(key, &known)
  }

  mutating func user(_ key: JSONKey, _ value: inout UInt32) throws(CensusRecord.Fault) {
    json.write(key, number: redaction?.user(value) ?? value)
  }

  mutating func user(_ key: JSONKey, _ value: inout UInt32?) throws(CensusRecord.Fault) {
    guard var known = value else { return }
    try user(key, &known)
  }

  mutating func flag(_ key: JSONKey, _ value: inout Bool) throws(CensusRecord.Fault) { json.write(key, flag: value) }

  mutating func flag(_ key: JSONKey, _ value: inout Bool?) throws(CensusRecord.Fault) {
    if let value { json.write(key, flag: value) }
  }

  mutating func text(
    _ key: JSONKey, _ kind: Redaction.Kind, _ value: inout String
  ) throws(CensusRecord.Fault) {
    json.write(key, string: redaction?.text(value, kind) ?? value)
  }

  mutating func text(
    _ key: JSONKey, _ kind: Redaction.Kind, _ value: inout String?
  ) throws(CensusRecord.Fault) {
    guard var known = value else { return }
    try text(key, kind, &known)
  }

  mutating func address(
    _ key: JSONKey, _ value: inout AddressBits, isIPv6: Bool
  ) throws(CensusRecord.Fault) {
    let shown = redaction?.address(value, isIPv6: isIPv6) ?? value
    json.string(key) { $0.write(whole: shown, isIPv6: isIPv6) }
  }

  mutating func numbers<Number: FixedWidthInteger>(
    _ key: JSONKey, _ values: inout [Number]
  ) throws(CensusRecord.Fault) {
    let values = values
    json.array(key) { json in
      for value in values {
        if Number.isSigned { json.write(signed: Int(value)) } else { json.write(number: UInt64(value)) }
      }
    }
  }

  mutating func object(_ key: JSONKey, _ value: inout some Recorded) throws(CensusRecord.Fault) {
    try nested(key, &value)
  }

  mutating func object<Value: Recorded>(_ key: JSONKey, _ value: inout Value?) throws(CensusRecord.Fault) {
    guard var known = value else { return }
    try nested(key, &known)
  }

  mutating func list<Value: Recorded>(
    _ key: JSONKey, _ values: inout ContiguousArray<Value>
  ) throws(CensusRecord.Fault) {
    json.open(key, "[")
    for var value in values {
      json.beginLine()
      try nested(nil, &value)
    }
    json.close("]")
  }

  mutating func check(
    _ isRight: Bool, _ key: JSONKey, _ problem: @autoclosure () -> String
  ) throws(CensusRecord.Fault) {}

  private mutating func nested(_ key: JSONKey?, _ value: inout some Recorded) throws(CensusRecord.Fault) {
    json.open(key, "{")
    try value.visit(&self)
    json.close("}")
  }
}

extension TextBuffer {
  /// Writes all digits of an address: `10.0.0.7`, `fe80:0:0:0:0:0:0:1`.
  mutating func write(whole bits: AddressBits, isIPv6: Bool) {
    if !isIPv6 {
      for shift in [24, 16, 8, 0] as [UInt64] {
        if shift < 24 { write(ascii: ".") }
        write(decimal: bits.low >> shift & 0xff)
      }
      return
    }
    for place in 0..<8 {
      if place > 0 { write(ascii: ":") }
      write(hexadecimal: (place < 4 ? bits.high : bits.low) >> UInt64(48 - 16 * (place & 3)) & 0xffff)
    }
  }
}

extension AddressBits {
  /// Parses what `TextBuffer.write(whole:isIPv6:)` writes.
  init?(whole text: String, isIPv6: Bool) {
    let parts = text.utf8.split(separator: UInt8(ascii: isIPv6 ? ":" : "."), omittingEmptySubsequences: false)
    self.init()
    guard parts.count == (isIPv6 ? 8 : 4) else { return nil }
    for (place, part) in parts.enumerated() {
      if isIPv6 {
        guard let group = UInt16(hexadecimal: Array(part)) else { return nil }
        if place < 4 { high = high << 16 | UInt64(group) } else { low = low << 16 | UInt64(group) }
      } else {
        guard let byte = UInt8(decimal: Array(part)) else { return nil }
        low = low << 8 | UInt64(byte)
      }
    }
  }
}
