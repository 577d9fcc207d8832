internal import CFin
internal import Glibc
internal import SystemPackage

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

extension StreamSocketProtocol where Self: ~Copyable {
  /// Returns the credentials of the peer; `nil` when this is not a Unix socket.
  ///
  /// The corresponding C call is `getsockopt` with `SO_PEERCRED`. On the client's side it describes the process that
  /// called `listen`.
  public borrowing func peerCredentials() throws(SocketError) -> PeerCredentials? {
    let core = reference.core
    guard core.family == .unix else { return nil }
    return try core.withAccess(.getOption) { access throws(SocketError) in
      // struct ucred: pid, uid, gid.
      var words: (Int32, UInt32, UInt32) = (0, 0, 0)
      do throws(Errno) {
        let length = try unsafe withUnsafeMutableBytes(of: &words) { bytes throws(Errno) in
          try unsafe Syscalls.option(core.number(access), SOL_SOCKET, SO_PEERCRED, into: bytes)
        }
        guard length == 12 else { throw Errno.invalidArgument }
      } catch { throw core.error(.getOption, .system(error), note: "SO_PEERCRED") }
      return PeerCredentials(pid: words.0, uid: words.1, gid: words.2)
    }
  }
}
