import Glibc

/// A Swift file as the house rules read it: each line's code, comment and string literals, separated.
///
/// A scanner, not a parser: it knows `//`, `"…"`, `"""…"""` and their raw forms. It does not know block comments,
/// because the formatter forbids them.
struct SwiftText: Sendable {
  /// The file's lines, unchanged.
  let lines: [String]
  /// The same lines without comments and without the contents of string literals.
  let code: [String]
  /// The comment of each line from `//` on; empty where there is none.
  let comments: [String]
  /// The contents of each line's string literals, one after another.
  let strings: [String]

  /// The whole text in lower case.
  private let lowerCase: String

  init(_ text: String) {
    lowerCase = text.lowercased()
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    var scanner = Scanner()
    let parts = lines.map { scanner.parts(of: $0) }
    self.lines = lines
    self.code = parts.map(\.code)
    self.comments = parts.map(\.comment)
    self.strings = parts.map(\.string)
  }

  /// Whether one of these texts, which are in lower case, stands anywhere in the file.
  ///
  /// Most files have no line that a rule is about. One search of the file is cheap, an expression for each line is not.
  func mentions(_ texts: String...) -> Bool {
    texts.contains { text in unsafe lowerCase.withCString { unsafe strstr($0, text) != nil } }
  }

  private struct Parts {
    var code: String
    var comment = ""
    var string = ""
  }

  /// Reads a file line by line and keeps the string literal that a line leaves open.
  private struct Scanner {
    /// The number of quotes and of `#` that end the open string literal.
    private var open: (quotes: Int, hashes: Int)?

    mutating func parts(of line: String) -> Parts {
      // Most lines have neither a string nor a comment.
      if open == nil, !line.utf8.contains(UInt8(ascii: "\"")), !line.utf8.contains(UInt8(ascii: "/")) {
        return Parts(code: line)
      }
      let bytes = Array(line.utf8)
      var kept: [UInt8] = []
      var string: [UInt8] = []
      var comment: ArraySlice<UInt8> = []
      var at = 0
      while at < bytes.count {
        if let open {
          if bytes[at] == UInt8(ascii: "\\"), Self.run(of: "#", in: bytes, from: at + 1) >= open.hashes {
            string += bytes[at...].prefix(2 + open.hashes)
            at += 2 + open.hashes
          } else if Self.run(of: "\"", in: bytes, from: at) >= open.quotes,
            Self.run(of: "#", in: bytes, from: at + open.quotes) >= open.hashes
          {
            at += open.quotes + open.hashes
            self.open = nil
            kept.append(UInt8(ascii: "\""))
          } else {
            string.append(bytes[at])
            at += 1
          }
          continue
        }
        if bytes[at...].starts(with: "//".utf8) {
          comment = bytes[at...]
          break
        }
        let hashes = Self.run(of: "#", in: bytes, from: at)
        let quotes = Self.run(of: "\"", in: bytes, from: at + hashes)
        if quotes > 0 {
          // Two quotes are an empty string; three open a string of several lines.
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
      // A string that began with one quote ends with its line at the latest.
      if let open, open.quotes == 1 { self.open = nil }
      return Parts(
        code: String(decoding: kept, as: UTF8.self), comment: String(decoding: comment, as: UTF8.self),
        string: String(decoding: string, as: UTF8.self))
    }

    private static func run(of character: Unicode.Scalar, in bytes: [UInt8], from start: Int) -> Int {
      guard start < bytes.count else { return 0 }
      return bytes[start...].prefix { $0 == UInt8(ascii: character) }.count
    }
  }
}
