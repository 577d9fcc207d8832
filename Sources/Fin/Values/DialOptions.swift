/// How a connection is dialed: where it comes from, and how the addresses of a name are tried.
///
/// ```swift
/// var options = DialOptions()
/// options.source = IPAddress("192.0.2.7")
/// options.sourcePorts = 40_000...40_999
/// let connection = try await Connection.connect(to: "example.net:7", options: options)
/// ```
public struct DialOptions: Sendable {
  /// The local address, for a machine with several; `nil` for the one that the kernel's routes choose. Addresses of the
  /// other family are not tried.
  public var source: IPAddress?
  /// The local ports to choose from; `nil` for all that `net.ipv4.ip_local_port_range` allows.
  ///
  /// The range must lie within the kernel's own. A range of one port is bound as it is, whatever the kernel's range
  /// says; a longer one needs `IP_LOCAL_PORT_RANGE` (Linux 6.3). Either way a port is taken when the connection is
  /// made, and may serve several destinations at the same time.
  public var sourcePorts: ClosedRange<UInt16>?
  /// The resolver of the names. Default: that of the C library.
  public var resolver: any Resolver
  /// How long an attempt runs before the next address is tried beside it; at least 10 ms. Default: 250 ms (RFC 8305,
  /// section 5). When an attempt fails, the next one starts at once.
  public var attemptDelay: Duration
  /// The maximum number of attempts that run at the same time, 1 or more. Default: 6.
  public var attemptsAtOnce: Int
  /// Called for each attempt that fails among several addresses, in the thread or the task that dials, also when
  /// another attempt succeeds later. It must not block.
  public var onFailure: (@Sendable (DialAttempt) -> Void)?

  /// Creates options. By default the kernel chooses the local end, the C library resolves names, an attempt has 250 ms
  /// before the next one starts beside it, and six run at a time.
  public init(
    source: IPAddress? = nil, sourcePorts: ClosedRange<UInt16>? = nil,
    resolver: any Resolver = SystemResolver.shared, attemptDelay: Duration = .milliseconds(250), attemptsAtOnce: Int = 6
  ) {
    self.source = source
    self.sourcePorts = sourcePorts
    self.resolver = resolver
    self.attemptDelay = attemptDelay
    self.attemptsAtOnce = attemptsAtOnce
  }

  var hasSource: Bool { source != nil || sourcePorts != nil }
}

/// One attempt of a dial that failed: the address, the cause, and the time that it took.
public struct DialAttempt: Hashable, Sendable, CustomStringConvertible {
  /// The peer's address.
  public let address: SocketAddress
  /// Why the attempt failed.
  public let cause: SocketError.Cause
  /// The time from the start of the attempt to its failure.
  public let duration: Duration

  /// The attempt in one line: `[::1]:7 connection refused (ECONNREFUSED) after 0.1 ms`.
  public var description: String { "\(address) \(cause.text) after \(duration.text)" }
}
