import Fin

/// Receiving and sending by one buffer, within the limits of a clock, which notes what moves.
extension SharedConnection {
  /// Receives what is there, or waits for it.
  /// - Returns: The number of bytes; 0 when the peer has finished.
  func receive(into room: inout [UInt8], _ clock: IdleClock) throws -> Int {
    while true {
      if let count = try receive(into: &room, within: clock.timeout) {
        clock.move()
        return count
      }
      // The other direction may have moved meanwhile.
      try clock.check()
    }
  }

  /// Receives what is there, or waits for it.
  /// - Returns: The number of bytes; 0 when the peer has finished; nil when the time is over.
  func receive(into room: inout [UInt8], within timeout: Timeout) throws -> Int? {
    do {
      return try unsafe room.withUnsafeMutableBytes { buffer in
        var output = unsafe OutputRawSpan(buffer: buffer, initializedCount: 0)
        return try receive(into: &output, within: timeout)
      }
    } catch let error as SocketError where error.cause == .timedOut {
      return nil
    }
  }

  /// Sends all of the bytes.
  /// - Parameter sent: Adds the bytes that the kernel has taken, whether all of them or not.
  func send(_ bytes: ArraySlice<UInt8>, _ clock: IdleClock, sent: (Int) -> Void) throws {
    var rest = bytes
    while !rest.isEmpty {
      do throws(SocketError) {
        let count = try sendSome(unsafe rest.span.bytes, within: clock.timeout)
        rest = rest.dropFirst(count)
        sent(count)
        clock.move()
      } catch {
        guard error.cause == .timedOut else { throw error }
        try clock.check()
      }
    }
  }
}
