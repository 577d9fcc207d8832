/// A look for the header of the PROXY protocol at the beginning of a connection: what a proxy says of the client that
/// it speaks for. Versions 1 and 2 of the specification of HAProxy.
enum ProxyHeader: Hashable {
  /// The bytes so far may become a header.
  case incomplete
  /// The bytes are no header.
  case malformed(String)
  /// A whole header of this many bytes. `client` is `nil` when the proxy speaks for itself (`LOCAL`, a health check) or
  /// does not know the client (`UNKNOWN`, `UNSPEC`): its addresses are ignored then, whatever they are.
  case header(length: Int, client: SocketAddress?)

  /// The most bytes of a header. The specification lets a receiver demand that it fits into the first segment, of which
  /// 536 bytes are the smallest size.
  static let mostBytes = 536
  /// The most bytes of a header of version 1, with its line end.
  private static let mostBytesOfLine = 107

  private static let signature: [UInt8] = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]
  private static let word = Array("PROXY ".utf8)

  /// Reads the beginning of what a proxy sent.
  init(reading bytes: ArraySlice<UInt8>) {
    if bytes.starts(with: ProxyHeader.signature) {
      self = ProxyHeader.binary(Array(bytes.prefix(ProxyHeader.mostBytes)))
    } else if bytes.starts(with: ProxyHeader.word) {
      self = ProxyHeader.line(bytes)
    } else if ProxyHeader.signature.starts(with: bytes) || ProxyHeader.word.starts(with: bytes) {
      self = .incomplete
    } else {
      self = .malformed("the connection does not begin with a PROXY header")
    }
  }

  // MARK: Version 1

  /// `PROXY TCP4 192.0.2.1 198.51.100.1 56324 443`, and a line end.
  private static func line(_ bytes: ArraySlice<UInt8>) -> ProxyHeader {
    let start = bytes.prefix(mostBytesOfLine)
    guard let end = start.firstIndex(of: 0x0a) else {
      return start.count < mostBytesOfLine ? .incomplete : .malformed("a PROXY line of more than 107 bytes")
    }
    let length = end - bytes.startIndex + 1
    guard length >= 2, bytes[end - 1] == 0x0d else { return .malformed("a PROXY line that does not end with CR LF") }
    let content = bytes[bytes.startIndex..<(end - 1)]
    guard content.allSatisfy({ (0x20...0x7e).contains($0) }) else { return .malformed("a PROXY line that is no text") }
    let words = String(decoding: content, as: UTF8.self).split(separator: " ", omittingEmptySubsequences: false)
    // The rest after UNKNOWN is to be ignored.
    if words.count > 1, words[1] == "UNKNOWN" { return .header(length: length, client: nil) }
    guard words.count == 6, words[1] == "TCP4" || words[1] == "TCP6" else {
      return .malformed("a PROXY line with other words than a protocol, two addresses and two ports")
    }
    let family: AddressFamily = words[1] == "TCP4" ? .ipv4 : .ipv6
    guard let client = IPAddress(String(words[2])), let server = IPAddress(String(words[3])),
      client.family == family, server.family == family, !words[2].contains("%"), !words[3].contains("%"),
      let port = port(words[4]), Self.port(words[5]) != nil
    else { return .malformed("a PROXY line with a wrong address or port") }
    return .header(length: length, client: .ip(client, port: port))
  }

  /// A port in decimal, without a sign and without zeros before it.
  private static func port(_ text: Substring) -> UInt16? {
    guard let port = UInt16(text), String(port) == text else { return nil }
    return port
  }

  // MARK: Version 2

  private static func binary(_ bytes: [UInt8]) -> ProxyHeader {
    guard bytes.count >= 16 else { return .incomplete }
    let length = 16 + Int(bytes[14]) << 8 + Int(bytes[15])
    guard bytes[12] >> 4 == 2 else { return .malformed("a PROXY header of version \(bytes[12] >> 4)") }
    guard length <= mostBytes else { return .malformed("a PROXY header of \(length) bytes") }
    guard bytes.count >= length else { return .incomplete }
    switch bytes[12] & 0x0f {
    // LOCAL: the proxy speaks for itself, and its addresses mean nothing.
    case 0: return .header(length: length, client: nil)
    case 1: break
    case let command: return .malformed("a PROXY header with command \(command)")
    }
    // The length is the least that the addresses need; more are TLVs, which are skipped.
    switch bytes[13] {
    case 0x11, 0x12:
      guard length >= 28 else { return .malformed("a PROXY header without room for its addresses") }
      let address = IPv4Address(bytes[16], bytes[17], bytes[18], bytes[19])
      return .header(length: length, client: .ip(.v4(address), port: number(bytes, 24)))
    case 0x21, 0x22:
      guard length >= 52 else { return .malformed("a PROXY header without room for its addresses") }
      let half = { (start: Int) in bytes[start..<(start + 8)].reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
      let address = IPv6Address(high: half(16), low: half(24))
      return .header(length: length, client: .ip(.v6(address), port: number(bytes, 48)))
    case 0x31, 0x32:
      guard length >= 232 else { return .malformed("a PROXY header without room for its addresses") }
      return .header(length: length, client: nil)
    case 0x00: return .header(length: length, client: nil)
    case let family: return .malformed("a PROXY header of family \(family)")
    }
  }

  private static func number(_ bytes: [UInt8], _ offset: Int) -> UInt16 {
    UInt16(bytes[offset]) << 8 | UInt16(bytes[offset + 1])
  }
}
