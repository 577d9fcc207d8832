/// The process, user and group at the other end of a Unix stream when the connection was made.
///
/// The kernel states them, not the peer. The process may have passed the descriptor on since, or it may have ended and
/// its process ID been reused: decide by the user, not by the process.
public struct PeerCredentials: Hashable, Sendable, CustomStringConvertible {
  /// The process that called `connect`, or `listen`; 0 when it is in a PID namespace that this process cannot see.
  public let pid: Int32
  /// The effective user ID of that process.
  public let uid: UInt32
  /// The effective group ID of that process.
  public let gid: UInt32

  public var description: String { "pid \(pid), user \(uid), group \(gid)" }
}
