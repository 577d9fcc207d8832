import ArgumentParser

/// A size with its unit: `256MB`, `1GiB`, `64M`; the units are powers of 1024, with or without the `i`.
struct ByteSize: ExpressibleByArgument {
  var bytes: Int

  init(bytes: Int) { self.bytes = bytes }

  init?(argument: String) {
    let digits = argument.prefix { $0.isASCII && $0.isNumber }
    let unit = argument.dropFirst(digits.count).lowercased().filter { $0 != "i" }
    let shifts: [String: Int] = ["k": 10, "kb": 10, "m": 20, "mb": 20, "g": 30, "gb": 30]
    guard digits.count <= 6, let number = Int(digits), number > 0, let shift = shifts[unit] else { return nil }
    bytes = number << shift
  }

  var defaultValueDescription: String { "\(bytes >> 20)MB" }
}
