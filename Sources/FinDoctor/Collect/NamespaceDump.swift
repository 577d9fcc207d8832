internal import CFin
internal import FinBase

/// The contents of one namespace's socket tables, read by a thread that is inside it.
struct NamespaceDump: Sendable {
  var namespace: Namespace
  var sockets: ContiguousArray<InetSocket> = []
  var unix = UnixSockets()
  var damagedAnswers = 0
  var interruptedDumps = 0
  var refused: [String] = []
  /// The number of sockets that are listed without `tcp_info` and memory use, because a program keeps one locked.
  var withoutDetails = 0
  /// The sockets that a program keeps locked.
  var locked: [InetSocket] = []
  /// The transports whose dumps were incomplete.
  var incomplete: Set<Transport> = []
  /// Whether the namespace is gone: no known path leads into it any more.
  var isGone = false
  private var cookies = NumberSet()

  init(_ namespace: Namespace) { self.namespace = namespace }

  /// Reads the namespace that the calling thread is in, or enters it first. The thread stays there.
  static func read(_ place: NamespacePlace, isOwn: Bool, _ options: Census.Options) -> NamespaceDump {
    var dump = NamespaceDump(Namespace(inode: place.inode, name: place.name, isOwn: isOwn, isRead: false))
    do throws(KernelError) {
      if !isOwn { try place.enter() }
      try dump.read(options)
    } catch {
      // A foreign namespace that cannot be read is counted by the caller; the process's own one must be readable.
      if isOwn {
        dump.refused.append("the kernel's tables could not be read: \(error)")
      } else if let again = place.foundAgain() {
        // The processes that led into it have ended, and there is another way in.
        try? again.enter()
        if NamespacePlace.inode(NamespacePlace.own) == place.inode { try? dump.read(options) }
      } else {
        dump.isGone = true
      }
    }
    return dump
  }

  private mutating func read(_ options: Census.Options) throws(KernelError) {
    namespace.counters = .ofThisThread()
    if options.readsLimits { namespace.limits = .ofThisThread() }
    for name in options.interfaceNames { namespace.interfaces[name] = NetworkInterface.index(name) }
    var netlink = try NetlinkSocket()
    let inUse = namespace.counters["sockstat.TCP.inuse"] ?? 0
    let resting = namespace.counters["sockstat.TCP.tw"] ?? 0
    // This keeps the rows from being moved as the array grows; beyond the limit it grows as usual. The rows of other
    // namespaces are appended to those of the process's own one. Room that is not used takes no memory.
    let others = namespace.isOwn ? 1 << 14 : 1 << 10
    sockets.reserveCapacity(Int(min(max(0, inUse + resting), 1 << 20)) + others)
    for transport in Transport.allCases where options.transports.contains(transport) {
      if transport == .mptcp, !MPTCPSupport.isThere { continue }
      for isIPv6 in transport == .tcp ? [nil] : [false, true] { read(transport, isIPv6: isIPv6, &netlink, options) }
    }
    if options.readsUnixSockets {
      var found = UnixSockets()
      attempt("Unix") { _ throws(KernelError) in
        try netlink.dump({ UnixDiag.request(sequence: $0) }) { UnixDiag.read($0, namespace: 0, into: &found) }
      }
      unix = found
    }
    namespace.isRead = true
  }

  private mutating func read(
    _ transport: Transport, isIPv6: Bool?, _ netlink: inout NetlinkSocket, _ options: Census.Options
  ) {
    let name = isIPv6.map { "\(transport) over \($0 ? "IPv6" : "IPv4")" } ?? "\(transport)"
    // If there are no sockets of this kind, a failed dump has missed none.
    let isToldOf = { transport != .mptcp || MPTCPSupport.hasSockets(isIPv6: isIPv6 == true) }
    // `tcp_info` and `mptcp_info` are read under the socket's lock.
    let takesLocks = transport != .udp && (options.readsDetails || transport == .mptcp)
    let isAsked = !takesLocks || !Helpers.shared.hasLockedSockets(inNamespace: namespace.inode)
    let first = sockets.count
    var isSilent = !isAsked
    if isAsked {
      let isWhole = attempt(name, isToldOf: isToldOf) { dump throws(KernelError) in
        do throws(KernelError) {
          return try dump.rows(of: transport, &netlink, { _ in }) {
            InetDiag.request(
              transport, isIPv6: isIPv6, detailed: options.readsDetails, memory: options.readsMemory, sequence: $0)
          }
        } catch KernelError.silent where takesLocks {
          isSilent = true
          return NetlinkSocket.Damage()
        }
      }
      if !isWhole { incomplete.insert(transport) }
    }
    guard isSilent else { return }
    Helpers.shared.rememberLock(inNamespace: namespace.inode)
    // Without its token, an MPTCP connection is not distinct from one that was listed before.
    if transport == .mptcp { sockets.removeSubrange(first...) }
    // The rest of the table, without what is read under a lock; then that of each socket by itself.
    var plain: [Int] = []
    let isWhole = attempt(name, isToldOf: isToldOf) { dump throws(KernelError) in
      netlink = try NetlinkSocket()
      return try dump.rows(of: transport, &netlink, { plain.append($0) }) {
        InetDiag.request(transport, isIPv6: isIPv6, detailed: false, isLockFree: true, sequence: $0)
      }
    }
    if !isWhole { incomplete.insert(transport) }
    if options.readsDetails, transport == .tcp { askForDetails(of: plain, options) }
    if options.readsDetails, transport == .mptcp { withoutDetails += plain.count }
  }

  /// Dumps a table, and adds the rows that were not seen before.
  private mutating func rows(
    of transport: Transport, _ netlink: inout NetlinkSocket, _ added: (Int) -> Void, _ request: (UInt32) -> [UInt8]
  ) throws(KernelError) -> NetlinkSocket.Damage {
    // Moved out of self and back, so that the closure can append without access to all of self.
    var rows = sockets
    var seen = cookies
    (sockets, cookies) = ([], NumberSet())
    defer { (sockets, cookies) = (rows, seen) }
    let uptime = UInt64(SystemClock.monotonic) / 1_000_000
    return try netlink.dump(request) { bytes in
      guard var row = InetDiag.row(bytes, transport: transport, namespace: 0) else { return false }
      if transport == .tcp, row.state != .listen { row.info.forgetReceiptThatNeverWas(uptime: uptime) }
      // Without its token, an MPTCP connection has the identity of its first subflow.
      if seen.insert(row.identity) || transport == .mptcp && row.info.isEmpty && row.multipath.isEmpty {
        added(rows.count)
        rows.append(row)
      }
      return true
    }
  }

  /// Asks for the details of each of these sockets by itself, so that one whose program keeps it locked does not hide
  /// those of the others.
  ///
  /// Each locked one costs its deadline. So the limits of ``Budget`` apply to them as to processes that are silent.
  private mutating func askForDetails(of places: [Int], _ options: Census.Options) {
    guard var netlink = try? NetlinkSocket(silence: Budget.silenceOfSocket) else { return }
    for place in places where sockets[place].state.hasLockedDetails {
      let row = sockets[place]
      let (isLocked, isLeftOut) = Helpers.shared.leavesOut(row)
      if isLocked { locked.append(row) }
      if isLeftOut {
        withoutDetails += 1
        continue
      }
      do throws(KernelError) {
        let uptime = UInt64(SystemClock.monotonic) / 1_000_000
        var found: InetSocket?
        let attributes = InetDiag.details(memory: options.readsMemory)
        _ = try netlink.dump({
          InetDiag.exact(
            NetlinkMessage.socketDiagnosis, row, cookie: row.cookie, asksFor: attributes, sequence: $0)
        }) { bytes in
          found = InetDiag.row(bytes, transport: row.transport, namespace: 0)
          if row.transport == .tcp { found?.info.forgetReceiptThatNeverWas(uptime: uptime) }
          return found != nil
        }
        if let found, found.cookie == row.cookie { sockets[place] = found }
      } catch KernelError.silent {
        Helpers.shared.rememberLock(of: row)
        locked.append(row)
        withoutDetails += 1
        guard let another = try? NetlinkSocket(silence: Budget.silenceOfSocket) else { return }
        netlink = another
      } catch {
        // The socket ended meanwhile.
      }
    }
  }

  /// Makes a dump, and returns whether it was complete.
  @discardableResult
  private mutating func attempt(
    _ name: String, isToldOf: () -> Bool = { true },
    _ dump: (inout NamespaceDump) throws(KernelError) -> NetlinkSocket.Damage
  ) -> Bool {
    do throws(KernelError) {
      let damage = try dump(&self)
      damagedAnswers += damage.answers
      interruptedDumps += damage.isInterrupted ? 1 : 0
      return damage == NetlinkSocket.Damage()
    } catch {
      guard isToldOf() else { return false }
      refused.append("the sockets of \(name) could not be read: \(error)")
      return false
    }
  }
}

extension SocketState {
  /// Whether `tcp_info` of a TCP socket in this state is read under its lock: a listener has no lock to wait for, and
  /// one in TIME-WAIT has no `tcp_info`.
  fileprivate var hasLockedDetails: Bool { ![.listen, .timeWait, .newSynReceived, .bound].contains(self) }
}
