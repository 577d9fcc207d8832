/// The result of closing a listener.
public struct ListenerReport: Hashable, Sendable {
  /// The number of clients that had connected and waited to be accepted, which the kernel reset. It is 0 for a Unix
  /// listener, because the kernel does not report the length of its queue.
  public let clientsReset: Int
}
