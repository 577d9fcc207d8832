internal import FinBase

/// The fields that an error about an address needs from a line of `/proc/net/tcp`, `tcp6`, `udp` or `udp6`.
struct InternetSocket {
  let address: IPAddress
  let state: UInt8
  let user: UInt32
  let inode: UInt32

  static let timeWait: UInt8 = 6
  static let listening: UInt8 = 10

  /// Parses a line: `0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 12345 …`
  init?(line: ArraySlice<UInt8>, isV6: Bool) {
    let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 10)
    guard fields.count >= 10, let colon = fields[1].firstIndex(of: UInt8(ascii: ":")),
      let address = InternetSocket.address(fields[1][..<colon], isV6: isV6),
      let state = UInt8(hexadecimal: fields[3]),
      let user = UInt32(decimal: fields[7]), let inode = UInt32(decimal: fields[9])
    else { return nil }
    self.address = address.canonical
    self.state = state
    self.user = user
    self.inode = inode
  }

  /// The text of a port in a line: ":0016 ".
  static func column(_ port: UInt16) -> [UInt8] {
    let digits = String(port, radix: 16, uppercase: true)
    return Array(":\(String(repeating: "0", count: 4 - digits.count))\(digits) ".utf8)
  }

  /// Whether a line describes a socket that is bound to this port. It is checked for every line before the line is
  /// parsed, because a table may have very many.
  static func isLine(_ line: ArraySlice<UInt8>, of column: [UInt8], isV6: Bool) -> Bool {
    // A line begins with its number, a colon, a space and the address.
    guard let colon = line.firstIndex(of: UInt8(ascii: ":")) else { return false }
    return line.dropFirst(colon - line.startIndex + 2 + (isV6 ? 32 : 8)).starts(with: column)
  }

  /// Whether a socket with this address prevents another from binding to `wanted`. A wildcard conflicts with every
  /// address of its own version, and `::` also with IPv4, unless `IPV6_V6ONLY` is set, which the table does not show.
  func isInTheWay(of wanted: IPAddress) -> Bool {
    switch (address, wanted) {
    case (.v4(let held), .v4(let wanted)): held == wanted || held.isAny || wanted.isAny
    case (.v6(let held), .v6(let wanted)):
      held.high == wanted.high && held.low == wanted.low || held.isAny || wanted.isAny
    case (.v4, .v6(let wanted)): wanted.isAny
    case (.v6(let held), .v4): held.isAny
    }
  }

  /// Parses an address, which the table prints as 32-bit words in the machine's byte order.
  private static func address(_ text: ArraySlice<UInt8>, isV6: Bool) -> IPAddress? {
    guard text.count == (isV6 ? 32 : 8) else { return nil }
    var words: [UInt64] = []
    var rest = text
    while !rest.isEmpty {
      guard let word = UInt32(hexadecimal: rest.prefix(8)) else { return nil }
      words.append(UInt64(UInt32(bigEndian: word)))
      rest = rest.dropFirst(8)
    }
    return isV6
      ? .v6(IPv6Address(high: words[0] << 32 | words[1], low: words[2] << 32 | words[3]))
      : .v4(IPv4Address(rawValue: UInt32(words[0])))
  }
}

/// The fields that an error about a path needs from a line of `/proc/net/unix`.
struct UnixSocket {
  let isListening: Bool
  let kind: CInt
  let inode: UInt32
  /// The name as the kernel prints it: `@` for each NUL of an abstract name.
  let name: ArraySlice<UInt8>

  /// Parses a line: `0000000000000000: 00000002 00000000 00010000 0001 01 12345 /run/x.sock`
  init?(line: ArraySlice<UInt8>) {
    let fields = line.split(separator: UInt8(ascii: " "), maxSplits: 7)
    guard fields.count == 8, let flags = UInt32(hexadecimal: fields[3]), let kind = UInt16(hexadecimal: fields[4]),
      let inode = UInt32(decimal: fields[6])
    else { return nil }
    isListening = flags & 0x10000 != 0
    self.kind = CInt(kind)
    self.inode = inode
    name = line[(fields[6].endIndex + 1)...]
  }
}
