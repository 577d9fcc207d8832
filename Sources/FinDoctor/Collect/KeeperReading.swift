internal import FinBase

extension Census {
  /// Finds the holders of sockets that have an inode and no descriptor, and counts those that could not be seen.
  ///
  /// The tables and the descriptors were read at different moments. A second look excludes the sockets that were opened
  /// or closed in between.
  mutating func findKeepers(_ options: Options, reading places: [NamespacePlace], _ pids: ContiguousArray<Int32>) {
    gaps.hidesProcesses = !Self.seesEveryProcess
    var unheld = UnheldSockets(self)
    if unheld.isEmpty { return }
    var brief = options
    brief.transports = unheld.transports
    brief.readsDetails = false
    brief.readsLimits = false
    brief.readsUnixSockets = options.readsUnixSockets && unheld.hasUnix
    brief.readsLinks = unheld.transports.contains(.udp)
    var links: [UInt32: [LinkDump.Link]] = [:]
    var listed = UnheldSockets.Listed()
    for case let dump? in NamespaceDumps.begin(places, beginsWithOwn: true, brief).join() {
      listed.add(dump)
      links[dump.namespace.inode] = dump.links
    }
    unheld.keep(listed)
    if unheld.isEmpty { return }

    var isAllSeen = gaps.unreadableProcessCount == 0 && !gaps.hidesProcesses
    // Where very many holders are hidden, one that has just begun to hold a socket does not matter.
    if isAllSeen || unheld.count <= Self.fewUnheld {
      unheld.remove(heldBy: DescriptorReading.read(pids, threads: ParallelChunks.usefulThreads).sockets)
    }
    let isAnsweredByAll = readRings(of: unheld)
    let messages = messagesWithDescriptors()
    // The holder may be a ring or a message of a process that did not answer.
    if !isAnsweredByAll || messages == nil { isAllSeen = false }
    for socket in unheld.datagrams {
      guard let link = links[namespaces[Int(socket.namespace)].inode]?.first(where: { $0.port == socket.port }) else {
        continue
      }
      keepers[socket.inode] = .interface(name: link.name, kind: link.kind)
    }
    for (namespace, inodes) in unheld.byNamespace(except: Set(keepers.keys)) {
      let waiting = messages?[namespace] ?? []
      let count = waiting.reduce(0) { $0 + $1.count }
      let keeper: Keeper =
        if let most = waiting.max(by: { $0.count < $1.count }), count >= inodes.count {
          .message(most.receiver)
        } else if isAllSeen {
          messages?.isEmpty == true ? .kernel : .unclear
        } else {
          .unseen
        }
      for inode in inodes { keepers[inode] = keeper }
    }
    gaps.unseenHolders = keepers.values.count { $0 == .unseen }
  }

  /// The number of sockets without a holder for which the descriptors are read a second time.
  private static let fewUnheld = 64

  /// Whether `/proc` shows every process of the machine: this is the machine's first PID namespace, whose number is
  /// fixed, and no `hidepid` hides the processes of other users.
  private static var seesEveryProcess: Bool {
    guard let link = try? Files.link("/proc/self/ns/pid"), link.elementsEqual("pid:[4026531836]".utf8),
      let mounts = try? Files.read("/proc/self/mounts")
    else { return false }
    for line in mounts.split(separator: 10) {
      let words = Array(Fields(line))
      guard words.count > 3, words[1].elementsEqual("/proc".utf8) else { continue }
      let settings = words[3].split(separator: UInt8(ascii: ","))
      if settings.contains(where: { $0.begins(with: "hidepid=") || $0.begins(with: "subset=") }) { return false }
    }
    return true
  }

  /// Notes the sockets that io_uring instances hold as registered files, each with the process of the ring.
  /// - Returns: Whether every process answered.
  private mutating func readRings(of unheld: UnheldSockets) -> Bool {
    let rings = Array(holders.rings)
    var silent: Set<Int32> = []
    Helpers.perform(rings.map { fdinfo($0, limit: Budget.ring) }) { place, answer in
      if answer.isSilent { silent.insert(rings[place].pid) }
      for word in Fields(answer.bytes) where word.begins(with: "socket:[") && word.last == UInt8(ascii: "]") {
        guard let inode = UInt32(decimal: word.dropFirst(8).dropLast()), unheld.contains(inode) else { continue }
        keepers[inode] = .ring(pid: rings[place].pid)
      }
    }
    for pid in silent { gaps.note(.rings, of: pid) }
    return silent.isEmpty
  }

  /// The descriptors that messages carry which were not received, by the namespace of the receiving Unix socket; nil if
  /// a process did not answer.
  ///
  /// The kernel counts them in the `fdinfo` of the receiver (`scm_fds`, since Linux 5.6).
  private func messagesWithDescriptors() -> [UInt16: [(receiver: Holder, count: Int)]]? {
    var receivers: [(namespace: UInt16, holder: Holder)] = []
    for socket in unixSockets {
      if let holder = holders.first(of: socket.inode) { receivers.append((socket.namespace, holder)) }
    }
    var found: [UInt16: [(receiver: Holder, count: Int)]] = [:]
    var isAnsweredByAll = true
    Helpers.perform(receivers.map { fdinfo($0.holder, limit: 4096) }) { place, answer in
      if answer.isSilent { isAnsweredByAll = false }
      guard let line = answer.bytes.split(separator: 10).first(where: { $0.begins(with: "scm_fds:") }),
        let count = Fields(line.dropFirst(8)).first.flatMap({ Int(decimal: $0) }), count > 0
      else { return }
      found[receivers[place].namespace, default: []].append((receivers[place].holder, count))
    }
    return isAnsweredByAll ? found : nil
  }

  private func fdinfo(_ holder: Holder, limit: Int) -> Helpers.Reading {
    Helpers.Reading(
      pid: holder.pid, user: holders.process(holder.pid)?.user,
      request: .read(path: "/proc/\(holder.pid)/fdinfo/\(holder.descriptor)", limit: limit))
  }
}

/// The sockets that have an inode and no descriptor.
private struct UnheldSockets {
  struct Datagram {
    var inode: UInt32
    var namespace: UInt16
    var port: UInt16
  }

  /// The inodes that a second dump lists.
  struct Listed {
    fileprivate var inodes = NumberSet()

    mutating func add(_ dump: NamespaceDump) {
      for socket in dump.sockets { inodes.insert(UInt64(socket.inode)) }
      for socket in dump.unix.rows { inodes.insert(UInt64(socket.inode)) }
    }
  }

  /// The namespace of each, by inode.
  private var all: [UInt32: UInt16] = [:]
  private(set) var datagrams: [Datagram] = []
  private(set) var transports: Set<Transport> = []
  private(set) var hasUnix = false

  var isEmpty: Bool { all.isEmpty }
  var count: Int { all.count }

  init(_ census: Census) {
    for index in census.sockets.indices where census.isWithoutDescriptor(index) {
      let socket = census.sockets[index]
      all[socket.inode] = socket.namespace
      transports.insert(socket.transport)
      if socket.transport == .udp {
        datagrams.append(Datagram(inode: socket.inode, namespace: socket.namespace, port: socket.localPort))
      }
    }
    for socket in census.unixSockets where socket.inode != 0 && census.holders.first(of: socket.inode) == nil {
      all[socket.inode] = socket.namespace
      hasUnix = true
    }
  }

  func contains(_ inode: UInt32) -> Bool { all[inode] != nil }

  mutating func keep(_ listed: Listed) {
    all = all.filter { listed.inodes.contains(UInt64($0.key)) }
    datagrams.removeAll { all[$0.inode] == nil }
  }

  mutating func remove(heldBy holders: ContiguousArray<Holder>) {
    for holder in holders { all[holder.inode] = nil }
    datagrams.removeAll { all[$0.inode] == nil }
  }

  func byNamespace(except known: Set<UInt32>) -> [UInt16: [UInt32]] {
    Dictionary(grouping: all.keys.filter { !known.contains($0) }) { all[$0] ?? 0 }
  }
}
