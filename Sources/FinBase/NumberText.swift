extension BinaryInteger {
  /// The number with commas between groups of three digits: `4,000,045`.
  package var grouped: String {
    let digits = String(magnitude).utf8
    var text: [UInt8] = self < 0 ? [UInt8(ascii: "-")] : []
    for (place, digit) in digits.enumerated() {
      if place > 0, (digits.count - place) % 3 == 0 { text.append(UInt8(ascii: ",")) }
      text.append(digit)
    }
    return String(decoding: text, as: UTF8.self)
  }
}
