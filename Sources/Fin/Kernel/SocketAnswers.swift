/// The answers of `sock_diag(7)` to the questions of `SocketDiagnosis`.
enum SocketAnswers {
  /// The length of struct nlmsghdr.
  static let headLength = 16

  /// How the reading of an answer goes on after a datagram.
  enum Course: Equatable {
    case more
    case end(isWhole: Bool)
  }

  /// Passes the payload of each answer in a datagram of `count` bytes to `body`.
  static func read(_ buffer: [UInt8], _ count: Int, isDump: Bool, _ body: ([UInt8]) -> Void) -> Course {
    var offset = 0
    while offset + headLength <= count {
      let length = Int(number(in: buffer, at: offset, as: UInt32.self))
      guard length >= headLength, offset + length <= count else { return .end(isWhole: false) }
      switch number(in: buffer, at: offset + 4, as: UInt16.self) {
      case 20: body(Array(buffer[(offset + headLength)..<(offset + length)]))
      // NLMSG_DONE.
      case 3: return .end(isWhole: true)
      // NLMSG_ERROR.
      default: return .end(isWhole: false)
      }
      if !isDump { return .end(isWhole: true) }
      offset += (length + 3) & ~3
    }
    return .more
  }

  /// The value of `UNIX_DIAG_RQLEN` in an answer: of a listener, the number of clients that wait.
  static func queueLength(_ answer: [UInt8]) -> Int? {
    var length: Int?
    // struct unix_diag_msg has 16 bytes, and attributes follow.
    var offset = 16
    while offset + 4 <= answer.count {
      let size = Int(number(in: answer, at: offset, as: UInt16.self))
      guard size >= 4, offset + size <= answer.count else { break }
      if number(in: answer, at: offset + 2, as: UInt16.self) == 4, size >= 8 {
        length = Int(number(in: answer, at: offset + 4, as: UInt32.self))
      }
      offset += (size + 3) & ~3
    }
    return length
  }

  /// Reads a number in the machine's byte order. The caller has checked that it is within the bytes.
  private static func number<Number: FixedWidthInteger & BitwiseCopyable>(
    in bytes: [UInt8], at offset: Int, as: Number.Type
  ) -> Number {
    unsafe bytes.span.bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: Number.self)
  }
}
