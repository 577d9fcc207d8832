internal import FinBase

extension IPv6Address: LosslessStringConvertible {
  /// The text form of RFC 5952, with the scope as a number: `2001:db8::1`, `::ffff:1.2.3.4`, `fe80::1%2`.
  ///
  /// The scope is printed as a number because the name of an interface may change, and because printing makes no
  /// system call.
  public var description: String {
    var text = ShortText()
    text.put(v6: high, low, interface: scope)
    return text.text
  }

  /// Parses a text like `init(parsing:)`; nil for a refusal.
  public init?(_ description: String) {
    do throws(AddressError) { try self.init(parsing: description) } catch { return nil }
  }

  /// Parses any form of RFC 4291, section 2.2, and after a `%` the interface by its number or name (RFC 4007, section
  /// 11).
  ///
  /// A name is looked up at once (`if_nametoindex`). Digits are always a number; the kernel checks whether an interface
  /// has it.
  /// - Throws: `AddressError` with the reason and the position; also when no interface has the name.
  public init(parsing text: String) throws(AddressError) {
    self = try AddressError.parsing(text) { source throws(AddressRefusal) in
      let parsed = try source.v6(in: source.all)
      return IPv6Address(high: parsed.high, low: parsed.low, scope: try source.index(of: parsed.zone))
    }
  }
}
