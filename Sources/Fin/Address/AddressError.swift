/// The refusal of a text as an address: the reason, the position in the text, and what to write instead.
///
/// It is made by reading text alone, before any socket exists. The parser's only system call asks whether an interface
/// of a given name exists (`if_nametoindex`).
public struct AddressError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The whole text as given. It may hold any characters; `description` escapes them.
  public let text: String
  /// The position in `text`, in bytes of UTF-8 counted from zero; `text.utf8.count` when something is missing at
  /// the end.
  public let offset: Int
  /// The fault at that position and its remedy, as a phrase without a full stop.
  public let reason: String

  /// Makes a refusal.
  ///
  /// - Parameters:
  ///   - text: The whole text as given.
  ///   - offset: The position in `text`, in bytes of UTF-8 counted from zero; a value outside the text is moved to its
  ///     nearer end.
  ///   - reason: The fault at that position, as a phrase without a full stop.
  public init(text: String, offset: Int, reason: String) {
    self.text = text
    self.offset = min(max(0, offset), text.utf8.count)
    self.reason = reason
  }

  /// The refusal as one line, such as `address "1.2.3.4.5:80": five numbers where four belong, at character 8`.
  ///
  /// The character number counts Unicode scalars from zero, so in ASCII it equals `offset`. A text longer than 256
  /// bytes is cut here, and characters that a terminal would act on are escaped.
  public var description: String {
    let before = String(decoding: text.utf8.prefix(offset), as: UTF8.self).unicodeScalars.count
    return "address \"\(printable(text.utf8, limit: 256))\": \(reason), at character \(before)"
  }
}
