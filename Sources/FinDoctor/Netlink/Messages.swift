/// The parts of a netlink answer, found by their lengths; no length is believed that leads beyond what was received.
///
/// A message is a header of 16 bytes (length, type, flags, sequence, port) and its payload; an attribute a header of 4
/// bytes (length, type) and its value. Both are padded to four bytes.
struct NetlinkMessage {
  let type: UInt16
  let flags: UInt16
  let sequence: UInt32
  /// Where the payload lies.
  let payload: Range<Int>
  /// Where the next message begins; at or beyond the end when there is none.
  let next: Int

  /// Nil when there is no whole message here.
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
  static let socketDiagnosis: UInt16 = 20

  static let request: UInt16 = 1
  static let dump: UInt16 = 0x300
  /// The tables changed while they were read.
  static let interrupted: UInt16 = 0x10
}

/// One attribute of a payload.
struct NetlinkAttribute {
  /// Without the two bits that say how its value is laid out.
  let type: UInt16
  /// Where the value lies.
  let value: Range<Int>
  let next: Int

  /// Nil when there is no whole attribute here.
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
  /// A number of the machine's order of bytes. Whoever asks has compared the offset with the length; this traps.
  func number<Number: FixedWidthInteger & BitwiseCopyable>(at offset: Int, as: Number.Type = Number.self) -> Number {
    unsafe unsafeLoadUnaligned(fromByteOffset: offset, as: Number.self)
  }

  /// The same of an attribute's value; nil when the value is shorter.
  func number<Number: FixedWidthInteger & BitwiseCopyable>(
    in value: Range<Int>, as: Number.Type = Number.self
  ) -> Number? {
    value.count >= MemoryLayout<Number>.size ? number(at: value.lowerBound) : nil
  }
}
