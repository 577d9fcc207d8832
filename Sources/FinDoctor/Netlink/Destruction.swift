internal import CFin
internal import Glibc

/// What became of a socket that was to be destroyed.
public enum Destruction: Hashable, Sendable {
  /// The kernel has ended it.
  case destroyed
  /// No socket has this cookie any more: it ended by itself. With `true`, another has its addresses and ports now, which
  /// was left alone.
  case endedBefore(isReplaced: Bool)
  /// It takes `CAP_NET_ADMIN` in the user namespace that its network namespace belongs to.
  case notPermitted
  /// This kernel, or this protocol, cannot (`CONFIG_INET_DIAG_DESTROY`).
  case notSupported
  /// Its network namespace could not be entered; why, in words.
  case unreachable(String)
  /// The kernel refused in some other way; how, in words.
  case refused(String)
}

extension Census {
  /// Ends sockets of other programs, whoever they belong to (`SOCK_DESTROY`).
  ///
  /// The kernel is given the cookie that the census saw, and compares it under its own lock: a socket that took over the
  /// addresses and ports of one that has ended is never hit. What ends is the connection. The descriptor stays with its
  /// program until that closes it.
  ///
  /// Each network namespace is entered by a thread of its own, which ends there. It blocks: call it outside of tasks.
  /// - Parameter places: Which of ``Census/sockets``.
  /// - Returns: What became of each, in the same order.
  public func destroy(_ places: [Int]) -> [Destruction] {
    var groups: [UInt16: [Int]] = [:]
    for (number, place) in places.enumerated() { groups[sockets[place].namespace, default: []].append(number) }
    var all = [Destruction](repeating: .unreachable("no thread was to be had"), count: places.count)
    let working = groups.map { namespace, numbers in
      let rows = numbers.map { sockets[places[$0]] }
      let inode = namespaces[Int(namespace)].inode
      return (numbers, OwnThread { Self.destroy(rows, inNamespace: inode) })
    }
    for (numbers, thread) in working {
      for (number, outcome) in zip(numbers, thread.join() ?? []) { all[number] = outcome }
    }
    return all
  }

  /// Enters the namespace, if the thread is not in it, and stays.
  private static func destroy(_ rows: [InetSocket], inNamespace inode: UInt32) -> [Destruction] {
    do throws(KernelError) {
      if NamespacePlace.inode(NamespacePlace.own) != inode {
        guard let place = NamespacePlace.finding(inode) else {
          return rows.map { _ in .unreachable("its network namespace is gone, or nobody shows the way into it") }
        }
        try place.enter()
      }
      var netlink = try NetlinkSocket()
      var outcomes = rows.map { netlink.destroy($0) }
      // Of several that are bound alike (SO_REUSEPORT), the kernel finds one: when that has gone, the next.
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
  /// Ends the socket of this row, if there still is one with its cookie.
  fileprivate mutating func destroy(_ row: InetSocket) -> Destruction {
    do throws(KernelError) {
      _ = try dump({
        InetDiag.exact(NetlinkMessage.socketDestruction, row, cookie: row.cookie, sequence: $0)
      }) { _ in true }
      return .destroyed
    } catch {
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
      // For a connection that is not there, the kernel gives the listener that would take it.
      if other.cookie != row.cookie, other.remotePort == row.remotePort { found = true }
      return true
    }
    return found
  }
}
