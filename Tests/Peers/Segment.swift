/// One TCP segment in an IPv4 packet (RFC 9293, section 3.1).
public struct Segment: Hashable, Sendable, CustomStringConvertible {
  public struct Flags: OptionSet, Hashable, Sendable, CustomStringConvertible {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }

    public static let fin = Flags(rawValue: 1)
    public static let syn = Flags(rawValue: 2)
    public static let rst = Flags(rawValue: 4)
    public static let psh = Flags(rawValue: 8)
    public static let ack = Flags(rawValue: 16)
    public static let urg = Flags(rawValue: 32)

    public var description: String {
      let names = zip(["FIN", "SYN", "RST", "PSH", "ACK", "URG"], 0...).filter { rawValue & (1 << $0.1) != 0 }
      return names.isEmpty ? "none" : names.map(\.0).joined(separator: "+")
    }
  }

  public var sourcePort: UInt16
  public var destinationPort: UInt16
  public var sequence: UInt32
  public var acknowledgement: UInt32
  public var flags: Flags
  public var window: UInt16
  public var urgentPointer: UInt16
  /// The largest segment that the sender accepts (MSS): an option of a SYN.
  public var maximumSize: UInt16?
  public var payload: [UInt8]

  public init(
    from sourcePort: UInt16, to destinationPort: UInt16, sequence: UInt32, acknowledgement: UInt32, flags: Flags,
    window: UInt16, urgentPointer: UInt16 = 0, maximumSize: UInt16? = nil, payload: [UInt8] = []
  ) {
    self.sourcePort = sourcePort
    self.destinationPort = destinationPort
    self.sequence = sequence
    self.acknowledgement = acknowledgement
    self.flags = flags
    self.window = window
    self.urgentPointer = urgentPointer
    self.maximumSize = maximumSize
    self.payload = payload
  }

  /// The sequence number after the payload, which is that of a FIN.
  public var payloadEnd: UInt32 { sequence &+ UInt32(payload.count) }

  public var description: String {
    "\(sourcePort)>\(destinationPort) \(flags) seq=\(sequence) ack=\(acknowledgement) win=\(window) "
      + "len=\(payload.count)"
  }
}

extension Segment {
  /// Parses an IPv4 packet; nil unless it holds a complete TCP segment.
  init?(packet: [UInt8]) {
    guard packet.count >= 20, packet[0] >> 4 == 4, packet[9] == 6 else { return nil }
    let headerSize = Int(packet[0] & 15) * 4
    let total = Int(packet[2]) << 8 | Int(packet[3])
    guard headerSize >= 20, total <= packet.count, total >= headerSize + 20 else { return nil }
    let bytes = Array(packet[headerSize..<total])
    let offset = Int(bytes[12] >> 4) * 4
    guard offset >= 20, offset <= bytes.count else { return nil }
    self.init(
      from: bytes.bigEndian(at: 0), to: bytes.bigEndian(at: 2), sequence: bytes.bigEndian(at: 4),
      acknowledgement: bytes.bigEndian(at: 8), flags: Flags(rawValue: bytes[13] & 63), window: bytes.bigEndian(at: 14),
      urgentPointer: bytes.bigEndian(at: 18), payload: Array(bytes[offset...]))
  }

  /// The IPv4 packet with this segment.
  func packet(from source: [UInt8], to destination: [UInt8]) -> [UInt8] {
    var options: [UInt8] = []
    if let maximumSize { options = [2, 4, UInt8(maximumSize >> 8), UInt8(truncatingIfNeeded: maximumSize)] }
    var tcp: [UInt8] = []
    tcp.appendBigEndian(sourcePort)
    tcp.appendBigEndian(destinationPort)
    tcp.appendBigEndian(sequence)
    tcp.appendBigEndian(acknowledgement)
    tcp += [UInt8(20 + options.count) << 2, flags.rawValue]
    tcp.appendBigEndian(window)
    tcp.appendBigEndian(UInt16(0))  // The checksum, filled in below.
    tcp.appendBigEndian(urgentPointer)
    tcp += options
    tcp += payload
    var pseudoHeader = source + destination + [0, 6]
    pseudoHeader.appendBigEndian(UInt16(tcp.count))
    tcp.replaceSubrange(16..<18, with: checksum(pseudoHeader + tcp))

    var header: [UInt8] = [0x45, 0]
    header.appendBigEndian(UInt16(20 + tcp.count))
    header += [0, 0, 0x40, 0, 64, 6, 0, 0]  // Do not fragment; TTL 64; TCP; the checksum, filled in below.
    header += source + destination
    header.replaceSubrange(10..<12, with: checksum(header))
    return header + tcp
  }
}

/// The Internet checksum (RFC 1071).
private func checksum(_ bytes: [UInt8]) -> [UInt8] {
  var sum: UInt32 = 0
  for index in stride(from: 0, to: bytes.count, by: 2) {
    sum += UInt32(bytes[index]) << 8 | (index + 1 < bytes.count ? UInt32(bytes[index + 1]) : 0)
  }
  while sum > 0xffff { sum = (sum >> 16) + (sum & 0xffff) }
  return [UInt8(truncatingIfNeeded: ~sum >> 8), UInt8(truncatingIfNeeded: ~sum)]
}

extension [UInt8] {
  fileprivate func bigEndian<Number: FixedWidthInteger>(at offset: Int) -> Number {
    self[offset..<offset + Number.bitWidth / 8].reduce(0) { $0 << 8 | Number($1) }
  }

  fileprivate mutating func appendBigEndian<Number: FixedWidthInteger>(_ number: Number) {
    for shift in stride(from: Number.bitWidth - 8, through: 0, by: -8) {
      append(UInt8(truncatingIfNeeded: number >> Number(shift)))
    }
  }
}
