@testable import FinDoctor

/// A builder of netlink messages, valid and invalid.
struct Answer {
  var bytes: [UInt8] = []

  mutating func append(_ number: some FixedWidthInteger) {
    unsafe withUnsafeBytes(of: number) { unsafe bytes.append(contentsOf: $0) }
  }

  mutating func pad() { while bytes.count % 4 != 0 { bytes.append(0) } }

  /// A message with its header; `length` may differ from the real one.
  static func message(
    type: UInt16 = 20, flags: UInt16 = 2, sequence: UInt32 = 1, length: Int? = nil, _ payload: [UInt8]
  ) -> [UInt8] {
    var answer = Answer()
    answer.append(UInt32(length ?? payload.count + 16))
    answer.append(type)
    answer.append(flags)
    answer.append(sequence)
    answer.append(UInt32(0))
    answer.bytes += payload
    answer.pad()
    return answer.bytes
  }

  static let done = message(type: 3, [0, 0, 0, 0])

  /// An attribute with its header; `length` may differ from the real one.
  static func attribute(_ type: UInt16, length: Int? = nil, _ value: [UInt8]) -> [UInt8] {
    var answer = Answer()
    answer.append(UInt16(length ?? value.count + 4))
    answer.append(type)
    answer.bytes += value
    answer.pad()
    return answer.bytes
  }

  /// The fixed part of the message for a TCP socket.
  static func inet(cookie: UInt32, state: UInt8 = 1, family: UInt8 = 2, inode: UInt32 = 7) -> [UInt8] {
    var answer = Answer()
    answer.bytes += [family, state, 1, 3]
    answer.append(UInt16(8080).bigEndian)
    answer.append(UInt16(40000).bigEndian)
    answer.bytes += [127, 0, 0, 1] + [UInt8](repeating: 0, count: 12)
    answer.bytes += [10, 1, 2, 3] + [UInt8](repeating: 0, count: 12)
    for number in [0, cookie, 0, 200, 5, 6, 1000, inode] as [UInt32] { answer.append(number) }
    return answer.bytes
  }

  static func numbers(_ numbers: [UInt32]) -> [UInt8] {
    var answer = Answer()
    for number in numbers { answer.append(number) }
    return answer.bytes
  }

  /// Parses one datagram as a dump does.
  static func read(_ bytes: [UInt8], _ transport: Transport = .tcp) -> (
    rows: [InetSocket], damage: NetlinkSocket.Damage, outcome: NetlinkSocket.Outcome
  ) {
    var rows: [InetSocket] = []
    var damage = NetlinkSocket.Damage()
    let outcome = unsafe NetlinkSocket.walk(bytes.span.bytes, sequence: 1, &damage) { payload in
      guard let row = InetDiag.row(payload, transport: transport, namespace: 0) else { return false }
      rows.append(row)
      return true
    }
    return (rows, damage, outcome)
  }
}
