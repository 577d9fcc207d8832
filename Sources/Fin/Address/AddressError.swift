/// Why a text is not an address, where in the text, and what to write in its place.
///
/// It is made by reading text alone, before any socket exists. The one question put to the system on the way is whether
/// an interface of a given name exists (`if_nametoindex`).
public struct AddressError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The whole text as it was given. It may hold anything; `description` escapes it.
  public let text: String
  /// Where in `text`, in bytes of UTF-8 counted from zero. It is `text.utf8.count` when something is missing at the end.
  public let offset: Int
  /// What was wrong there and what a person can do, as a phrase without a full stop.
  public let reason: String

  /// - Parameters:
  ///   - text: The whole text as it was given.
  ///   - offset: Where in `text`, in bytes of UTF-8 counted from zero; a value outside the text is moved to its nearer end.
  ///   - reason: What was wrong there, as a phrase without a full stop.
  public init(text: String, offset: Int, reason: String) {
    self.text = text
    self.offset = min(max(0, offset), text.utf8.count)
    self.reason = reason
  }

  /// For example `address "1.2.3.4.5:80": five numbers where four belong, at character 8`.
  ///
  /// Characters are Unicode scalars counted from zero: in ASCII the number is `offset`. A text longer than 256 bytes is
  /// cut here, and what a terminal would act on is escaped.
  public var description: String {
    let before = String(decoding: text.utf8.prefix(offset), as: UTF8.self).unicodeScalars.count
    return "address \"\(printable(text.utf8, limit: 256))\": \(reason), at character \(before)"
  }
}
