extension Endpoint {
  /// What the addresses are for. It matters only to an endpoint without a host, such as `:80`.
  public enum Purpose: Hashable, Sendable {
    /// No host means this machine: 127.0.0.1, or `::1` for the IPv6 family.
    case connect
    /// No host means every address: 0.0.0.0, or `::` for the IPv6 family.
    case listen
  }

  /// How many addresses `resolve` gives at most unless told otherwise. A name may have thousands.
  public static let resultLimit = 64

  /// The addresses the endpoint stands for, in the order in which the system prefers them (RFC 6724), each once.
  ///
  /// An address in numbers and a Unix path are answered at once. A name, or a service's name, is looked up with
  /// `getaddrinfo` in a thread of its own, because that call cannot be cancelled: when the time is over this function
  /// returns, and the late answer is dropped. It blocks the calling thread, so it cannot be called in a task.
  ///
  /// - Parameters:
  ///   - purpose: Whether to connect or to listen; see `Purpose`.
  ///   - family: The only family wanted, or nil for every one. Unix paths are given for `.unix` and nil.
  ///   - kind: What the socket will be; a service may have a port for one kind and not for another.
  ///   - duration: How long to wait for the name's answer.
  ///   - limit: How many addresses to give at most, 1 or more; the system's best come first.
  /// - Returns: One address or more.
  /// - Throws: `.malformed` when the text could not be read; `.wrongFamily`; `.notFound`, `.unavailable`,
  ///   `.unknownService` as the system's resolver says; `.timedOut`; `.tooManyLookups` and `.noThread` when no thread
  ///   could be had.
  @available(*, noasync, message: "it blocks the thread while a name is looked up")
  public func resolve(
    _ purpose: Purpose = .connect, family: AddressFamily? = nil, kind: SocketKind = .stream,
    within duration: Duration = .seconds(10), limit: Int = Endpoint.resultLimit
  ) throws(ResolveError) -> [SocketAddress] {
    switch try plan(purpose, family: family, kind: kind, limit: limit) {
    case .known(let address): return [address]
    case .unknown(let lookup): return try lookup.answer(within: duration)
    }
  }

  /// What is left to do for the endpoint's addresses.
  enum Plan: Sendable {
    /// Nothing.
    case known(SocketAddress)
    /// Ask the system, and wait: `Lookup.answer` for a thread, `Lookup.begin` for a task.
    case unknown(Lookup)
  }

  /// Answers without waiting what needs no looking up, and says what to ask for the rest.
  func plan(
    _ purpose: Purpose, family: AddressFamily?, kind: SocketKind, limit: Int = Endpoint.resultLimit
  ) throws(ResolveError) -> Plan {
    switch form {
    case .refused(let error):
      throw .malformed(error)
    case .unix(let path):
      // Binding to no name lets the kernel choose one; connecting to none means nothing.
      guard family ?? .unix == .unix, path.kind != .unnamed || purpose == .listen else {
        throw .wrongFamily(endpoint: description, wanted: family ?? .unix)
      }
      return .known(.unix(path))
    case .host(let host, let port):
      if family == .unix { throw .wrongFamily(endpoint: description, wanted: .unix) }
      let known: IPAddress?
      switch host {
      case .anywhere: known = Self.nowhereInParticular(purpose, family)
      case .ip(let address): known = address
      case .name: known = nil
      }
      if let known, known.family != family ?? known.family {
        throw .wrongFamily(endpoint: description, wanted: family ?? known.family)
      }
      if let known, case .number(let number) = port { return .known(.ip(known, port: number)) }
      var name = ""
      if case .name(let given) = host { name = given }
      return .unknown(Lookup(name: name, address: known, port: port, family: family, kind: kind, limit: limit))
    }
  }

  private static func nowhereInParticular(_ purpose: Purpose, _ family: AddressFamily?) -> IPAddress {
    switch purpose {
    case .connect: family == .ipv6 ? .v6(.loopback) : .v4(.loopback)
    case .listen: family == .ipv6 ? .v6(.any) : .v4(.any)
    }
  }
}
