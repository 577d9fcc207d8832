/// The key of a value in an object. It is a literal of the program, so it needs neither escaping nor a `String`.
package struct JSONKey: ExpressibleByStringLiteral {
  package let text: StaticString

  package init(stringLiteral text: StaticString) { self.text = text }
}

/// Writes JSON incrementally, without a value for each part: a list may have a hundred thousand entries.
package struct JSONWriter {
  package var text = TextBuffer()
  private var isFirst = true

  /// Creates a writer that has written nothing.
  package init() {}

  /// Writes an object, whose members `body` writes.
  package mutating func object(_ key: JSONKey? = nil, _ body: (inout JSONWriter) -> Void) {
    nested(key, "{", "}", body)
  }
  /// Writes an array, whose elements `body` writes.
  package mutating func array(_ key: JSONKey? = nil, _ body: (inout JSONWriter) -> Void) { nested(key, "[", "]", body) }

  private mutating func nested(
    _ key: JSONKey?, _ open: Unicode.Scalar, _ close: Unicode.Scalar, _ body: (inout JSONWriter) -> Void
  ) {
    self.open(key, open)
    body(&self)
    self.close(close)
  }

  /// Begins an object or an array, which `close` ends, where a closure could not throw.
  mutating func open(_ key: JSONKey?, _ bracket: Unicode.Scalar) {
    begin(key)
    text.write(ascii: bracket)
    isFirst = true
  }

  /// Ends what `open` began.
  mutating func close(_ bracket: Unicode.Scalar) {
    text.write(ascii: bracket)
    isFirst = false
  }

  /// Writes a key, and a value that `body` writes.
  package mutating func write(_ key: JSONKey, _ body: (inout JSONWriter) -> Void) {
    begin(key)
    isFirst = true
    body(&self)
    isFirst = false
  }

  package mutating func write(_ key: JSONKey? = nil, number: UInt64) {
    begin(key)
    text.write(decimal: number)
  }
  @inlinable public mutating func write(_ key: JSONKey? = nil, number: some UnsignedInteger) {
    write(key, number: UInt64(number))
  }
  /// Writes nothing if the number is unknown.
  package mutating func write(_ key: JSONKey, numberIfKnown number: (some UnsignedInteger)?) {
    if let number { write(key, number: UInt64(number)) }
  }

  package mutating func write(_ key: JSONKey? = nil, signed: Int) {
    begin(key)
    text.write("\(signed)")
  }

  /// Writes a number with three decimals.
  package mutating func write(_ key: JSONKey? = nil, decimal: Double) {
    begin(key)
    let thousandths = Int64(min(max(decimal.isFinite ? decimal : 0, -1e12), 1e12) * 1000)
    text.write(thousandths < 0 ? "-" : "")
    let digits = String(thousandths.magnitude % 1000)
    text.write("\(thousandths.magnitude / 1000)." + String(repeating: "0", count: 3 - digits.count) + digits)
  }

  package mutating func write(_ key: JSONKey? = nil, flag: Bool) {
    begin(key)
    text.write(flag ? "true" : "false")
  }

  package mutating func write(_ key: JSONKey? = nil, string: String) { self.string(key) { $0.write(string) } }

  /// Writes a string piece by piece. Characters that JSON does not allow are escaped afterwards.
  package mutating func string(_ key: JSONKey? = nil, _ body: (inout TextBuffer) -> Void) {
    begin(key)
    text.write(ascii: "\"")
    let start = text.count
    body(&text)
    escape(from: start)
    text.write(ascii: "\"")
  }

  /// Writes a string of only digits, letters and the punctuation between them, which needs no escaping.
  package mutating func plain(_ key: JSONKey, _ body: (inout TextBuffer) -> Void) {
    begin(key)
    text.write(ascii: "\"")
    body(&text)
    text.write(ascii: "\"")
  }

  /// Writes prepared text: keys with their values, or values, with commas between them.
  package mutating func write(prepared bytes: [UInt8]) {
    guard !bytes.isEmpty else { return }
    begin(nil)
    text.bytes.append(contentsOf: bytes)
  }

  /// Puts the next entry of a list on a line of its own.
  package mutating func beginLine() {
    begin(nil)
    text.write(ascii: "\n")
    isFirst = true
  }

  private mutating func begin(_ key: JSONKey?) {
    if let key {
      text.write(key: key.text, isFirst: isFirst)
    } else if !isFirst {
      text.write(ascii: ",")
    }
    isFirst = false
  }

  private mutating func escape(from start: Int) {
    func needs(_ byte: UInt8) -> Bool {
      byte < 0x20 || byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte == 0x7f
    }
    guard let first = text.bytes[start...].firstIndex(where: needs) else { return }
    let rest = Array(text.bytes[first...])
    text.bytes.removeSubrange(first...)
    for byte in rest {
      if !needs(byte) {
        text.bytes.append(byte)
      } else if byte < 0x20 || byte == 0x7f {
        text.write(byte < 16 ? "\\u000" : "\\u00")
        text.write(hexadecimal: UInt64(byte))
      } else {
        text.bytes += [UInt8(ascii: "\\"), byte]
      }
    }
  }
}
