/// The limits of a server, and its number of spare descriptors.
public struct ServerLimits: Hashable, Sendable {
  /// The maximum number of connections at the same time, in tasks; further clients wait in the kernel's accept queue.
  /// In threads, the number of threads is the limit.
  public var connections: Int
  /// The maximum number of connections from one IP address at the same time; a further one is reset at once. `nil` for
  /// no limit.
  public var connectionsPerPeer: Int?
  /// The number of spare descriptors. When the process runs out of descriptors, the spare ones are closed, so that
  /// running connections can go on, and no client is accepted until they can be opened again.
  public var descriptorsInReserve: Int
  /// How long `serve` waits for a handler in a thread that has not returned although its connection was aborted at the
  /// end of a drain. A handler in a task is a child of `serve`'s task, which waits for it without a timeout.
  public var graceAfterAbort: Duration

  /// Makes limits; by default 65,536 connections, no limit for a peer, 8 spare descriptors, 1 second.
  public init(
    connections: Int = 65_536, connectionsPerPeer: Int? = nil, descriptorsInReserve: Int = 8,
    graceAfterAbort: Duration = .seconds(1)
  ) {
    self.connections = connections
    self.connectionsPerPeer = connectionsPerPeer
    self.descriptorsInReserve = descriptorsInReserve
    self.graceAfterAbort = graceAfterAbort
  }

  /// The limits of ``init(connections:connectionsPerPeer:descriptorsInReserve:graceAfterAbort:)`` without arguments.
  public static let `default` = ServerLimits()
}
