import FinDoctor

/// The key of a value in an object. It is a literal of the program, so it needs neither escaping nor a `String`.
struct JSONKey: ExpressibleByStringLiteral {
  let text: StaticString

  init(stringLiteral text: StaticString) { self.text = text }
}

/// Writes JSON incrementally, without a value for each part: a list may have a hundred thousand entries.
struct JSONWriter {
  var text = TextBuffer()
  private var isFirst = true

  /// Writes an object, whose members `body` writes.
  mutating func object(_ key: JSONKey? = nil, _ body: (inout JSONWriter) -> Void) { nested(key, "{", "}", body) }
  /// Writes an array, whose elements `body` writes.
  mutating func array(_ key: JSONKey? = nil, _ body: (inout JSONWriter) -> Void) { nested(key, "[", "]", body) }

  private mutating func nested(
    _ key: JSONKey?, _ open: Unicode.Scalar, _ close: Unicode.Scalar, _ body: (inout JSONWriter) -> Void
  ) {
    begin(key)
    text.write(ascii: open)
    isFirst = true
    body(&self)
    text.write(ascii: close)
    isFirst = false
  }

  /// Writes a key, and a value that `body` writes.
  mutating func write(_ key: JSONKey, _ body: (inout JSONWriter) -> Void) {
    begin(key)
    isFirst = true
    body(&self)
    isFirst = false
  }

  mutating func write(_ key: JSONKey? = nil, number: UInt64) {
    begin(key)
    text.write(decimal: number)
  }
  mutating func write(_ key: JSONKey? = nil, number: some UnsignedInteger) { write(key, number: UInt64(number)) }
  /// Writes nothing if the number is unknown.
  mutating func write(_ key: JSONKey, numberIfKnown number: (some UnsignedInteger)?) {
    if let number { write(key, number: UInt64(number)) }
  }

  mutating func write(_ key: JSONKey? = nil, signed: Int) {
    begin(key)
    text.write("\(signed)")
  }

  /// Writes a number with three decimals.
  mutating func write(_ key: JSONKey? = nil, decimal: Double) {
    begin(key)
    let thousandths = Int64(min(max(decimal.isFinite ? decimal : 0, -1e12), 1e12) * 1000)
    text.write(thousandths < 0 ? "-" : "")
    let digits = String(thousandths.magnitude % 1000)
    text.write("\(thousandths.magnitude / 1000)." + String(repeating: "0", count: 3 - digits.count) + digits)
  }

  mutating func write(_ key: JSONKey? = nil, flag: Bool) {
    begin(key)
    text.write(flag ? "true" : "false")
  }

  mutating func write(_ key: JSONKey? = nil, string: String) { self.string(key) { $0.write(string) } }

  /// Writes a string piece by piece. Characters that JSON does not allow are escaped afterwards.
  mutating func string(_ key: JSONKey? = nil, _ body: (inout TextBuffer) -> Void) {
    begin(key)
    text.write(ascii: "\"")
    let start = text.count
    body(&text)
    escape(from: start)
    text.write(ascii: "\"")
  }

  /// Writes a string of only digits, letters and the punctuation between them, which needs no escaping.
  mutating func plain(_ key: JSONKey, _ body: (inout TextBuffer) -> Void) {
    begin(key)
    text.write(ascii: "\"")
    body(&text)
    text.write(ascii: "\"")
  }

  /// Writes prepared text: keys with their values, or values, with commas between them.
  mutating func write(prepared bytes: [UInt8]) {
    guard !bytes.isEmpty else { return }
    begin(nil)
    text.bytes.append(contentsOf: bytes)
  }

  /// Puts the next entry of a list on a line of its own.
  mutating func beginLine() {
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
