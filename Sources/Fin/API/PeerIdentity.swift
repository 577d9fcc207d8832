extension StreamSocketProtocol where Self: ~Copyable {
  /// Returns the credentials of the peer; `nil` when this is not a Unix socket.
  ///
  /// The corresponding C call is `getsockopt` with `SO_PEERCRED`. On the client's side it describes the process that
  /// called `listen`.
  public borrowing func peerCredentials() throws(SocketError) -> PeerCredentials? {
    try reference.core.peerCredentials()
  }

  /// Returns a descriptor that stands for the peer's process (a pidfd); `nil` when this is not a Unix socket.
  ///
  /// The process ID in ``PeerCredentials`` may belong to another process by the time it is used. This descriptor means
  /// the process that called `connect`, or `listen`, also after its end: it polls readable once that process has ended.
  /// The corresponding C call is `getsockopt` with `SO_PEERPIDFD`, which needs Linux 6.5.
  /// - Throws: `.system(ENOPROTOOPT)` when the kernel is older; `.system(ESRCH)` when the process has ended and the
  ///   kernel keeps no descriptor of it; `.system(EMFILE)` and its like.
  public borrowing func peerProcess() throws(SocketError) -> OwnedDescriptor? {
    try reference.core.peerProcess()
  }
}
