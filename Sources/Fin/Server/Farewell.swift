/// The answer of a server to a client that it does not serve because a limit is reached, such as an HTTP 503.
///
/// The client gets the bytes and a FIN, and what it sends meanwhile is read and discarded: a close with unread bytes
/// would be a reset, which can destroy the answer before the client has read it. The connection takes no place of the
/// server, and has a small budget: it ends when the client finishes, at the latest after ``within`` or with more than
/// ``discarding`` bytes from the client. Further clients than ``atOnce`` are reset, so that a client that never reads
/// or never closes costs no more than that.
public struct Farewell: Hashable, Sendable {
  /// The bytes; may be empty. They are sent as they are, also where the server's connections are secured afterwards.
  public var bytes: [UInt8]
  /// Whether a client that comes while the server has all the connections that it may have gets the farewell too.
  /// Otherwise, and while there are ``atOnce`` farewells, it waits in the queue for a free place.
  public var whenFull: Bool
  /// The time in all, from the first byte of the farewell to the end of the connection.
  public var within: Duration
  /// The most bytes of the client that are read and discarded.
  public var discarding: Int
  /// The maximum number of farewells at the same time. In threads, each has a thread while it lasts.
  public var atOnce: Int

  /// Makes a farewell of bytes; by default for 1 s, 1 MiB and 64 clients, and not for a full server.
  public init(
    _ bytes: [UInt8], whenFull: Bool = false, within: Duration = .seconds(1), discarding: Int = 1 << 20,
    atOnce: Int = 64
  ) {
    self.bytes = bytes
    self.whenFull = whenFull
    self.within = within
    self.discarding = discarding
    self.atOnce = atOnce
  }

  /// Makes a farewell of a text, as UTF-8.
  public init(
    _ text: String, whenFull: Bool = false, within: Duration = .seconds(1), discarding: Int = 1 << 20,
    atOnce: Int = 64
  ) {
    self.init(Array(text.utf8), whenFull: whenFull, within: within, discarding: discarding, atOnce: atOnce)
  }

  /// The close after the bytes, until the deadline.
  fileprivate func closing(until deadline: Deadline) -> ClosePolicy {
    let left = deadline.remaining ?? within
    return .lingering(within: left, idle: left, discarding: discarding)
  }
}

extension Core {
  /// Says farewell to a client, in a thread, and closes its connection.
  func part(with farewell: Farewell) -> CloseReport {
    let deadline = Deadline(after: farewell.within)
    do throws(SocketError) {
      try Connection(core: self, timeouts: .default).send(farewell.bytes, within: Timeout(farewell.within))
      return close(farewell.closing(until: deadline))
    } catch { return close(.abort) }
  }

  /// Says farewell to a client, in a task, and closes its connection.
  nonisolated(nonsending) func part(with farewell: Farewell) async -> CloseReport {
    let deadline = Deadline(after: farewell.within)
    do throws(SocketError) {
      try await Connection(core: self, timeouts: .default).send(farewell.bytes, within: Timeout(farewell.within))
      return await close(farewell.closing(until: deadline))
    } catch { return await close(.abort) }
  }
}
