extension Endpoint {
  /// The intended use of the addresses. It matters only to an endpoint without a host, such as `:80`.
  public enum ResolveUse: Hashable, Sendable {
    /// Connecting. No host means this machine: 127.0.0.1, or `::1` for the IPv6 family.
    case connect
    /// Listening. No host means every address: 0.0.0.0, or `::` for the IPv6 family.
    case listen
  }

  /// The default maximum number of addresses that `resolve` returns. A name may have thousands.
  public static let resultLimit = 64

  /// Returns the addresses of the endpoint in the resolver's order of preference, each once.
  ///
  /// A numeric address and a Unix path are returned at once. A host name or a service name is a question to the
  /// resolver, on a thread of its own, because `getaddrinfo` cannot be cancelled: at the timeout this function throws,
  /// and the late answer is dropped. Callers with equal questions share one answer; at most 256 questions are open at
  /// a time, and at most 4 about one name. `localhost`, and services of a numeric address, do not count among them. The
  /// function blocks the calling thread; in a task, the overload that suspends is chosen.
  ///
  /// - Parameters:
  ///   - use: Whether to connect or to listen; see `ResolveUse`.
  ///   - family: The only family to return, or nil for every family. Unix paths are returned for `.unix` and nil.
  ///   - kind: The kind of the socket to be made; a service may have a port for one kind and not for another.
  ///   - timeout: The timeout of the lookup; by default 10 s.
  ///   - limit: The maximum number of addresses, 1 or more; the resolver's best come first.
  ///   - resolver: The resolver to ask; by default the C library's.
  /// - Returns: One address or more.
  /// - Throws: `.malformed` when the text could not be parsed; `.wrongFamily`; `.notFound`, `.unavailable`,
  ///   `.unknownService` as the system's resolver reports; `.timedOut`; `.tooManyLookups`, `.tooManyLookupsOfName` and
  ///   `.noThread` when no thread could be started for the lookup.
  @available(*, noasync, message: "it blocks the thread while a name is looked up")
  public func resolve(
    _ use: ResolveUse = .connect, family: AddressFamily? = nil, kind: SocketKind = .stream,
    within timeout: Timeout = .default, limit: Int = Endpoint.resultLimit,
    resolver: any Resolver = SystemResolver.shared
  ) throws(ResolveError) -> [SocketAddress] {
    switch try plan(use, family: family, kind: kind, limit: limit, resolver) {
    case .known(let address): return [address]
    case .unknown(let lookup): return try lookup.answer(within: timeout.forLookup)
    }
  }

  /// The remaining work of a resolution.
  enum Plan: Sendable {
    /// No work: the address is known.
    case known(SocketAddress)
    /// A question to the resolver.
    case unknown(Lookup)
  }

  /// Returns the address if no lookup is needed, otherwise the lookup to make. Never waits.
  func plan(
    _ use: ResolveUse, family: AddressFamily?, kind: SocketKind, limit: Int = Endpoint.resultLimit,
    _ resolver: any Resolver = SystemResolver.shared
  ) throws(ResolveError) -> Plan {
    switch form {
    case .refused(let error):
      throw .malformed(error)
    case .unix(let path):
      // A bind without a name lets the kernel choose one; a connect without a name has no meaning.
      guard family ?? .unix == .unix, path.kind != .unnamed || use == .listen else {
        throw .wrongFamily(endpoint: description, wanted: family ?? .unix)
      }
      return .known(.unix(path))
    case .host(let host, let port):
      if family == .unix { throw .wrongFamily(endpoint: description, wanted: .unix) }
      let known: IPAddress?
      switch host {
      case .anywhere: known = Self.nowhereInParticular(use, family)
      case .ip(let address): known = address
      case .name: known = nil
      }
      if let known, known.family != family ?? known.family {
        throw .wrongFamily(endpoint: description, wanted: family ?? known.family)
      }
      if let known, case .number(let number) = port { return .known(.ip(known, port: number)) }
      var name = ""
      if case .name(let given) = host { name = given }
      return .unknown(
        Lookup(name: name, address: known, port: port, family: family, kind: kind, limit: limit, resolver: resolver))
    }
  }

  private static func nowhereInParticular(_ use: ResolveUse, _ family: AddressFamily?) -> IPAddress {
    switch use {
    case .connect: family == .ipv6 ? .v6(.loopback) : .v4(.loopback)
    case .listen: family == .ipv6 ? .v6(.any) : .v4(.any)
    }
  }
}

extension Timeout {
  /// The time that a lookup has: 10 s by default.
  var forLookup: Duration { or(.seconds(10)).duration ?? .nanoseconds(Int64.max) }
}
