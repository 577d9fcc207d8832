// Names and paths come from peers and from other programs. Their bytes must not move a cursor, start a second log line
// or reverse the reading direction, and a reader must still see which bytes were there.

/// Returns the bytes as text that is safe to print: printable UTF-8 unchanged, every other byte as `\xHH`.
///
/// A backslash is escaped too, so that the text can be parsed back to the same bytes.
/// - Parameters:
///   - bytes: Bytes from another program.
///   - limit: The maximum number of bytes to show; three dots stand for the rest.
@inlinable
package func printable(_ bytes: some Collection<UInt8>, limit: Int = .max) -> String {
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
      isShown = isPrintable(scalar)
      if isShown { shown.unicodeScalars.append(scalar) }
    case .error(let count):
      length = count
    case .emptyInput:
      break scalars
    }
    if !isShown { for byte in rest.prefix(length) { shown += escaped(byte) } }
    rest = rest.dropFirst(length)
  }
  return bytes.count > limit ? shown + "..." : shown
}

/// Returns one byte as `\xHH`.
@usableFromInline
package func escaped(_ byte: UInt8) -> String {
  let digits = String(byte, radix: 16)
  return digits.count == 1 ? "\\x0\(digits)" : "\\x\(digits)"
}

@usableFromInline
package func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
  if scalar == "\\" { return false }
  if scalar.isASCII { return scalar.value >= 0x20 && scalar.value != 0x7f }
  switch scalar.properties.generalCategory {
  // Format characters hide text or turn its direction. The others break lines, look like a space, or have no known
  // appearance.
  case .control, .format, .lineSeparator, .paragraphSeparator, .spaceSeparator, .surrogate, .privateUse, .unassigned:
    return false
  default:
    return true
  }
}
