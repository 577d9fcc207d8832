import Glibc

/// The eleven TCP states, in the order of Linux's numbers, with the names of RFC 9293.
public enum KernelState: String, Sendable, CaseIterable, CustomStringConvertible {
  case established = "ESTABLISHED"
  case synSent = "SYN-SENT"
  case synReceived = "SYN-RECEIVED"
  case finWait1 = "FIN-WAIT-1"
  case finWait2 = "FIN-WAIT-2"
  case timeWait = "TIME-WAIT"
  case closed = "CLOSED"
  case closeWait = "CLOSE-WAIT"
  case lastAck = "LAST-ACK"
  case listen = "LISTEN"
  case closing = "CLOSING"

  init?(number: UInt8) {
    // Linux has a twelfth: SYN-RECEIVED without a full socket (TCP_NEW_SYN_RECV).
    if number == 12 {
      self = .synReceived
      return
    }
    guard (1...11).contains(number) else { return nil }
    self = Self.allCases[Int(number) - 1]
  }

  public var description: String { rawValue }
}

/// One TCP socket, read from a line of `/proc/net/tcp` or `tcp6`.
public struct KernelSocket: Hashable, Sendable, CustomStringConvertible {
  public enum Timer: UInt8, Sendable {
    case none = 0, retransmission = 1, keepalive = 2, timeWait = 3, windowProbe = 4
  }

  public let isV6: Bool
  /// Numeric, as `inet_ntop` writes it.
  public let localAddress: String
  public let localPort: UInt16
  public let remoteAddress: String
  public let remotePort: UInt16
  public let state: KernelState
  /// The number of bytes not acknowledged, plus one for a FIN; not meaningful for a listener.
  public let transmitQueue: Int
  /// The number of bytes not read; for a listener, the number of connections in its accept queue.
  public let receiveQueue: Int
  public let timer: Timer
  public let retransmits: Int
  /// The inode number that `/proc/self/fd` shows as `socket:[…]`; 0 if the socket has no descriptor.
  public let inode: UInt64

  public var description: String {
    "\(localAddress):\(localPort) > \(remoteAddress):\(remotePort) \(state) tx=\(transmitQueue) rx=\(receiveQueue)"
      + " timer=\(timer) inode=\(inode)"
  }

  /// `0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 12345 …`
  init?(line: Substring, isV6: Bool) {
    let fields = line.split(separator: " ", omittingEmptySubsequences: true)
    guard fields.count >= 10, let local = Self.name(fields[1]), let remote = Self.name(fields[2]),
      let number = UInt8(fields[3], radix: 16), let state = KernelState(number: number), let inode = UInt64(fields[9])
    else { return nil }
    let queues = fields[4].split(separator: ":").compactMap { Int($0, radix: 16) }
    let timers = fields[5].split(separator: ":").compactMap { Int($0, radix: 16) }
    guard queues.count == 2, timers.count == 2 else { return nil }
    self.isV6 = isV6
    (localAddress, localPort) = local
    (remoteAddress, remotePort) = remote
    self.state = state
    transmitQueue = queues[0]
    receiveQueue = queues[1]
    timer = Timer(rawValue: UInt8(truncatingIfNeeded: timers[0])) ?? .none
    retransmits = Int(fields[6], radix: 16) ?? 0
    self.inode = inode
  }

  /// A port as a line writes it, at the end of a column: ":1F90 ".
  static func column(_ port: UInt16) -> String {
    let digits = String(port, radix: 16, uppercase: true)
    return ":\(String(repeating: "0", count: 4 - digits.count))\(digits) "
  }

  /// Parses an address and a port. The address is written as 32-bit words in the machine's byte order.
  private static func name(_ field: Substring) -> (String, UInt16)? {
    let parts = field.split(separator: ":")
    guard parts.count == 2, let port = UInt16(parts[1], radix: 16) else { return nil }
    var bytes: [UInt8] = []
    var rest = parts[0]
    while !rest.isEmpty {
      guard let word = UInt32(rest.prefix(8), radix: 16) else { return nil }
      unsafe withUnsafeBytes(of: word) { unsafe bytes.append(contentsOf: $0) }
      rest = rest.dropFirst(8)
    }
    guard bytes.count == 4 || bytes.count == 16 else { return nil }
    var text = [CChar](repeating: 0, count: 64)
    guard unsafe inet_ntop(bytes.count == 4 ? AF_INET : AF_INET6, bytes, &text, 64) != nil else { return nil }
    return (String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self), port)
  }
}

/// One Unix socket, read from a line of `/proc/net/unix`.
public struct KernelUnixSocket: Hashable, Sendable {
  /// As the kernel writes it: a path, "@name" for an abstract name, nil for none.
  public let path: String?
  public let isListening: Bool
  public let isConnected: Bool
  /// The socket type: 1 stream, 2 datagram, 5 sequenced packets.
  public let kind: UInt8
  public let inode: UInt64

  /// `0000000000000000: 00000002 00000000 00010000 0001 01 12345 /run/x.sock`
  init?(line: Substring) {
    let fields = line.split(separator: " ", maxSplits: 7, omittingEmptySubsequences: true)
    guard fields.count >= 7, let flags = UInt32(fields[3], radix: 16), let kind = UInt8(fields[4], radix: 16),
      let state = UInt8(fields[5], radix: 16), let inode = UInt64(fields[6])
    else { return nil }
    isListening = flags & 0x10000 != 0
    isConnected = state == 3
    self.kind = kind
    self.inode = inode
    path = fields.count > 7 ? String(fields[7]) : nil
  }
}
