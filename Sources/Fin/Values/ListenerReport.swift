/// The result of closing a listener.
public struct ListenerReport: Hashable, Sendable {
  /// The number of clients that had connected and waited to be accepted, which the kernel reset. The kernel
  /// reports it through `sock_diag(7)` for a Unix listener; where a filter forbids that, it is 0.
  public let clientsReset: Int
}
