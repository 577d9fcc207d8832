internal import SystemPackage

/// A connection of a server that takes clients from proxies only, whose beginning it does not accept.
struct ProxyRefusal: Error, CustomStringConvertible {
  let description: String
}

extension Core {
  /// Reads the header with which a proxy begins a connection, in a thread, and keeps the client's address.
  func takeProxyHeader(from proxies: [AddressPrefix], within time: Duration) throws {
    try checkProxy(proxies)
    var timeout = LazyDeadline(until: Deadline(after: time))
    var state = Stateless()
    let found: ProxyHeader
    do throws(SocketError) {
      found = try perform(.reading, .receive, &timeout, &state) { _, access throws(SocketError) in
        try lookForProxyHeader(access)
      }
    } catch { throw withoutHeader(error) }
    try keep(found)
  }

  /// Reads the header with which a proxy begins a connection, in a task, and keeps the client's address.
  nonisolated(nonsending) func takeProxyHeader(from proxies: [AddressPrefix], within time: Duration) async throws {
    try checkProxy(proxies)
    var timeout = LazyDeadline(until: Deadline(after: time))
    var state = Stateless()
    let found: ProxyHeader
    do throws(SocketError) {
      found = try await perform(.reading, .receive, &timeout, &state) { _, access throws(SocketError) in
        try lookForProxyHeader(access)
      }
    } catch { throw withoutHeader(error) }
    try keep(found)
  }

  private func checkProxy(_ proxies: [AddressPrefix]) throws(ProxyRefusal) {
    guard let ip = peer?.ip, proxies.contains(where: { $0.contains(ip) }) else {
      throw ProxyRefusal(description: "\(peer.map { "\($0)" } ?? "the peer") is none of the proxies")
    }
  }

  /// The refusal of a proxy that failed, or was silent, before its header was whole. The end of the server's time is no
  /// fault of the proxy.
  private func withoutHeader(_ error: SocketError) -> any Error {
    switch error.cause {
    case .closed, .cancelled, .reactorStopped: error
    default: ProxyRefusal(description: "no whole PROXY header: \(error.cause.text)")
    }
  }

  private func lookForProxyHeader(_ access: Access) throws(SocketError) -> Attempt<ProxyHeader> {
    let found = ProxyHeader(reading: withBuffer { $0.bytes })
    guard found == .incomplete else {
      if case .header(let length, _) = found {
        withBuffer { $0.dropHeader(length) }
        forgetReceived(length)
      }
      return .done(found)
    }
    guard let count = try fill(access) else { return .blocked(.input) }
    return count == 0 ? .done(.malformed("the connection ended within its PROXY header")) : .more
  }

  private func keep(_ found: ProxyHeader) throws(ProxyRefusal) {
    switch found {
    case .header(_, let client): if let client { connectionState.update { $0.originalAddress = client } }
    case .malformed(let reason): throw ProxyRefusal(description: reason)
    case .incomplete: throw ProxyRefusal(description: "an incomplete PROXY header")
    }
  }
}

extension StreamSocketProtocol where Self: ~Copyable {
  /// The address of the client for which a proxy speaks, as the proxy's PROXY header says; `nil` without such a header,
  /// and when the proxy speaks for itself. ``SocketProtocol/remoteAddress`` is the proxy's.
  ///
  /// It is there only in a server whose ``ServerLimits/proxies`` names the proxies.
  public var originalAddress: SocketAddress? { reference.core.connectionState.value.originalAddress }
}
