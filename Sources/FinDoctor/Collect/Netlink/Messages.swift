/// One message of a netlink answer, delimited by its length. A length that leads beyond the received bytes is rejected.
///
/// A message is a header of 16 bytes (length, type, flags, sequence, port) and its payload; an attribute is a header of
/// 4 bytes (length, type) and its value. Both are padded to four bytes.
struct NetlinkMessage {
  let type: UInt16
  let flags: UInt16
  let sequence: UInt32
  /// The offsets of the payload.
  let payload: Range<Int>
  /// The offset of the next message; at or beyond the end of the bytes after the last one.
  let next: Int

  /// Reads the message at `offset`; nil when no whole message is there.
  init?(in bytes: RawSpan, at offset: Int) {
    guard offset >= 0, offset + 16 <= bytes.byteCount else { return nil }
    let length = Int(bytes.number(at: offset, as: UInt32.self))
    guard length >= 16, length <= bytes.byteCount - offset else { return nil }
    type = bytes.number(at: offset + 4)
    flags = bytes.number(at: offset + 6)
    sequence = bytes.number(at: offset + 8)
    payload = offset + 16..<offset + length
    next = offset + (length + 3) & ~3
  }

  static let error: UInt16 = 2
  static let done: UInt16 = 3
  /// `SOCK_DIAG_BY_FAMILY`.
  static let socketDiagnosis: UInt16 = 20
  /// `TCPDIAG_GETSOCK`: the sockets of TCP over both families.
  static let tcpDiagnosis: UInt16 = 18

  static let request: UInt16 = 1
  static let dump: UInt16 = 0x300
  /// The tables changed during the dump (`NLM_F_DUMP_INTR`).
  static let interrupted: UInt16 = 0x10
}

/// One attribute of a payload.
struct NetlinkAttribute {
  /// The type, without the two flag bits that describe the value's layout.
  let type: UInt16
  /// The offsets of the value.
  let value: Range<Int>
  let next: Int

  /// Reads the attribute at `offset`; nil when no whole attribute is there.
  init?(in bytes: RawSpan, at offset: Int) {
    guard offset >= 0, offset + 4 <= bytes.byteCount else { return nil }
    let length = Int(bytes.number(at: offset, as: UInt16.self))
    guard length >= 4, length <= bytes.byteCount - offset else { return nil }
    type = bytes.number(at: offset + 2, as: UInt16.self) & 0x3fff
    value = offset + 4..<offset + length
    next = offset + (length + 3) & ~3
  }
}

extension RawSpan {
  /// Reads an integer in native byte order. The caller has checked the offset against the length; a wrong one traps.
  func number<Number: FixedWidthInteger & BitwiseCopyable>(at offset: Int, as: Number.Type = Number.self) -> Number {
    unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: Number.self)
  }

  /// Reads an integer from an attribute's value; nil when the value is shorter.
  func number<Number: FixedWidthInteger & BitwiseCopyable>(
    in value: Range<Int>, as: Number.Type = Number.self
  ) -> Number? {
    value.count >= MemoryLayout<Number>.size ? number(at: value.lowerBound) : nil
  }
}
