internal import Synchronization

/// The end of a connection's use, as the body that has it sees it.
extension Connection {
  /// Makes this request the last one on the connection: the ``ConnectionPool`` that lent it closes it when the body has
  /// returned, and lends it to no further body.
  ///
  /// A body calls it when the protocol says that no request follows, as `Connection: close` does in HTTP/1.1 (RFC 9112,
  /// section 9.6), or when it cannot tell what state the server is in. The result of the body stays, which an error
  /// would not. The connection is closed as the pool's `closing` says, and ``PoolReport/retired`` counts it as
  /// ``PoolReport/Retirement/asked``.
  ///
  /// A second call changes nothing, and so does one on a connection that no pool has lent.
  public borrowing func retire() { reference.core.isRetired.store(true, ordering: .releasing) }
}
