internal import CFin
internal import FinBase
internal import Glibc

/// The result of destroying one socket.
package enum DestroyOutcome: Hashable, Sendable {
  /// The kernel has destroyed the socket.
  case destroyed
  /// No socket has this cookie any more: it ended before the request. With `isReplaced`, another socket has its
  /// addresses and ports now; that one was left alone.
  case endedBefore(isReplaced: Bool)
  /// Permission denied: it takes `CAP_NET_ADMIN` in the user namespace that owns the socket's network namespace.
  case notPermitted
  /// This kernel, or this protocol, does not support it (`CONFIG_INET_DIAG_DESTROY`).
  case notSupported
  /// The socket's network namespace could not be entered; the text says why.
  case unreachable(String)
  /// The kernel refused for another reason; the text says which.
  case refused(String)
}

extension Census {
  /// Destroys sockets of other programs, of any user (`SOCK_DESTROY`).
  ///
  /// The kernel receives the cookie that the census saw, and compares it under its own lock. So a socket that took over
  /// the addresses and ports of one that has ended is never hit. Only the connection ends: the descriptor stays open
  /// until its program closes it.
  ///
  /// A separate thread enters each network namespace and ends afterwards. The call blocks: make it outside of tasks.
  /// - Parameter places: Indices into ``Census/sockets``.
  /// - Returns: The result for each socket, in the same order.
  package func destroy(_ places: [Int]) -> [DestroyOutcome] {
    var groups: [UInt16: [Int]] = [:]
    for (number, place) in places.enumerated() { groups[sockets[place].namespace, default: []].append(number) }
    var all = [DestroyOutcome](repeating: .unreachable("no thread could be started"), count: places.count)
    let working = groups.map { namespace, numbers in
      let rows = numbers.map { sockets[places[$0]] }
      let inode = namespaces[Int(namespace)].inode
      return (numbers, JoinableThread { Self.destroy(rows, inNamespace: inode) })
    }
    for (numbers, thread) in working {
      for (number, outcome) in zip(numbers, thread.join() ?? []) { all[number] = outcome }
    }
    return all
  }

  /// Destroys sockets of one namespace. The calling thread enters that namespace, if it is not there already,
  /// and stays.
  private static func destroy(_ rows: [InetSocket], inNamespace inode: UInt32) -> [DestroyOutcome] {
    do throws(KernelError) {
      if NamespacePlace.inode(NamespacePlace.own) != inode {
        guard let place = NamespacePlace.finding(inode) else {
          return rows.map { _ in .unreachable("its network namespace is gone, or no path leads into it") }
        }
        try place.enter()
      }
      var netlink = try NetlinkSocket()
      var outcomes = rows.map { netlink.destroy($0) }
      // If several sockets are bound alike (SO_REUSEPORT), the kernel finds one; once that is gone, it finds the next.
      var isProgress = true
      while isProgress {
        isProgress = false
        for place in rows.indices where outcomes[place] == .endedBefore(isReplaced: false) {
          guard rows[place].remotePort == 0, netlink.destroy(rows[place]) == .destroyed else { continue }
          outcomes[place] = .destroyed
          isProgress = true
        }
      }
      return outcomes
    } catch {
      return rows.map { _ in .unreachable("its network namespace could not be entered: \(error)") }
    }
  }
}

extension NetlinkSocket {
  /// Destroys the socket of this row, if a socket with its cookie still exists.
  fileprivate mutating func destroy(_ row: InetSocket) -> DestroyOutcome {
    do throws(KernelError) {
      _ = try dump({
        InetDiag.exact(NetlinkMessage.socketDestruction, row, cookie: row.cookie, sequence: $0)
      }) { _ in true }
      return .destroyed
    } catch {
      if error == .silent {
        return .refused("a program keeps the socket locked; the kernel may end it once it is unlocked")
      }
      switch error.code {
      case ENOENT: return .endedBefore(isReplaced: isReplaced(row))
      case EPERM, EACCES: return .notPermitted
      case EOPNOTSUPP: return .notSupported
      default: return .refused("\(error)")
      }
    }
  }

  /// Whether a connection with another cookie has the addresses and ports of this row.
  private mutating func isReplaced(_ row: InetSocket) -> Bool {
    guard row.transport == .tcp, row.remotePort != 0 else { return false }
    var found = false
    _ = try? dump({ InetDiag.exact(NetlinkMessage.socketDiagnosis, row, cookie: .max, sequence: $0) }) { bytes in
      guard let other = InetDiag.row(bytes, transport: .tcp, namespace: 0) else { return false }
      // If the connection does not exist, the kernel answers with the listener that would accept it.
      if other.cookie != row.cookie, other.remotePort == row.remotePort { found = true }
      return true
    }
    return found
  }
}
