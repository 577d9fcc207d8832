/// Replaces in a census file what identifies people, programs and machines: the same by the same within one file.
///
/// Numbers of processes, descriptors, ports and inodes stay, as do times, counts and states. The relations of addresses
/// stay, because a diagnosis needs them: loopback, link-local, multicast and unspecified addresses are kept, and two
/// addresses with a common prefix have one of the same length afterwards. A reader who knows some of the addresses can
/// therefore guess parts of others.
final class Redaction {
  /// The kind of a text, which its replacement shows: `program-3`.
  enum Kind: String {
    /// Kept: words of `fin` and of the kernel.
    case word
    case program, script, arguments, path, unit, container, namespace, interface, file, sentence
    case unixName = "unix"
  }

  private var texts: [Kind: [String: String]] = [:]
  private var users: [UInt32: UInt32] = [0: 0]
  private var addresses: [NetworkAddress: AddressBits] = [:]
  private let key: (UInt64, UInt64)

  /// Creates a redaction with a secret of its own, which is never written.
  convenience init() {
    var random = SystemRandomNumberGenerator()
    self.init(key: (random.next(), random.next()))
  }

  init(key: (UInt64, UInt64)) { self.key = key }

  func text(_ text: String, _ kind: Kind) -> String {
    if kind == .word || text.isEmpty { return text }
    // A sentence may quote a name.
    if kind == .sentence { return "redacted" }
    if kind == .namespace, text == "own" { return text }
    if let known = texts[kind]?[text] { return known }
    var replacement = "\(kind.rawValue)-\((texts[kind]?.count ?? 0) + 1)"
    if kind == .path { replacement = "/" + replacement }
    if kind == .unixName { replacement = (text.hasPrefix("\\x00") ? "\\x00" : "/") + replacement }
    texts[kind, default: [:]][text] = replacement
    return replacement
  }

  /// Root stays root; others are numbered from 10,001.
  func user(_ user: UInt32) -> UInt32 {
    if let known = users[user] { return known }
    let replacement = UInt32(10_000 + users.count)
    users[user] = replacement
    return replacement
  }

  func address(_ bits: AddressBits, isIPv6: Bool) -> AddressBits {
    let whole = NetworkAddress(bits, isIPv6: isIPv6)
    if let known = addresses[whole] { return known }
    let replacement: AddressBits
    if let v4 = whole.asIPv4 {
      let changed = UInt64(permuted(Bits(high: UInt64(v4) << 32, low: 0), count: 32, keeping: Self.keptV4).high >> 32)
      replacement = isIPv6 ? AddressBits(low: 0xffff_0000_0000 | changed) : AddressBits(low: changed)
    } else {
      let changed = permuted(Bits(high: bits.high, low: bits.low), count: 128, keeping: Self.keptV6)
      replacement = AddressBits(high: changed.high, low: changed.low)
    }
    addresses[whole] = replacement
    return replacement
  }

  /// The bits of an address from the first on, in two halves.
  struct Bits: Hashable {
    var high: UInt64
    var low: UInt64

    func bit(_ place: Int) -> UInt64 {
      place < 64 ? high >> UInt64(63 - place) & 1 : low >> UInt64(127 - place) & 1
    }

    /// The first bits, and zeros behind them.
    func prefix(_ count: Int) -> Bits {
      func mask(_ count: Int) -> UInt64 { count <= 0 ? 0 : count >= 64 ? .max : ~(.max >> UInt64(count)) }
      return Bits(high: high & mask(count), low: low & mask(count - 64))
    }

    mutating func flip(_ place: Int) {
      if place < 64 { high ^= 1 << UInt64(63 - place) } else { low ^= 1 << UInt64(127 - place) }
    }
  }

  /// A prefix whose addresses stay as they are.
  struct Kept {
    var bits: Bits
    var count: Int
  }

  private static func v4(_ first: UInt64, _ second: UInt64, _ count: Int) -> Kept {
    Kept(bits: Bits(high: first << 56 | second << 48, low: 0), count: count)
  }

  /// 0.0.0.0/8, 127.0.0.0/8, 169.254.0.0/16, 224.0.0.0/3.
  private static let keptV4 = [v4(0, 0, 8), v4(127, 0, 8), v4(169, 254, 16), v4(224, 0, 3)]
  /// ::/96 with the loopback, IPv4-mapped addresses, fe80::/10, ff00::/8.
  private static let keptV6 = [
    Kept(bits: Bits(high: 0, low: 0), count: 96), Kept(bits: Bits(high: 0, low: 0xffff_0000_0000), count: 96),
    Kept(bits: Bits(high: 0xfe80 << 48, low: 0), count: 10), Kept(bits: Bits(high: 0xff00 << 48, low: 0), count: 8),
  ]

  /// Flips each bit or not, depending on a keyed hash of the bits before it (Crypto-PAn). It flips none that leads to a
  /// prefix that is kept, so that no other address can become one of those.
  private func permuted(_ address: Bits, count: Int, keeping kept: [Kept]) -> Bits {
    var changed = address
    for place in 0..<count {
      let prefix = address.prefix(place)
      if kept.contains(where: {
        place >= $0.count ? prefix.prefix($0.count) == $0.bits : prefix == $0.bits.prefix(place)
      }) {
        continue
      }
      if SipHash.hash([prefix.high, prefix.low, UInt64(count << 8 | place)], key: key) & 1 == 1 { changed.flip(place) }
    }
    return changed
  }
}

/// SipHash-2-4, a keyed hash of a few words (Aumasson and Bernstein, 2012).
enum SipHash {
  static func hash(_ words: [UInt64], key: (UInt64, UInt64)) -> UInt64 {
    var v0 = key.0 ^ 0x736f_6d65_7073_6575
    var v1 = key.1 ^ 0x646f_7261_6e64_6f6d
    var v2 = key.0 ^ 0x6c79_6765_6e65_7261
    var v3 = key.1 ^ 0x7465_6462_7974_6573
    func rotated(_ value: UInt64, _ count: UInt64) -> UInt64 { value << count | value >> (64 - count) }
    func round() {
      v0 = v0 &+ v1
      v1 = rotated(v1, 13) ^ v0
      v0 = rotated(v0, 32)
      v2 = v2 &+ v3
      v3 = rotated(v3, 16) ^ v2
      v0 = v0 &+ v3
      v3 = rotated(v3, 21) ^ v0
      v2 = v2 &+ v1
      v1 = rotated(v1, 17) ^ v2
      v2 = rotated(v2, 32)
    }
    // The last word of the original holds the remaining bytes and the length.
    for word in words + [UInt64(words.count * 8) << 56] {
      v3 ^= word
      round()
      round()
      v0 ^= word
    }
    v2 ^= 0xff
    for _ in 0..<4 { round() }
    return v0 ^ v1 ^ v2 ^ v3
  }
}
