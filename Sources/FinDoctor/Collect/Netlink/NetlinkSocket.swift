internal import CFin
internal import FinBase

/// A netlink socket to the kernel's `sock_diag` or to another of its services, and the parser of its answers.
///
/// The socket stays in the network namespace in which it was created. A helper waits for the answers: the kernel may
/// have to wait for a socket that another program has locked.
@safe struct NetlinkSocket: ~Copyable {
  private let descriptor: Descriptor
  private let buffer: UnsafeMutableRawBufferPointer
  private var sequence: UInt32 = 0
  private var helper: Helper?
  private let silence: Duration

  private let answers: UInt16

  /// Opens a socket.
  /// - Parameters:
  ///   - service: The protocol's number.
  ///   - answers: The type of the messages that answer a request.
  ///   - silence: The time without an answer after which a dump is given up, see ``Budget/silence``.
  init(
    protocol service: CInt = CInt(FIN_NETLINK_SOCK_DIAG), answers: UInt16 = NetlinkMessage.socketDiagnosis,
    silence: Duration = Budget.silence
  ) throws(KernelError) {
    self.answers = answers
    self.silence = silence
    descriptor = Descriptor(owning: CInt(try calling { Int(fin_netlink(service, 5)) }))
    // Allocated after every call that can throw: an init that throws does not run the deinit.
    unsafe buffer = .allocate(byteCount: 1 << 18 + 64, alignment: 16)
  }

  deinit {
    if let helper { Helpers.shared.give(helper) }
    unsafe buffer.deallocate()
  }

  /// Sends a request, and calls `body` with the payload of each answer until the kernel reports the end of the dump.
  /// - Parameters:
  ///   - request: Makes the request from its sequence number.
  ///   - body: Receives an answer, and returns whether it was well-formed.
  /// - Returns: The received messages that could not be used.
  /// - Throws: The error with which the kernel refused, or ``KernelError/silent``: then the socket is of no more use.
  mutating func dump(_ request: (UInt32) -> [UInt8], _ body: (RawSpan) -> Bool) throws(KernelError) -> Damage {
    sequence += 1
    let helper: Helper
    if let idle = self.helper { helper = idle } else { helper = try Helpers.shared.take() }
    self.helper = nil
    do throws(KernelError) {
      let (damage, failure) = try answers(of: helper, to: request(sequence), body)
      self.helper = helper
      if let failure { throw failure }
      return damage
    } catch {
      if self.helper == nil { helper.abandon() }
      throw error
    }
  }

  /// Has a helper pass the request to the kernel, and takes its answers up to the last one.
  private func answers(
    of helper: Helper, to request: [UInt8], _ body: (RawSpan) -> Bool
  ) throws(KernelError) -> (Damage, failure: KernelError?) {
    guard try helper.ask(.netlink(request), with: descriptor.number) else { throw KernelError.again }
    var damage = Damage()
    var failure: KernelError?
    let start = HelperWork.Mark.headLength
    while true {
      switch unsafe try helper.next(into: buffer, silence: silence) {
      case .more(let count):
        let datagram = unsafe UnsafeRawBufferPointer(rebasing: buffer[start..<start + count])
        if case .refused(let error) = Self.walk(
          unsafe datagram.bytes, sequence: sequence, answers: answers, &damage, body)
        {
          failure = error
        }
      case .cut:
        // Its messages may be whole, but those behind them are missing: it is counted and not used.
        damage.answers += 1
      case .end(let code, _):
        return (damage, code == 0 ? failure : KernelError(code: code))
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
    _ bytes: RawSpan, sequence: UInt32, answers: UInt16 = NetlinkMessage.socketDiagnosis, _ damage: inout Damage,
    _ body: (RawSpan) -> Bool
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
      // The kernel answers a request for TCP over both families with messages of its type.
      case answers, NetlinkMessage.tcpDiagnosis:
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
