/// A hand-made peer's side of one TCP connection: the bytes sent and taken, and the segments to send next.
///
/// A behaviour may change it at will; nothing enforces the rules of TCP. The queued segments are sent, in order, when
/// the behaviour returns.
public struct Conversation: Sendable {
  public let kernelPort: UInt16
  public let peerPort: UInt16

  /// Whether both SYNs were acknowledged.
  public internal(set) var isOpen = false
  /// Whether the kernel sent a RST.
  public internal(set) var isReset = false
  /// Whether the peer sent a FIN.
  public private(set) var hasFinished = false
  /// Whether the peer took the kernel's FIN.
  public private(set) var hasTakenFIN = false

  /// The sequence number of the next byte to send.
  public var nextSequence: UInt32
  /// The next sequence number expected from the kernel, which an ordinary acknowledgement carries.
  public var expected: UInt32
  /// The window to advertise.
  public var window: UInt16

  /// The kernel's bytes that the peer took, in order.
  public private(set) var received: [UInt8] = []
  /// The end of the highest payload seen, taken or not.
  public private(set) var payloadEnd: UInt32
  /// The sequence number of the kernel's FIN, if one was seen, taken or not.
  public private(set) var finSequence: UInt32?
  /// The number of FINs the kernel has sent, including retransmissions.
  public private(set) var finsSeen = 0
  /// The number of segments the kernel has sent.
  public private(set) var segmentsSeen = 0

  /// The segments to send when the behaviour returns.
  public var outgoing: [Segment] = []

  init(kernelPort: UInt16, peerPort: UInt16, expected: UInt32, window: UInt16) {
    self.kernelPort = kernelPort
    self.peerPort = peerPort
    self.expected = expected
    self.window = window
    payloadEnd = expected
    nextSequence = 1000
  }

  /// Records the kernel's SYN, which determines the sequence number of its first byte.
  mutating func begin(at sequence: UInt32) {
    expected = sequence &+ 1
    payloadEnd = expected
  }

  /// Records a segment before the behaviour handles it.
  mutating func note(_ segment: Segment) {
    segmentsSeen += 1
    if segment.payloadEnd.follows(payloadEnd) { payloadEnd = segment.payloadEnd }
    if segment.flags.contains(.fin) {
      finsSeen += 1
      finSequence = segment.payloadEnd
    }
  }
}

/// Taking and sending segments.
extension Conversation {
  /// Takes the bytes of a segment that follow directly on those taken before, but no FIN.
  public mutating func take(_ segment: Segment) {
    let skip = expected &- segment.sequence
    guard !segment.sequence.follows(expected), segment.payloadEnd.follows(expected) else { return }
    received += segment.payload.dropFirst(Int(skip))
    expected = segment.payloadEnd
  }

  /// Takes the kernel's FIN, if every byte before it was taken.
  public mutating func takeFIN() {
    guard let finSequence, finSequence == expected, !hasTakenFIN else { return }
    expected &+= 1
    hasTakenFIN = true
  }

  /// Whether a correct TCP answers the segment: it carries data or a FIN, or it probes with an old sequence number.
  public func owesAnswer(to segment: Segment) -> Bool {
    !segment.payload.isEmpty || segment.flags.contains(.fin) || segment.sequence != expected
  }

  /// Sends a segment with any flags and advances the sequence number by its length.
  ///
  /// - Parameters:
  ///   - sequence: The sequence number to use instead of `nextSequence`, which then does not advance.
  ///   - acknowledgement: The acknowledgement number to use instead of `expected`.
  public mutating func send(
    _ flags: Segment.Flags, _ payload: [UInt8] = [], sequence: UInt32? = nil, acknowledgement: UInt32? = nil,
    window: UInt16? = nil, urgentPointer: UInt16 = 0
  ) {
    outgoing.append(
      Segment(
        from: peerPort, to: kernelPort, sequence: sequence ?? nextSequence,
        acknowledgement: acknowledgement ?? expected, flags: flags, window: window ?? self.window,
        urgentPointer: urgentPointer, maximumSize: flags.contains(.syn) ? 1460 : nil, payload: payload))
    guard sequence == nil else { return }
    nextSequence &+= UInt32(payload.count) &+ (flags.isDisjoint(with: [.syn, .fin]) ? 0 : 1)
    if flags.contains(.fin) { hasFinished = true }
  }

  public mutating func acknowledge() { send(.ack) }

  /// Sends bytes, 1,000 per segment, regardless of the kernel's window.
  public mutating func send(_ bytes: [UInt8]) {
    for start in stride(from: 0, to: bytes.count, by: 1000) {
      send([.psh, .ack], Array(bytes[start..<min(start + 1000, bytes.count)]))
    }
  }

  /// Sends the peer's FIN, unless it was sent already.
  public mutating func finish() {
    if !hasFinished { send([.fin, .ack]) }
  }

  /// Sends a RST that the kernel accepts.
  public mutating func reset() { send([.rst, .ack]) }
}

extension UInt32 {
  /// Whether this sequence number comes after another, with wrap-around.
  func follows(_ other: UInt32) -> Bool { Int32(bitPattern: self &- other) > 0 }
}
