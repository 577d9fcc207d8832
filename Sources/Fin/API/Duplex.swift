/// The receiving half of a connection, for the task that receives: see ``Connection/duplex(receive:send:)``.
public struct ReceivingHalf: ~Copyable, Receiving, StreamSocketProtocol {
  /// The reference to the connection.
  @_spi(Fin) public let reference: SocketReference
  /// The timeouts of calls that pass no `within`.
  public var timeouts: Timeouts
}

/// The sending half of a connection, for the task that sends: see ``Connection/duplex(receive:send:)``.
public struct SendingHalf: ~Copyable, Sending, StreamSocketProtocol {
  /// The reference to the connection.
  @_spi(Fin) public let reference: SocketReference
  /// The timeouts of calls that pass no `within`.
  public var timeouts: Timeouts

  /// Ends the sending side, which the peer reads as end of file: `shutdown(SHUT_WR)`. The other half goes on receiving.
  /// On a connection that has been closed meanwhile this does nothing.
  public consuming func finishSending() { reference.core.finishSending() }
}

extension Connection {
  /// Receives and sends at the same time, each in a child task of its own; returns when both are done.
  ///
  /// When one body throws, the other is cancelled, and the first error is rethrown. The connection stays the caller's,
  /// who has to close it. If `send` has finished sending, a later send throws `.finished`. A half that outlives its
  /// body can be used until that close, which does not wait for it: an operation of the half that waits then throws
  /// `.closed`.
  /// ```swift
  /// let (lines, _) = try await connection.duplex { receiver in
  ///   var lines = 0
  ///   while try await receiver.receiveLine() != nil { lines += 1 }
  ///   return lines
  /// } send: { sender in
  ///   for number in 1...3 { try await sender.send("\(number)\n") }
  ///   sender.finishSending()
  /// }
  /// ```
  /// - Parameters:
  ///   - receive: takes the receiving half.
  ///   - send: takes the sending half.
  /// - Returns: the results of both bodies.
  /// - Throws: the first error that one of them threw.
  public borrowing func duplex<Received: Sendable, Sent: Sendable>(
    receive: @escaping @Sendable (consuming ReceivingHalf) async throws -> Received,
    send: @escaping @Sendable (consuming SendingHalf) async throws -> Sent
  ) async throws -> (received: Received, sent: Sent) {
    let reference = reference
    let timeouts = timeouts
    // Shared, so that the close wakes a half that outlives this call, even where it waits in a thread.
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

/// The result of one of the two bodies.
private enum DoneHalf<Received: Sendable, Sent: Sendable>: Sendable {
  case received(Received), sent(Sent)
}
