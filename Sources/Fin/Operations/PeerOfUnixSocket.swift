internal import CFin
internal import FinBase
internal import Glibc
internal import SystemPackage

/// The process at the other end of a Unix socket, as the kernel recorded it when the connection was made.
extension Core {
  /// `SO_PEERCRED`; `nil` when this is not a Unix socket.
  func peerCredentials() throws(SocketError) -> PeerCredentials? {
    guard family == .unix else { return nil }
    return try withAccess(.getOption) { access throws(SocketError) in
      // struct ucred: pid, uid, gid.
      var words: (Int32, UInt32, UInt32) = (0, 0, 0)
      do throws(Errno) {
        let length = try unsafe withUnsafeMutableBytes(of: &words) { bytes throws(Errno) in
          try unsafe Syscalls.option(number(access), SOL_SOCKET, SO_PEERCRED, into: bytes)
        }
        guard length == 12 else { throw Errno.invalidArgument }
      } catch { throw self.error(.getOption, .system(error), note: "SO_PEERCRED") }
      return PeerCredentials(pid: words.0, uid: words.1, gid: words.2)
    }
  }

  /// `SO_PEERPIDFD`; `nil` when this is not a Unix socket. The kernel makes the descriptor `CLOEXEC`.
  func peerProcess() throws(SocketError) -> OwnedDescriptor? {
    guard family == .unix else { return nil }
    let process = try withAccess(.getOption) { access throws(SocketError) in
      do throws(Errno) {
        return try Syscalls.integerOption(number(access), SOL_SOCKET, CInt(FIN_SO_PEERPIDFD))
      } catch {
        let note = error == .protocolNotAvailable ? "SO_PEERPIDFD needs Linux 6.5" : "SO_PEERPIDFD"
        throw self.error(.getOption, .system(error), note: note)
      }
    }
    return OwnedDescriptor(owning: process)
  }
}
