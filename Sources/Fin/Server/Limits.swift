/// What a server allows, and what it keeps back.
public struct Limits: Hashable, Sendable {
  /// Connections at the same time, in tasks; who comes then waits in the kernel's queue. In threads their number is the limit.
  public var connections: Int
  /// Connections from one IP address at the same time; one more is reset at once. `nil` for no limit.
  public var connectionsPerPeer: Int?
  /// Descriptors kept open for nothing: when the process runs out, they are let go, so that what is running can go on, and
  /// no client is taken until they can be had again.
  public var descriptorsInReserve: Int
  /// How long `serve` waits for a handler in a thread that was aborted at the end of a drain and still does not return. A
  /// handler in a task is a child of `serve`'s task, which waits for it as long as it takes.
  public var graceAfterAbort: Duration

  /// 65,536 connections, no limit for a peer, 8 descriptors, 1 second.
  public init(
    connections: Int = 65_536, connectionsPerPeer: Int? = nil, descriptorsInReserve: Int = 8,
    graceAfterAbort: Duration = .seconds(1)
  ) {
    self.connections = connections
    self.connectionsPerPeer = connectionsPerPeer
    self.descriptorsInReserve = descriptorsInReserve
    self.graceAfterAbort = graceAfterAbort
  }

  /// ``init(connections:connectionsPerPeer:descriptorsInReserve:graceAfterAbort:)`` without arguments.
  public static let `default` = Limits()
}
