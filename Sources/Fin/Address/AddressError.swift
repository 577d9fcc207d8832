internal import FinBase

/// The refusal of a text as an address: the reason, the position in the text, and what to write instead.
///
/// It is made by reading text alone, before any socket exists. The parser's only system call asks whether an interface
/// of a given name exists (`if_nametoindex`).
public struct AddressError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The whole text as given. It may hold any characters; `description` escapes them.
  public var text: String { refusal.text }
  /// The position in `text`, in bytes of UTF-8 counted from zero; `text.utf8.count` when something is missing at
  /// the end.
  public var offset: Int { refusal.offset }
  /// The fault at that position and its remedy, as a phrase without a full stop.
  public var reason: String { refusal.reason }

  private let refusal: AddressRefusal

  /// Makes a refusal.
  ///
  /// - Parameters:
  ///   - text: The whole text as given.
  ///   - offset: The position in `text`, in bytes of UTF-8 counted from zero; a value outside the text is moved to its
  ///     nearer end.
  ///   - reason: The fault at that position, as a phrase without a full stop.
  public init(text: String, offset: Int, reason: String) {
    refusal = AddressRefusal(text: text, offset: offset, reason: reason)
  }

  /// The refusal as one line, such as `address "1.2.3.4.5:80": five numbers where four belong, at character 8`.
  ///
  /// The character number counts Unicode scalars from zero, so in ASCII it equals `offset`. A text longer than 256
  /// bytes is cut here, and characters that a terminal would act on are escaped.
  public var description: String { refusal.description }
}

extension AddressError {
  fileprivate init(_ refusal: AddressRefusal) { self.refusal = refusal }

  /// Returns the result of a parser, with its refusal as the public error.
  static func refusing<Parsed>(_ parse: () throws(AddressRefusal) -> Parsed) throws(AddressError) -> Parsed {
    do throws(AddressRefusal) { return try parse() } catch { throw AddressError(error) }
  }

  /// Parses a whole text.
  static func parsing<Parsed>(
    _ text: String, _ parse: (AddressText) throws(AddressRefusal) -> Parsed
  ) throws(AddressError) -> Parsed {
    let source = AddressText(text)
    return try refusing { () throws(AddressRefusal) in try parse(source) }
  }
}

extension AddressText {
  /// A refusal as the public error.
  func error(at offset: Int, _ reason: String) -> AddressError { AddressError(refusal(at: offset, reason)) }

  func error(ofCharacterAt offset: Int, _ reason: String) -> AddressError {
    AddressError(refusal(ofCharacterAt: offset, reason))
  }
}
