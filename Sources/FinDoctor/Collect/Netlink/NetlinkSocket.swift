internal import CFin
internal import FinBase

/// A netlink socket to the kernel's `sock_diag`, and the parser of its answers.
///
/// The socket stays in the network namespace in which it was created.
@safe struct NetlinkSocket: ~Copyable {
  private let descriptor: Descriptor
  private let buffer: UnsafeMutableRawBufferPointer
  private var sequence: UInt32 = 0

  init() throws(KernelError) {
    descriptor = Descriptor(
      owning: CInt(try calling { Int(fin_netlink(CInt(FIN_NETLINK_SOCK_DIAG), 5)) }))
    // Allocated after every call that can throw: an init that throws does not run the deinit.
    unsafe buffer = .allocate(byteCount: 1 << 18, alignment: 16)
  }

  deinit { unsafe buffer.deallocate() }

  /// Sends a request, and calls `body` with the payload of each answer until the kernel reports the end of the dump.
  /// - Parameters:
  ///   - request: Makes the request from its sequence number.
  ///   - body: Receives an answer, and returns whether it was well-formed.
  /// - Returns: The received messages that could not be used.
  /// - Throws: The error with which the kernel refused, or `EAGAIN` after five seconds without an answer.
  mutating func dump(_ request: (UInt32) -> [UInt8], _ body: (RawSpan) -> Bool) throws(KernelError) -> Damage {
    sequence += 1
    let bytes = request(sequence)
    let number = descriptor.number
    _ = try calling {
      unsafe bytes.withUnsafeBytes { unsafe Int(fin_netlink_send(number, $0.baseAddress!, UInt64($0.count))) }
    }
    var damage = Damage()
    while true {
      var sender: UInt32 = 0
      var cut: CInt = 0
      let count = try calling {
        unsafe Int(fin_netlink_receive(number, buffer.baseAddress!, UInt64(buffer.count), &sender, &cut))
      }
      // Only the kernel's answers count: its port is 0.
      if sender != 0 { continue }
      if cut != 0 { damage.answers += 1 }
      let received = unsafe UnsafeRawBufferPointer(rebasing: buffer[..<count])
      switch Self.walk(unsafe received.bytes, sequence: sequence, &damage, body) {
      case .more: continue
      case .done: return damage
      case .refused(let error): throw error
      }
    }
  }

  /// The part of an answer that was received and not used.
  struct Damage: Hashable {
    /// The number of messages that were truncated, too long or malformed.
    var answers = 0
    /// Whether the tables changed during the dump.
    var isInterrupted = false
  }

  /// The position in the dump after one datagram.
  enum Outcome: Hashable {
    case more
    case done
    case refused(KernelError)
  }

  /// Parses the messages of one datagram.
  static func walk(
    _ bytes: RawSpan, sequence: UInt32, _ damage: inout Damage, _ body: (RawSpan) -> Bool
  ) -> Outcome {
    var offset = 0
    while offset < bytes.byteCount {
      guard let message = NetlinkMessage(in: bytes, at: offset) else {
        damage.answers += 1
        return .more
      }
      offset = message.next
      // An answer to another request.
      if message.sequence != sequence { continue }
      if message.flags & NetlinkMessage.interrupted != 0 { damage.isInterrupted = true }
      switch message.type {
      case NetlinkMessage.socketDiagnosis:
        if !body(bytes.extracting(message.payload)) { damage.answers += 1 }
      case NetlinkMessage.done:
        // The end of a dump carries its result, where the kernel sends one.
        let code = bytes.number(in: message.payload, as: Int32.self) ?? 0
        return code < 0 ? .refused(KernelError(code: 0 &- code)) : .done
      case NetlinkMessage.error:
        guard let code = bytes.number(in: message.payload, as: Int32.self) else {
          damage.answers += 1
          return .done
        }
        return code < 0 ? .refused(KernelError(code: 0 &- code)) : .done
      default: break
      }
    }
    return .more
  }
}
