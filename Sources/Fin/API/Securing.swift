#if TLS
/// Securing a connection with TLS: RFC 8446, and RFC 5246 for TLS 1.2.
extension Connection {
  /// Secures this connection: shakes hands, proves who the peer is, and seals every byte from then on.
  ///
  /// The verbs stay the same and mean more. Receiving returns the end only after the peer's close_notify; a stream that
  /// ends without it throws `.truncated`, after what came before. ``finishSending()`` and `close(_:)` say close_notify
  /// before the FIN. A confirmed close waits for the peer's end as well, within its time and for 1 s of silence.
  ///
  /// When the handshake fails, the peer gets an alert, and the connection is aborted. A secured connection cannot be
  /// detached or duplicated, and a body of ``SocketProtocol/withDescriptor(_:)`` must neither send nor receive.
  /// - Parameters:
  ///   - role: the side of this connection, and what it asks of the peer.
  ///   - within: the timeout of the handshake; by default ``Timeouts/handshake``.
  /// - Returns: the connection, secured.
  /// - Throws: `.unverified` when the peer is not proven to be the wanted one; `.tls` when the handshake fails;
  ///   `.timedOut`; `.reset`; `.invalid` when bytes of the peer's have been buffered in clear text, when this side has
  ///   finished sending, or when the settings could not be read.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public consuming func secured(as role: TLSRole, within: Timeout = .default) throws(SocketError) -> Connection {
    let core = reference.core
    var timeout = LazyDeadline(within, or: timeouts.handshake)
    do { try core.secure(as: role, &timeout) } catch {
      _ = core.close(.abort)
      throw error
    }
    return Connection(core: core, timeouts: timeouts)
  }

  /// Secures this connection and suspends the task meanwhile. Throws as the blocking overload does, and `.cancelled`
  /// when the task is cancelled.
  public consuming func secured(as role: TLSRole, within: Timeout = .default) async throws(SocketError) -> Connection {
    let core = reference.core
    var timeout = LazyDeadline(within, or: timeouts.handshake)
    do { try await core.secure(as: role, &timeout) } catch {
      _ = await core.close(.abort)
      throw error
    }
    return Connection(core: core, timeouts: timeouts)
  }
}

extension StreamSocketProtocol where Self: ~Copyable {
  /// The results of the handshake, and the peer's certificate; `nil` when the connection is not secured.
  public var tls: TLSInformation? { reference.core.securedInformation }

  /// Reads a FIN without close_notify as the end of the stream, from now on and on this connection alone.
  ///
  /// It is for protocols whose messages say how long they are, with peers that never say close_notify: the program then
  /// finds a cut itself. Anything on the path can forge such an end. The report of the close still says
  /// ``Ending/truncated``. Does nothing on a plain connection.
  /// - Parameter reason: why a cut is found elsewhere; for the reader of the code.
  public func tolerateTruncation(because reason: String) { unsafe reference.core.secured?.tolerateTruncation() }
}
#endif
