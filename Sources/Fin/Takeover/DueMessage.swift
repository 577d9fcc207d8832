extension HandoverMessage {
  /// The message that is due next.
  enum Kind: String { case hello, offer, serving, yours, taken }

  private var kind: Kind? {
    switch self {
    case .hello: .hello
    case .offer: .offer
    case .serving: .serving
    case .yours: .yours
    case .taken: .taken
    case .refused: nil
    }
  }

  /// Reads the message that is due.
  ///
  /// - Parameter bytes: `nil` at EOF.
  /// - Throws: `.endOfStream` when the other program has gone; `.invalid` for another message, another version, and
  ///   a refusal.
  static func due(_ kind: Kind, _ bytes: [UInt8]?) throws(SocketError) -> HandoverMessage {
    guard let bytes else {
      throw SocketError(.handOver, .endOfStream(received: 0), note: "the other program ended before it sent \(kind)")
    }
    let message: HandoverMessage
    do throws(Refusal) { message = try HandoverMessage(bytes) } catch {
      switch error {
      case .version(let other):
        throw SocketError(
          .handOver, .invalid("the other program speaks version \(other) of the handover, and this one \(version)"))
      case .malformed: throw SocketError(.handOver, .invalid("the other program sent no message of a handover"))
      }
    }
    if case .refused(let reason) = message { throw SocketError(.handOver, .invalid("refused: \(reason)")) }
    guard message.kind == kind else {
      throw SocketError(
        .handOver,
        .invalid(
          "the other program sent \(message.kind?.rawValue ?? "")"
            + " where \(kind) is due"))
    }
    return message
  }
}
