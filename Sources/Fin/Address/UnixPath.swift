internal import FinBase
import Glibc

/// The name of a Unix socket: a path in the file system, an abstract name in the kernel's own table, or none (unix(7)).
///
/// Its text form is the path, `@name` for an abstract name, or `(unnamed)`. Bytes that are not printable appear as
/// `\xHH`, and so does the backslash, so that the text always parses back to the same bytes. `init(path:)` and
/// `init(abstract:)` take bytes literally and know no escapes.
public struct UnixPath: Hashable, Sendable {
  /// The three kinds of name.
  public enum Kind: Hashable, Sendable {
    /// A path in the file system; `bind` creates a file there.
    case path
    /// A name that the kernel keeps until the last socket with it is closed; it may contain any byte.
    case abstract
    /// No name: the socket was never bound, or is one of a pair.
    case unnamed
  }

  /// The kind of this name.
  public let kind: Kind
  /// The path without a terminating NUL, or the abstract name without the NUL that marks it; empty when unnamed.
  public let bytes: [UInt8]

  /// The maximum number of bytes of a path or a name: `sun_path` has 108, and one is the NUL behind the path or before
  /// the name.
  public static let limit = 107

  /// The name of a socket that has none.
  public static let unnamed = UnixPath(kind: .unnamed, bytes: [])

  /// Makes a path, taken literally.
  /// - Parameter path: 1 to 107 bytes of UTF-8 without a NUL; a relative path starts from the process's
  ///   working directory.
  /// - Throws: `AddressError` when the path is empty or longer, or holds a NUL.
  public init(path: String) throws(AddressError) {
    try self.init(path: path.utf8)
  }

  /// Makes a path from its bytes, taken literally; they need not be UTF-8.
  /// - Parameter bytes: 1 to 107 bytes without a NUL.
  /// - Throws: `AddressError` when there are none or more, or a NUL among them.
  public init(path bytes: some Collection<UInt8>) throws(AddressError) {
    try self.init(.path, Decoded(bytes), source: AddressText(String(decoding: bytes, as: UTF8.self)))
  }

  /// Makes an abstract name, taken literally, without an `@` or a NUL before it.
  /// - Parameter name: At most 107 bytes of UTF-8.
  /// - Throws: `AddressError` when the name is longer.
  public init(abstract name: String) throws(AddressError) {
    try self.init(abstract: name.utf8)
  }

  /// Makes an abstract name from its bytes, taken literally, without the NUL that marks it.
  /// - Parameter bytes: At most 107 bytes, of any value.
  /// - Throws: `AddressError` when there are more.
  public init(abstract bytes: some Collection<UInt8>) throws(AddressError) {
    try self.init(.abstract, Decoded(bytes), source: AddressText(String(decoding: bytes, as: UTF8.self)))
  }

  /// Makes a name that the kernel reported. A path may have 108 bytes here: Linux lets a program bind one without a
  /// terminating NUL.
  init(kind: Kind, bytes: [UInt8]) {
    self.kind = kind
    self.bytes = bytes
  }

  private init(_ kind: Kind, _ decoded: Decoded, source: AddressText) throws(AddressError) {
    if kind == .path {
      if decoded.bytes.isEmpty { throw source.error(at: source.bytes.count, "nothing where a path belongs") }
      if let index = decoded.bytes.firstIndex(of: 0) {
        throw source.error(
          at: decoded.offset(of: index), "a NUL in a path (an abstract name may hold one: begin it with \"@\")")
      }
    }
    guard decoded.bytes.count <= Self.limit else {
      throw source.error(
        at: decoded.offset(of: Self.limit),
        "\(decoded.bytes.count) bytes where a Unix socket's address has \(Self.limit) at most: choose a shorter one")
    }
    self.init(kind: kind, bytes: decoded.bytes)
  }
}

extension UnixPath: LosslessStringConvertible {
  /// The path, `@` and the abstract name, or `(unnamed)`, with `\xHH` for every byte that is not printable.
  public var description: String {
    switch kind {
    case .unnamed: return "(unnamed)"
    case .abstract: return "@" + printable(bytes)
    case .path:
      let text = printable(bytes)
      // A file may be called "@x" or "(unnamed)"; its first byte is escaped so that the text is not parsed as another
      // kind.
      guard text.hasPrefix("@") || text == "(unnamed)" else { return text }
      return escaped(bytes[0]) + text.dropFirst()
    }
  }

  /// Parses a text like `init(parsing:)`; nil for a refusal.
  public init?(_ description: String) {
    do throws(AddressError) { try self.init(parsing: description) } catch { return nil }
  }

  /// Parses the text that `description` prints: `@` begins an abstract name, `(unnamed)` is no name, `\xHH` is
  /// one byte.
  /// - Throws: `AddressError` when a path is empty or holds a NUL, when a name is too long, or when a backslash does
  ///   not begin an `\xHH`.
  public init(parsing text: String) throws(AddressError) {
    let source = AddressText(text)
    try self.init(reading: source, source.all)
  }

  /// Parses a part of a longer text.
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

/// Bytes decoded from a text, and the position of each byte in it.
private struct Decoded {
  var bytes: [UInt8] = []
  /// Empty if every byte's index is its position.
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
        throw source.error(at: index, "a backslash that begins no \\xHH: a backslash itself is written \\x5c")
      }
      bytes.append(first << 4 | second)
      index += 4
    }
  }

  func offset(of index: Int) -> Int { offsets.isEmpty ? index : offsets[index] }
}
