/// Returns the bytes as text that is safe to print: printable UTF-8 as it is, every other byte as `\xHH`.
///
/// Other programs choose names and command lines. Their text must not move the cursor, begin a new line or change the
/// reading direction, and the user must still see which bytes were there. A backslash is escaped too.
/// - Parameters:
///   - bytes: Bytes from another program.
///   - limit: The maximum number of bytes to show; three dots stand for the rest.
package func visible(_ bytes: some Collection<UInt8>, limit: Int = .max) -> String {
  var shown = ""
  var rest = bytes.prefix(limit)
  var parser = Unicode.UTF8.ForwardParser()
  var iterator = rest.makeIterator()
  scalars: while true {
    let length: Int
    var isShown = false
    switch parser.parseScalar(from: &iterator) {
    case .valid(let encoded):
      length = encoded.count
      let scalar = Unicode.UTF8.decode(encoded)
      isShown = isVisible(scalar)
      if isShown { shown.unicodeScalars.append(scalar) }
    case .error(let count):
      length = count
    case .emptyInput:
      break scalars
    }
    if !isShown {
      for byte in rest.prefix(length) {
        shown += "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
      }
    }
    rest = rest.dropFirst(length)
  }
  return bytes.count > limit ? shown + "..." : shown
}

/// Returns the text with every character escaped that is not plainly printable, and the backslash.
package func visible(_ text: String, limit: Int = .max) -> String { visible(text.utf8, limit: limit) }

private func isVisible(_ scalar: Unicode.Scalar) -> Bool {
  if scalar == "\\" { return false }
  if scalar.isASCII { return scalar.value >= 0x20 && scalar.value != 0x7f }
  switch scalar.properties.generalCategory {
  // Format characters hide text or change its direction. The others break lines, look like a space, or have no known
  // glyph.
  case .control, .format, .lineSeparator, .paragraphSeparator, .spaceSeparator, .surrogate, .privateUse, .unassigned:
    return false
  default:
    return true
  }
}
