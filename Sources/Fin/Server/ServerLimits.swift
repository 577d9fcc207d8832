/// The limits of a server, and its number of spare descriptors.
public struct ServerLimits: Hashable, Sendable {
  /// The limits on the time of a whole conversation; by default none.
  public var conversation: ConversationLimits
  /// The proxies from which clients come, which begin each connection with a header of the PROXY protocol, version 1 or
  /// 2. With `nil`, the default, no header is looked for.
  ///
  /// The header is required then, and never guessed: a connection from another address, or without a valid header of
  /// 536 bytes at most within ``proxyHeaderTime``, is reset, and counted in ``ServerReport/proxiesRefused``.
  /// `originalAddress` of a connection is the client's address, and the limit of a peer counts by it.
  public var proxies: [AddressPrefix]?
  /// The time that a proxy has for its whole header, from when the connection has its place.
  public var proxyHeaderTime: Duration
  /// The maximum number of connections from one peer at the same time; a further one gets the ``farewell``, or is reset
  /// at once. `nil` for no limit. A peer is an IPv4 address, or the first 64 bits of an IPv6 address: a client
  /// has all addresses behind them.
  public var connectionsPerPeer: Int?
  /// The answer to a client that the server does not serve because a limit is reached; `nil`, the default, for a reset.
  public var farewell: Farewell?
  /// The number of spare descriptors. When the process runs out of descriptors, the spare ones are closed, so that
  /// running connections can go on, and no client is accepted until they can be opened again. 1 or more; a smaller
  /// number counts as 1: libdispatch, which runs Swift's tasks, opens a file now and then, and ends the process when
  /// there is no descriptor for it.
  public var descriptorsInReserve: Int {
    didSet { descriptorsInReserve = max(1, descriptorsInReserve) }
  }
  /// How long `serve` waits for a handler in a thread that has not returned although its connection was aborted at the
  /// end of a drain. A handler in a task is a child of `serve`'s task, which waits for it without a timeout.
  public var graceAfterAbort: Duration

  /// Makes limits; by default no limit for a peer, no farewell, 8 spare descriptors, 1 second, no proxies and 5 seconds
  /// for the header of one.
  public init(
    connectionsPerPeer: Int? = nil, farewell: Farewell? = nil, descriptorsInReserve: Int = 8,
    graceAfterAbort: Duration = .seconds(1),
    proxies: [AddressPrefix]? = nil, proxyHeaderTime: Duration = .seconds(5),
    conversation: ConversationLimits = ConversationLimits()
  ) {
    self.conversation = conversation
    self.proxies = proxies
    self.proxyHeaderTime = proxyHeaderTime
    self.connectionsPerPeer = connectionsPerPeer
    self.farewell = farewell
    self.descriptorsInReserve = max(1, descriptorsInReserve)
    self.graceAfterAbort = graceAfterAbort
  }

  /// The limits of
  /// ``init(connectionsPerPeer:farewell:descriptorsInReserve:graceAfterAbort:proxies:proxyHeaderTime:conversation:)``
  /// without arguments.
  public static let `default` = ServerLimits()
}
