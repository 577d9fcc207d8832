/// What a server allows, and what it keeps back.
public struct Limits: Hashable, Sendable {
  /// Connections from one IP address at the same time; one more is reset at once. `nil` for no limit.
  public var connectionsPerPeer: Int?
  /// Descriptors kept open for nothing: when the process runs out, they are let go, so that what is running can go on, and
  /// no client is taken until they can be had again.
  public var descriptorsInReserve: Int
  /// How long `serve` waits for a handler that was aborted at the end of a drain and still does not return.
  public var graceAfterAbort: Duration

  /// No limit for a peer, 8 descriptors, 1 second.
  public init(
    connectionsPerPeer: Int? = nil, descriptorsInReserve: Int = 8, graceAfterAbort: Duration = .seconds(1)
  ) {
    self.connectionsPerPeer = connectionsPerPeer
    self.descriptorsInReserve = descriptorsInReserve
    self.graceAfterAbort = graceAfterAbort
  }

  /// ``init(connectionsPerPeer:descriptorsInReserve:graceAfterAbort:)`` without arguments.
  public static let `default` = Limits()
}
