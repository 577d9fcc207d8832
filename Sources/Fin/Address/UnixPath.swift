import Glibc

/// Where a Unix socket is: a path in the file system, a name in the kernel's own table, or nowhere (unix(7)).
///
/// Its text form is the path, `@name` for an abstract name, or `(unnamed)`. Bytes that do not print stand there as `\xHH`,
/// and so does the backslash, so that the text always reads back to the same bytes. `init(path:)` and `init(abstract:)`
/// take bytes as they are and know no escapes.
public struct UnixPath: Hashable, Sendable {
  /// Which of the three it is.
  public enum Kind: Hashable, Sendable {
    /// A path in the file system; binding makes a file there.
    case path
    /// A name that the kernel keeps and that goes when the last socket does; any byte may stand in it.
    case abstract
    /// No name: a socket that was never bound, or one of a pair.
    case unnamed
  }

  /// Which of the three it is.
  public let kind: Kind
  /// The path without a terminating NUL, or the abstract name without the NUL that marks it; empty when unnamed.
  public let bytes: [UInt8]

  /// How many bytes a path or a name may have: `sun_path` has 108, and one is a NUL behind the path or before the name.
  public static let limit = 107

  /// A socket without a name.
  public static let unnamed = UnixPath(kind: .unnamed, bytes: [])

  /// Takes a path as it is.
  /// - Parameter path: 1 to 107 bytes of UTF-8 without a NUL; a relative one counts from the process's directory.
  /// - Throws: When it is empty, longer, or holds a NUL.
  public init(path: String) throws(AddressError) {
    try self.init(path: path.utf8)
  }

  /// Takes the bytes of a path as they are; they need not be UTF-8.
  /// - Parameter bytes: 1 to 107 bytes without a NUL.
  /// - Throws: When there are none, more, or a NUL among them.
  public init(path bytes: some Collection<UInt8>) throws(AddressError) {
    try self.init(.path, Decoded(bytes), source: AddressText(String(decoding: bytes, as: UTF8.self)))
  }

  /// Takes an abstract name as it is, without an `@` or a NUL before it.
  /// - Parameter name: 107 bytes of UTF-8 at most.
  /// - Throws: When it is longer.
  public init(abstract name: String) throws(AddressError) {
    try self.init(abstract: name.utf8)
  }

  /// Takes the bytes of an abstract name as they are, without the NUL that marks it.
  /// - Parameter bytes: 107 bytes at most, of any value.
  /// - Throws: When there are more.
  public init(abstract bytes: some Collection<UInt8>) throws(AddressError) {
    try self.init(.abstract, Decoded(bytes), source: AddressText(String(decoding: bytes, as: UTF8.self)))
  }

  /// What the kernel said. A path may have 108 bytes here: Linux lets a program bind one without a terminating NUL.
  init(kind: Kind, bytes: [UInt8]) {
    self.kind = kind
    self.bytes = bytes
  }

  private init(_ kind: Kind, _ decoded: Decoded, source: AddressText) throws(AddressError) {
    if kind == .path {
      if decoded.bytes.isEmpty { throw source.refusal(at: source.bytes.count, "nothing where a path belongs") }
      if let index = decoded.bytes.firstIndex(of: 0) {
        throw source.refusal(
          at: decoded.offset(of: index), "a NUL in a path (an abstract name may hold one: begin it with \"@\")")
      }
    }
    guard decoded.bytes.count <= Self.limit else {
      throw source.refusal(
        at: decoded.offset(of: Self.limit),
        "\(decoded.bytes.count) bytes where a Unix socket's address has \(Self.limit) at most: choose a shorter one")
    }
    self.init(kind: kind, bytes: decoded.bytes)
  }
}

extension UnixPath: LosslessStringConvertible {
  /// The path, `@` and the abstract name, or `(unnamed)`, with `\xHH` for every byte that does not print.
  public var description: String {
    switch kind {
    case .unnamed: return "(unnamed)"
    case .abstract: return "@" + printable(bytes)
    case .path:
      let text = printable(bytes)
      // A file may be called "@x" or "(unnamed)"; its first byte is escaped so that it is not taken for the other thing.
      guard text.hasPrefix("@") || text == "(unnamed)" else { return text }
      return escaped(bytes[0]) + text.dropFirst()
    }
  }

  /// The same as `init(parsing:)`, with nil for a refusal.
  public init?(_ description: String) {
    do throws(AddressError) { try self.init(parsing: description) } catch { return nil }
  }

  /// Reads what `description` prints: `@` begins an abstract name, `(unnamed)` is no name, `\xHH` is one byte.
  /// - Throws: When it is empty or too long, a path holds a NUL, or a backslash begins no `\xHH`.
  public init(parsing text: String) throws(AddressError) {
    let source = AddressText(text)
    try self.init(reading: source, source.all)
  }

  /// Reads a part of a longer text.
  init(reading source: AddressText, _ range: Range<Int>) throws(AddressError) {
    if source.string(range) == "(unnamed)" {
      self = .unnamed
    } else if source.hasPrefix("@", in: range) {
      try self.init(.abstract, Decoded(source, (range.lowerBound + 1)..<range.upperBound), source: source)
    } else {
      try self.init(.path, Decoded(source, range), source: source)
    }
  }
}

/// Bytes taken from a text, and where each of them stood in it.
private struct Decoded {
  var bytes: [UInt8] = []
  /// Empty when byte and place are the same number.
  var offsets: [Int] = []

  init(_ bytes: some Collection<UInt8>) { self.bytes = Array(bytes) }

  init(_ source: AddressText, _ range: Range<Int>) throws(AddressError) {
    var index = range.lowerBound
    while index < range.upperBound {
      offsets.append(index)
      guard source.bytes[index] == UInt8(ascii: "\\") else {
        bytes.append(source.bytes[index])
        index += 1
        continue
      }
      guard index + 3 < range.upperBound, source.bytes[index + 1] == UInt8(ascii: "x"),
        let first = source.bytes[index + 2].hexadecimal, let second = source.bytes[index + 3].hexadecimal
      else {
        throw source.refusal(at: index, "a backslash that begins no \\xHH: a backslash itself is written \\x5c")
      }
      bytes.append(first << 4 | second)
      index += 4
    }
  }

  func offset(of index: Int) -> Int { offsets.isEmpty ? index : offsets[index] }
}
