/// A hand-made peer's side of one TCP connection: what it has sent, what it has taken, and what it says next.
///
/// A behaviour changes it at will; nothing keeps it to the rules of TCP. What it queues goes on the wire, in order, when
/// the behaviour returns.
public struct Conversation: Sendable {
  public let kernelPort: UInt16
  public let peerPort: UInt16

  /// Whether both SYNs were acknowledged.
  public internal(set) var isOpen = false
  /// Whether the kernel sent a RST.
  public internal(set) var isReset = false
  /// Whether we sent a FIN.
  public private(set) var hasFinished = false
  /// Whether we took the kernel's FIN.
  public private(set) var hasTakenFIN = false

  /// The sequence number of the next byte we send.
  public var nextSequence: UInt32
  /// The sequence number we expect next: what an ordinary acknowledgement names.
  public var expected: UInt32
  /// The window we advertise.
  public var window: UInt16

  /// The kernel's bytes that we took, in order.
  public private(set) var received: [UInt8] = []
  /// The end of the highest payload seen, taken or not.
  public private(set) var payloadEnd: UInt32
  /// The sequence number of the kernel's FIN, once one was seen, taken or not.
  public private(set) var finSequence: UInt32?
  /// How many FINs the kernel has sent, repeated ones included.
  public private(set) var finsSeen = 0
  /// How many segments the kernel has sent.
  public private(set) var segmentsSeen = 0

  /// What goes on the wire when the behaviour returns.
  public var outgoing: [Segment] = []

  init(kernelPort: UInt16, peerPort: UInt16, expected: UInt32, window: UInt16) {
    self.kernelPort = kernelPort
    self.peerPort = peerPort
    self.expected = expected
    self.window = window
    payloadEnd = expected
    nextSequence = 1000
  }

  /// Notes the SYN of the kernel, which tells where its bytes begin.
  mutating func begin(at sequence: UInt32) {
    expected = sequence &+ 1
    payloadEnd = expected
  }

  /// Notes what a segment shows, before the behaviour decides what to do about it.
  mutating func note(_ segment: Segment) {
    segmentsSeen += 1
    if segment.payloadEnd.follows(payloadEnd) { payloadEnd = segment.payloadEnd }
    if segment.flags.contains(.fin) {
      finsSeen += 1
      finSequence = segment.payloadEnd
    }
  }
}

/// What a behaviour says and takes.
extension Conversation {
  /// Takes the bytes of a segment that continue what was taken before, but no FIN.
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

  /// Whether a good TCP answers the segment: it carries something, or it probes with an old sequence number.
  public func owesAnswer(to segment: Segment) -> Bool {
    !segment.payload.isEmpty || segment.flags.contains(.fin) || segment.sequence != expected
  }

  /// Sends a segment with any flags; the sequence number moves on by what it carries.
  ///
  /// - Parameters:
  ///   - sequence: Where it claims to be, when that is not where we are; then our sequence number stays.
  ///   - acknowledgement: What it acknowledges, when that is not `expected`.
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

  /// Sends bytes, 1,000 a segment; it does not look at the kernel's window.
  public mutating func send(_ bytes: [UInt8]) {
    for start in stride(from: 0, to: bytes.count, by: 1000) {
      send([.psh, .ack], Array(bytes[start..<min(start + 1000, bytes.count)]))
    }
  }

  /// Sends our FIN, once.
  public mutating func finish() {
    if !hasFinished { send([.fin, .ack]) }
  }

  /// Sends a RST that the kernel believes.
  public mutating func reset() { send([.rst, .ack]) }
}

extension UInt32 {
  /// Whether this sequence number comes after another; they wrap around.
  func follows(_ other: UInt32) -> Bool { Int32(bitPattern: self &- other) > 0 }
}
