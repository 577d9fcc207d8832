/// A Swift file as the rules of the house see it: what is code, without comments and without what strings say.
///
/// A scanner and no parser: it knows `//`, `"…"`, `"""…"""` and their raw forms. Block comments are against the
/// formatter's rules, so it does not know them.
struct SwiftText: Sendable {
  /// The file's lines as they stand.
  let lines: [String]
  /// The same lines with comments and the insides of strings left out.
  let code: [String]

  init(_ text: String) {
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    var scanner = Scanner()
    self.lines = lines
    self.code = lines.map { scanner.code(of: $0) }
  }

  /// Goes through a file line by line and remembers the string it is in.
  private struct Scanner {
    /// The number of quotes and of `#` that end the string we are in.
    private var open: (quotes: Int, hashes: Int)?

    mutating func code(of line: String) -> String {
      // Most lines have neither a string nor a comment.
      if open == nil, !line.utf8.contains(UInt8(ascii: "\"")), !line.utf8.contains(UInt8(ascii: "/")) { return line }
      let bytes = Array(line.utf8)
      var kept: [UInt8] = []
      var at = 0
      while at < bytes.count {
        if let open {
          if bytes[at] == UInt8(ascii: "\\"), Self.run(of: "#", in: bytes, from: at + 1) >= open.hashes {
            at += 2 + open.hashes
          } else if Self.run(of: "\"", in: bytes, from: at) >= open.quotes,
            Self.run(of: "#", in: bytes, from: at + open.quotes) >= open.hashes
          {
            at += open.quotes + open.hashes
            self.open = nil
            kept.append(UInt8(ascii: "\""))
          } else {
            at += 1
          }
          continue
        }
        if bytes[at...].starts(with: "//".utf8) { break }
        let hashes = Self.run(of: "#", in: bytes, from: at)
        let quotes = Self.run(of: "\"", in: bytes, from: at + hashes)
        if quotes > 0 {
          // Two quotes are a string that is empty; three open one of several lines.
          if quotes == 2 {
            at += hashes + 2 + hashes
          } else {
            open = (quotes >= 3 ? 3 : 1, hashes)
            at += hashes + (quotes >= 3 ? 3 : 1)
          }
          kept.append(UInt8(ascii: "\""))
          continue
        }
        kept.append(bytes[at])
        at += 1
      }
      // A string of one line ends with its line, whatever the scanner thought.
      if let string = open, string.quotes == 1 { open = nil }
      return String(decoding: kept, as: UTF8.self)
    }

    private static func run(of character: Unicode.Scalar, in bytes: [UInt8], from start: Int) -> Int {
      guard start < bytes.count else { return 0 }
      return bytes[start...].prefix { $0 == UInt8(ascii: character) }.count
    }
  }
}
