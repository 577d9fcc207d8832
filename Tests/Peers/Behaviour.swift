/// The behaviour of a hand-made peer: its answer to a SYN, to an opened connection and to each later segment.
///
/// The closures run one at a time and must not call the peer itself. The segments that they queue in the conversation
/// are sent when they return. They see no SYN and no RST.
public struct Behaviour: Sendable, CustomStringConvertible {
  public enum AnswerToSYN: Sendable { case accept, reset, silence }

  public typealias Opened = @Sendable (inout Conversation) -> Void
  public typealias Answer = @Sendable (inout Conversation, Segment) -> Void

  public let name: String
  public var answerToSYN = AnswerToSYN.accept
  /// The window that the peer's SYN advertises; later segments too, unless the closures change it.
  public var window: UInt16 = 65535
  public var opened: Opened
  public var answer: Answer

  public init(
    _ name: String, toSYN answerToSYN: AnswerToSYN = .accept, window: UInt16 = 65535,
    opened: @escaping Opened = { _ in }, answer: @escaping Answer
  ) {
    self.name = name
    self.answerToSYN = answerToSYN
    self.window = window
    self.opened = opened
    self.answer = answer
  }

  public var description: String { name }
}

extension Behaviour {
  /// Takes and acknowledges everything, and sends its FIN when the kernel has sent one.
  public static let good = Behaviour("good") { conversation, segment in
    neverFinishes.answer(&conversation, segment)
    if conversation.hasTakenFIN { conversation.finish() }
  }

  /// Takes and acknowledges everything, including the FIN, and never sends a FIN.
  public static let neverFinishes = Behaviour("never finishes") { conversation, segment in
    let owesAnswer = conversation.owesAnswer(to: segment)
    conversation.take(segment)
    conversation.takeFIN()
    if owesAnswer { conversation.acknowledge() }
  }

  /// Acknowledges all data, but never a FIN.
  public static let acknowledgesDataNeverFIN = Behaviour("acknowledges data, never the FIN") { conversation, segment in
    conversation.take(segment)
    if !segment.payload.isEmpty { conversation.acknowledge() }
  }

  /// Acknowledges all the data it has seen except the last byte, and never a FIN.
  public static let acknowledgesAllButLastByte = Behaviour("acknowledges all but the last byte") {
    conversation, segment in
    conversation.take(segment)
    if !segment.payload.isEmpty { conversation.send(.ack, acknowledgement: conversation.payloadEnd &- 1) }
  }

  /// Acknowledges the first `count` bytes of the kernel's stream and ignores the rest.
  public static func acknowledges(first count: Int) -> Behaviour {
    Behaviour("acknowledges the first \(count) bytes") { conversation, segment in
      guard conversation.received.count < count, !segment.payload.isEmpty else { return }
      conversation.take(segment)
      let beyond = max(0, conversation.received.count - count)
      conversation.send(.ack, acknowledgement: conversation.expected &- UInt32(beyond))
    }
  }

  /// Never opens its window, and answers every probe, so that the kernel never gives up.
  public static let zeroWindowForEver = Behaviour("zero window forever", window: 0) { conversation, _ in
    conversation.acknowledge()
  }

  /// Opens the connection and then acknowledges nothing. A test can still make it send.
  public static let neverAcknowledges = Behaviour("never acknowledges") { _, _ in }

  /// Acknowledges no data, and answers the FIN with a RST.
  ///
  /// The FIN arrives only if all the data fits into the first flight, some 14,000 bytes. For a reset in the middle of a
  /// longer stream, use `acknowledges(first:)`, then call `RawPeer.reset()`.
  public static let resetsMidDrain = Behaviour("resets in the middle of the drain") { conversation, segment in
    if segment.flags.contains(.fin) { conversation.reset() }
  }

  /// Acknowledges everything, including the FIN, and resets at once, like a program that closed without reading.
  public static let acknowledgesThenResets = Behaviour("acknowledges all, then resets") { conversation, segment in
    neverFinishes.answer(&conversation, segment)
    if segment.flags.contains(.fin), conversation.hasTakenFIN { conversation.reset() }
  }

  /// Acts as if the kernel's first `count` FINs, with the data they carry, were lost on the way; otherwise as `good`.
  public static func losesFINs(_ count: Int) -> Behaviour {
    Behaviour("loses \(count) FINs") { conversation, segment in
      if segment.flags.contains(.fin), conversation.finsSeen <= count { return }
      // Only segments that were not lost count as seen.
      good.answer(&conversation, segment)
    }
  }

  /// Acts as `good` until it has taken `count` bytes; then answers nothing, as if the machine had lost its power.
  public static func vanishes(afterBytes count: Int = 0) -> Behaviour {
    Behaviour("vanishes after \(count) bytes") { conversation, segment in
      if conversation.received.count < count { good.answer(&conversation, segment) }
    }
  }

  /// Sends its FIN as if it had not seen the kernel's: the two FINs cross on the wire (simultaneous close).
  public static let closesSimultaneously = Behaviour("closes simultaneously") { conversation, segment in
    if conversation.hasFinished, segment.acknowledgement == conversation.nextSequence {
      conversation.takeFIN()
      conversation.acknowledge()
    } else {
      staysClosing.answer(&conversation, segment)
    }
  }

  /// Like `closesSimultaneously`, but never acknowledges the FIN, so the kernel stays in CLOSING.
  public static let staysClosing = Behaviour("closes simultaneously, never acknowledges the FIN") {
    conversation, segment in
    conversation.take(segment)
    if segment.flags.contains(.fin) {
      conversation.finish()
    } else if !segment.payload.isEmpty {
      conversation.acknowledge()
    }
  }

  /// Sends `count` segments of one byte as soon as the connection is open; otherwise as `good`.
  public static func oneByteSegments(_ count: Int) -> Behaviour {
    Behaviour(
      "sends \(count) segments of one byte",
      opened: { conversation in
        for index in 0..<count { conversation.send([.psh, .ack], [UInt8(truncatingIfNeeded: index)]) }
      },
      answer: good.answer)
  }

  /// Sends "ab", an urgent "!", and "cd" as soon as the connection is open; otherwise as `good`.
  public static let sendsUrgentByte = Behaviour(
    "sends an urgent byte",
    opened: { conversation in
      // The pointer names the byte after the urgent one, as in every system.
      conversation.send([.psh, .ack, .urg], Array("ab!cd".utf8), urgentPointer: 3)
    },
    answer: good.answer)

  /// Refuses every connection.
  public static let answersSYNWithReset = Behaviour("answers a SYN with a RST", toSYN: .reset) { _, _ in }

  /// Ignores SYNs, so every connection attempt times out.
  public static let neverAnswersSYN = Behaviour("never answers a SYN", toSYN: .silence) { _, _ in }
}
