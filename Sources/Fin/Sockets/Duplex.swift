/// The receiving half of a connection, for the task that receives: see ``Connection/duplex(receive:send:)``.
public struct ReceivingHalf: ~Copyable, Receiving, StreamEnd {
  /// What this half holds.
  public let reference: SocketReference
  /// How long waits last when a call does not say.
  public var timeouts: Timeouts
}

/// The sending half of a connection, for the task that sends: see ``Connection/duplex(receive:send:)``.
public struct SendingHalf: ~Copyable, Sending, StreamEnd {
  /// What this half holds.
  public let reference: SocketReference
  /// How long waits last when a call does not say.
  public var timeouts: Timeouts

  /// Sends what the peer will read as end of file: `shutdown(SHUT_WR)`. The other half goes on receiving. On a connection that
  /// has been closed meanwhile it does nothing.
  public consuming func finishSending() { reference.core.finishSending() }
}

extension Connection {
  /// Receives and sends at the same time, each in a child task of its own; returns when both are done.
  ///
  /// When one throws, the other is cancelled, and the first error goes on. The connection stays the caller's, who closes it. If
  /// `send` has finished sending, a later send throws `.finished`. A half that a body keeps for longer goes on until that close,
  /// which does not wait for it: what it waits for then throws `.closed`.
  /// ```swift
  /// let (lines, _) = try await connection.duplex { receiver in
  ///   var lines = 0
  ///   while try await receiver.readLine() != nil { lines += 1 }
  ///   return lines
  /// } send: { sender in
  ///   for number in 1...3 { try await sender.send("\(number)\n") }
  ///   sender.finishSending()
  /// }
  /// ```
  /// - Parameters:
  ///   - receive: gets the receiving half.
  ///   - send: gets the sending half.
  /// - Returns: what both returned.
  /// - Throws: what the first of them threw.
  public borrowing func duplex<Received: Sendable, Sent: Sendable>(
    receive: @escaping @Sendable (consuming ReceivingHalf) async throws -> Received,
    send: @escaping @Sendable (consuming SendingHalf) async throws -> Sent
  ) async throws -> (received: Received, sent: Sent) {
    let reference = reference
    let timeouts = timeouts
    // A half that outlives this is woken by the close, also where it waits in a thread.
    reference.core.share()
    return try await withThrowingTaskGroup(of: DoneHalf<Received, Sent>.self) { group in
      group.addTask { .received(try await receive(ReceivingHalf(reference: reference, timeouts: timeouts))) }
      group.addTask { .sent(try await send(SendingHalf(reference: reference, timeouts: timeouts))) }
      var received: Received?
      var sent: Sent?
      // The first error leaves the group, which cancels the other and waits for it.
      while let half = try await group.next() {
        switch half {
        case .received(let value): received = value
        case .sent(let value): sent = value
        }
      }
      return (received!, sent!)
    }
  }
}

/// What one of the two has returned.
private enum DoneHalf<Received: Sendable, Sent: Sendable>: Sendable {
  case received(Received), sent(Sent)
}
