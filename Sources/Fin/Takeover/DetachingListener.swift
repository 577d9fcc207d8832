internal import FinBase
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// The predecessor's side of one listener.
extension Core {
  /// All sockets of a listener.
  fileprivate var sockets: [Core] { [self] + (further?.members ?? []) }

  /// Duplicates the descriptors of all sockets of a listener, so that they can be passed on at any time.
  func offered(as name: String) throws(SocketError) -> [(HandoverMessage.Offered, CInt)] {
    guard phase == .listening else { throw error(.handOver, .invalid("the listener \(name) is \(phase)")) }
    var all: [(HandoverMessage.Offered, CInt)] = []
    do throws(SocketError) {
      for socket in sockets {
        let number = try socket.withAccess(.handOver) { access throws(SocketError) in
          do throws(Errno) { return try Syscalls.duplicate(socket.number(access)) } catch {
            throw socket.error(.handOver, .system(error))
          }
        }
        let file = socket.boundPath.withLock { $0?.identity }
          .map { HandoverMessage.FileNumbers(device: $0.device, inode: $0.inode) }
        all.append((HandoverMessage.Offered(name: name, file: file), number))
      }
    } catch {
      for (_, number) in all { Syscalls.close(number) }
      throw error
    }
    return all
  }

  /// Ends this process's part in a listener that a successor serves: accepts no client any more, keeps the queue and
  /// the path as they are, and drains the connections.
  func leaveToSuccessor(within: Timeout) {
    for socket in sockets {
      socket.boundPath.withLock { $0 = nil }
      socket.closing.withLock { state in
        state.isAdopted = true
        state.isHandedOver = true
      }
    }
    stop(within: within)
  }

  /// Makes an inherited socket this process's own: a stop refuses new clients, and a close removes its path.
  func takeFromPredecessor(_ file: HandoverMessage.FileNumbers?) {
    closing.withLock { $0.isAdopted = false }
    // A relative path may mean another file in this process's working directory: it stays.
    guard let file, case .unix(let path)? = local, path.kind == .path, path.bytes.first == UInt8(ascii: "/") else {
      return
    }
    let identity = FileIdentity(device: file.device, inode: file.inode)
    boundPath.withLock { $0 = BoundPath(path: path.bytes, identity: identity) }
  }
}
