internal import CFin

/// A socket to the kernel's `sock_diag`, and the walk through what it answers.
///
/// The socket stays in the network namespace in which it was made.
@safe struct NetlinkSocket: ~Copyable {
  private let descriptor: OwnDescriptor
  private let buffer: UnsafeMutableRawBufferPointer
  private var sequence: UInt32 = 0

  init() throws(KernelError) {
    descriptor = OwnDescriptor(
      adopting: CInt(try calling { Int(fin_netlink(CInt(FIN_NETLINK_SOCK_DIAG), 5)) }))
    // After what may fail: nothing is given back by an init that throws.
    unsafe buffer = .allocate(byteCount: 1 << 18, alignment: 16)
  }

  deinit { unsafe buffer.deallocate() }

  /// Asks, and calls `body` with the payload of each answer until the kernel says that there are no more.
  /// - Parameters:
  ///   - request: Makes the request from its number.
  ///   - body: Takes an answer, and returns whether it made sense.
  /// - Returns: What could not be used of what was received.
  /// - Throws: What the kernel refused with, or `EAGAIN` when it was silent for five seconds.
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
      // Only the kernel is asked, and only the kernel is heard.
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

  /// What was received and not used.
  struct Damage: Hashable {
    /// Messages that were cut, too long or made no sense.
    var answers = 0
    /// Whether the tables changed while they were read.
    var isInterrupted = false
  }

  /// How a datagram of an answer ended.
  enum Outcome: Hashable {
    case more
    case done
    case refused(KernelError)
  }

  /// Walks through the messages of one datagram.
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
      // What another request was answered with is no concern of this one.
      if message.sequence != sequence { continue }
      if message.flags & NetlinkMessage.interrupted != 0 { damage.isInterrupted = true }
      switch message.type {
      case NetlinkMessage.socketDiagnosis:
        if !body(bytes.extracting(message.payload)) { damage.answers += 1 }
      case NetlinkMessage.done:
        // Carries how the dump went, where the kernel says it.
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
