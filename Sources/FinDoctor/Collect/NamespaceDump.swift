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
    // This keeps the rows from being moved as the array grows; beyond the limit it grows as usual.
    sockets.reserveCapacity(Int(min(max(0, inUse + resting), 1 << 20)) + 1024)
    for transport in Transport.allCases where options.transports.contains(transport) {
      if transport == .mptcp, !MPTCPSupport.isThere { continue }
      read(transport, isIPv6: false, &netlink, options)
      read(transport, isIPv6: true, &netlink, options)
    }
    if options.readsUnixSockets {
      var found = UnixSockets()
      attempt("Unix") { () throws(KernelError) in
        try netlink.dump({ UnixDiag.request(sequence: $0) }) { UnixDiag.read($0, namespace: 0, into: &found) }
      }
      unix = found
    }
    namespace.isRead = true
  }

  private mutating func read(
    _ transport: Transport, isIPv6: Bool, _ netlink: inout NetlinkSocket, _ options: Census.Options
  ) {
    // Moved out of self and back, so that the closure can append without access to all of self.
    var rows = sockets
    var seen = cookies
    (sockets, cookies) = ([], NumberSet())
    let name = "\(transport) over \(isIPv6 ? "IPv6" : "IPv4")"
    // If there are no sockets of this kind, a failed dump has missed none.
    let isToldOf = { transport != .mptcp || MPTCPSupport.hasSockets(isIPv6: isIPv6) }
    let isWhole = attempt(name, isToldOf: isToldOf) { () throws(KernelError) in
      try netlink.dump({
        InetDiag.request(
          transport, isIPv6: isIPv6, detailed: options.readsDetails, memory: options.readsMemory, sequence: $0)
      }) { bytes in
        guard let row = InetDiag.row(bytes, transport: transport, namespace: 0) else { return false }
        if seen.insert(row.identity) { rows.append(row) }
        return true
      }
    }
    if !isWhole { incomplete.insert(transport) }
    (sockets, cookies) = (rows, seen)
  }

  /// Makes a dump, and returns whether it was complete.
  @discardableResult
  private mutating func attempt(
    _ name: String, isToldOf: () -> Bool = { true }, _ dump: () throws(KernelError) -> NetlinkSocket.Damage
  ) -> Bool {
    do throws(KernelError) {
      let damage = try dump()
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
