internal import CFin
internal import Glibc
internal import SystemPackage

/// Who was on the other end of a Unix stream when the connection was made.
///
/// The kernel's word, not the peer's. The process may have given the descriptor away since, or have ended and its number
/// been given to another: decide by the user, not by the process.
public struct PeerCredentials: Hashable, Sendable, CustomStringConvertible {
  /// The process that called `connect`, or `listen`; 0 when it is of a process namespace that this one cannot see.
  public let pid: Int32
  /// Its effective user.
  public let uid: UInt32
  /// Its effective group.
  public let gid: UInt32

  public var description: String { "pid \(pid), user \(uid), group \(gid)" }
}

extension StreamEnd where Self: ~Copyable {
  /// Who is on the other end; `nil` when this is not a Unix socket.
  ///
  /// The corresponding C call is `getsockopt` with `SO_PEERCRED`. On the client's side it tells of the process that called
  /// `listen`.
  public borrowing func peerCredentials() throws(SocketError) -> PeerCredentials? {
    let core = reference.core
    guard core.family == .unix else { return nil }
    return try core.passing(.getOption) { world throws(SocketError) in
      // struct ucred: pid, uid, gid.
      var words: (Int32, UInt32, UInt32) = (0, 0, 0)
      do throws(Errno) {
        let length = try unsafe withUnsafeMutableBytes(of: &words) { bytes throws(Errno) in
          try unsafe Syscalls.option(core.number(world), SOL_SOCKET, SO_PEERCRED, into: bytes)
        }
        guard length == 12 else { throw Errno.invalidArgument }
      } catch { throw core.error(.getOption, .system(error), note: "SO_PEERCRED") }
      return PeerCredentials(pid: words.0, uid: words.1, gid: words.2)
    }
  }
}
