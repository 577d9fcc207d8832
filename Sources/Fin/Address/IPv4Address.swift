internal import FinBase

/// An IPv4 address: four bytes (RFC 791).
///
/// Its text is four decimal numbers and nothing else. The other forms of `inet_aton` (`127.1`, `0177.0.0.1`,
/// `0x7f000001`) are refused, because programs disagree on their meaning.
public struct IPv4Address: Hashable, Sendable {
  /// The address as a number in host order: 127.0.0.1 is `0x7F00_0001`.
  public let rawValue: UInt32

  /// Makes an address from its number.
  /// - Parameter rawValue: The address as a number in host order.
  public init(rawValue: UInt32) { self.rawValue = rawValue }

  /// Makes the address `a.b.c.d`.
  public init(_ a: UInt8, _ b: UInt8, _ c: UInt8, _ d: UInt8) {
    rawValue = UInt32(a) << 24 | UInt32(b) << 16 | UInt32(c) << 8 | UInt32(d)
  }

  /// 0.0.0.0: every address of this machine when listening (`INADDR_ANY`).
  public static let any = IPv4Address(0, 0, 0, 0)
  /// 127.0.0.1: this machine (`INADDR_LOOPBACK`).
  public static let loopback = IPv4Address(127, 0, 0, 1)
  /// 255.255.255.255: every host on the local network (`INADDR_BROADCAST`).
  public static let broadcast = IPv4Address(255, 255, 255, 255)

  /// Whether the address is 0.0.0.0.
  public var isAny: Bool { rawValue == 0 }
  /// Whether the address is in 127.0.0.0/8 (RFC 1122, section 3.2.1.3).
  public var isLoopback: Bool { rawValue >> 24 == 127 }
  /// Whether the address is in 169.254.0.0/16 (RFC 3927).
  public var isLinkLocal: Bool { rawValue >> 16 == 0xA9FE }
  /// Whether the address is in 224.0.0.0/4 (RFC 5771).
  public var isMulticast: Bool { rawValue >> 28 == 0xE }
  /// Whether the address is in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16 (RFC 1918).
  public var isPrivate: Bool { rawValue >> 24 == 10 || rawValue >> 20 == 0xAC1 || rawValue >> 16 == 0xC0A8 }
}

extension IPv4Address: Comparable {
  /// Orders by number: 9.255.255.255 comes before 10.0.0.0.
  public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}

extension IPv4Address: LosslessStringConvertible {
  /// Four decimal numbers with dots between them.
  public var description: String {
    var text = ShortText()
    text.put(v4: rawValue)
    return text.text
  }

  /// Parses a text like `init(parsing:)`; nil for a refusal.
  public init?(_ description: String) {
    do throws(AddressError) { try self.init(parsing: description) } catch { return nil }
  }

  /// Parses four decimal numbers from 0 to 255, without leading zeros, with dots between them.
  /// - Throws: `AddressError` with the reason and the position.
  public init(parsing text: String) throws(AddressError) {
    rawValue = try AddressError.parsing(text) { source throws(AddressRefusal) in try source.v4(in: source.all) }
  }
}
