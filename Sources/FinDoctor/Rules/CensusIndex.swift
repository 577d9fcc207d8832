internal import FinBase

/// A census, sorted once by the findings that each socket could belong to.
struct CensusIndex {
  let census: Census
  let options: Diagnosis.Options
  var thresholds: Thresholds { options.thresholds }
  var sockets: ContiguousArray<InetSocket> { census.sockets }
  let leftOut = LeftOut()
  let ends = OtherEnds()
  private let earlier = EarlierIndices()
  let portCounts = PortCounts()

  // Indices in `sockets`.
  private(set) var closeWait: [Int] = []
  private(set) var finishedSending: [Int] = []
  private(set) var orphaned: [Int] = []
  private(set) var closedWindow: [Int] = []
  /// Sockets that the program may not be reading.
  private(set) var full: [Int] = []
  private(set) var unanswered: [Int] = []
  private(set) var quiet: [Int] = []
  private(set) var probing: [Int] = []
  private(set) var synSent: [Int] = []
  private(set) var handshaking: [Int] = []
  private(set) var listeners: [Int] = []
  private(set) var inQueue: [Int] = []
  private(set) var resting: [Int] = []
  /// Connected or in TIME-WAIT, whether or not connect chose their local port.
  private(set) var named: [Int] = []
  private(set) var bound: [Int] = []
  /// UDP sockets that have dropped datagrams.
  private(set) var droppedDatagrams: [Int] = []
  /// Connections whose two ends are one socket.
  private(set) var selfConnected: [Int] = []
  /// MPTCP connections that are over while their descriptor is still open.
  private(set) var over: [Int] = []
  /// Connected MPTCP sockets. They take memory; their subflows take the ports.
  private(set) var multipathConnections: [Int] = []
  let multipath: MPTCPSubflows

  /// The addresses and ports of listeners; an address of all zeros stands for every address.
  private var listening: Set<Finding.Endpoint> = []
  /// MPTCP connections of which one subflow has already been sorted in.
  private var told: Set<Int> = []
  /// The ports of all listeners, whatever their address, one bit each.
  private var listeningPorts = ContiguousArray<UInt64>(repeating: 0, count: 1024)

  /// The indices of the censuses before this one, oldest first. They are made when the first rule asks for them.
  var before: [CensusIndex] {
    if let all = earlier.all { return all }
    let all = options.before.map { CensusIndex($0, options) }
    earlier.all = all
    return all
  }

  /// The counts of ports that several rules need, kept from the first of them on.
  final class PortCounts {
    var boundSources: [BoundSource]?
    var budgets: [PortBudget]?
  }

  private final class EarlierIndices {
    var all: [CensusIndex]?
  }

  struct PortOfNamespace: Hashable, Sendable {
    var namespace: UInt16
    var port: UInt16
  }

  init(_ census: Census, _ options: Diagnosis.Options) {
    self.census = census
    self.options = options
    multipath = MPTCPSubflows(census.sockets, ages: census.recordedAges)
    for index in census.sockets.indices {
      switch census.sockets[index].transport {
      case .tcp: if let owner = multipath.owner(ofPath: index) { sort(index, asPathOf: owner) } else { sort(index) }
      case .mptcp: sortMultipath(index)
      case .udp: if census.sockets[index].memory.drops ?? 0 > 0 { droppedDatagrams.append(index) }
      }
    }
  }

  private mutating func sort(_ index: Int) {
    // Read in place: a row is too large to copy a hundred thousand times.
    let state = census.sockets[index].state
    let inode = census.sockets[index].inode
    switch state {
    case .listen:
      listeners.append(index)
      let port = census.sockets[index].localPort
      listeningPorts[Int(port >> 6)] |= 1 << UInt64(port & 63)
      listening.insert(census.sockets[index].localEndpoint)
      return
    case .synReceived, .newSynReceived:
      handshaking.append(index)
      return
    case .synSent:
      synSent.append(index)
      return
    case .bound:
      bound.append(index)
      return
    case .timeWait:
      resting.append(index)
      named.append(index)
      return
    case .closed: return
    case .closeWait:
      if inode == 0 { inQueue.append(index) } else { closeWait.append(index) }
    case .finWait2:
      if inode != 0 { finishedSending.append(index) }
    case .finWait1, .lastAck, .closing:
      if inode == 0 { orphaned.append(index) }
    case .established:
      if inode == 0 { inQueue.append(index) }
      if inode != 0, census.sockets[index].timer == .off { quiet.append(index) }
    default: break
    }
    named.append(index)
    if inode != 0, census.sockets[index].isConnectedToItself { selfConnected.append(index) }
    let timer = census.sockets[index].timer
    if timer == .persist || timer == .retransmit {
      if isPeerWindowClosed(index) { closedWindow.append(index) } else if inode != 0 { unanswered.append(index) }
    } else if timer == .keepalive, inode != 0 {
      probing.append(index)
    }
    if inode != 0, isFull(index) { full.append(index) }
  }

  /// An MPTCP subflow. Application state comes from the MPTCP socket, transport state from the first subflow that
  /// has it.
  private mutating func sort(_ index: Int, asPathOf owner: Int) {
    switch census.sockets[index].state {
    case .established, .closeWait, .finWait1, .finWait2, .lastAck, .closing: break
    default: return sort(index)
    }
    named.append(index)
    let timer = census.sockets[index].timer
    guard timer == .persist || timer == .retransmit || timer == .keepalive, told.insert(owner).inserted else {
      return
    }
    let isHeld = census.sockets[owner].inode != 0
    switch census.sockets[owner].state {
    case .finWait1, .lastAck, .closing: if !isHeld { orphaned.append(index) }
    default: break
    }
    if timer == .keepalive {
      if isHeld { probing.append(index) }
    } else if isPeerWindowClosed(index) {
      closedWindow.append(index)
    } else if isHeld {
      unanswered.append(index)
    }
  }

  /// An MPTCP socket. Listeners are skipped, because their TCP rows tell more.
  private mutating func sortMultipath(_ index: Int) {
    let state = census.sockets[index].state
    let inode = census.sockets[index].inode
    switch state {
    case .closeWait:
      if inode == 0 { inQueue.append(index) } else { closeWait.append(index) }
    case .finWait2:
      if inode != 0 { finishedSending.append(index) }
    case .established:
      if inode == 0 { inQueue.append(index) }
      let paths = multipath.paths(of: index)
      if inode != 0, !paths.isEmpty, paths.allSatisfy({ census.sockets[$0].timer == .off }) { quiet.append(index) }
    case .closed:
      if inode != 0 { over.append(index) }
      return
    case .finWait1, .lastAck, .closing: break
    default: return
    }
    multipathConnections.append(index)
    if inode != 0, isFull(index) { full.append(index) }
  }

  /// Whether this row stands for the object that a descriptor holds: the MPTCP connection and not its subflows.
  func standsForDescriptor(_ index: Int) -> Bool {
    census.sockets[index].transport != .udp && multipath.isTheDescriptors(index, in: census.sockets)
  }

  /// The bounds of the time that a socket has spent in its state.
  func timeInState(_ index: Int) -> AgeBounds { multipath.since(index, in: census.sockets) }

  /// Whether the peer's receive window is closed and there is data to send.
  private func isPeerWindowClosed(_ index: Int) -> Bool {
    let state = census.sockets[index].state
    guard state == .established || state == .finWait1 || state == .closeWait, census.sockets[index].sendQueue > 0,
      census.sockets[index].info.sendWindow == 0
    else { return false }
    if census.sockets[index].timer == .persist { return true }
    // A receiver that shrank its buffer has dropped the data in flight. Then the retransmission timer runs, and no
    // retransmission is counted.
    return census.sockets[index].info.retransmits == 0 && (census.sockets[index].info.unacknowledgedSegments ?? 0) > 0
  }

  /// Whether our receive window is closed, or the receive buffer is nearly full.
  func isFull(_ index: Int) -> Bool {
    let unread = census.sockets[index].receiveQueue
    guard unread > 1 else { return false }
    if census.sockets[index].transport == .mptcp,
      multipath.paths(of: index).contains(where: { census.sockets[$0].info.receiveWindow == 0 })
    {
      return true
    }
    if census.sockets[index].info.receiveWindow == 0 { return true }
    guard let limit = census.sockets[index].memory.receiveLimit, limit > 0 else { return false }
    let held = max(unread, census.sockets[index].memory.received ?? 0)
    return Double(held) > Double(limit) * thresholds.unreadShare
  }

  /// Whether a listener exists on this socket's local address, which makes it the server's side of a connection.
  func isServerSide(_ socket: InetSocket) -> Bool {
    isListening(socket.namespace, socket.localBits, socket.localPort)
  }

  func isListening(_ namespace: UInt16, _ address: AddressBits, _ port: UInt16) -> Bool {
    func isListening(_ address: AddressBits) -> Bool {
      listening.contains(Finding.Endpoint(address: address.unmapped, port: port, namespace: namespace))
    }
    // Very few ports have a listener, and testing one bit is cheaper than looking up an address.
    return listeningPorts[Int(port >> 6)] & 1 << UInt64(port & 63) != 0
      && (isListening(address) || isListening(AddressBits()))
  }
}

extension InetSocket {
  /// The local address and port, in the socket's namespace; an IPv4 address is not mapped.
  var localEndpoint: Finding.Endpoint {
    Finding.Endpoint(address: localBits.unmapped, port: localPort, namespace: namespace)
  }

  /// The remote address and port, as the socket's namespace knows them; an IPv4 address is not mapped.
  var remoteEndpoint: Finding.Endpoint {
    Finding.Endpoint(address: remoteBits.unmapped, port: remotePort, namespace: namespace)
  }
}

/// Owners and places.
extension CensusIndex {
  /// The owner of a socket: a process where it is known; otherwise all sockets of one user and cgroup count as
  /// one program.
  struct OwnerKey: Hashable {
    var pid: Int32 = 0
    var user: UInt32 = 0
    var cgroup: UInt64 = 0
  }

  func owner(of socket: InetSocket) -> OwnerKey {
    if let holder = census.holders.first(of: socket.inode) { return OwnerKey(pid: holder.pid) }
    return OwnerKey(user: socket.user, cgroup: socket.cgroup ?? 0)
  }

  /// The common property of the connections of one group: a server's local port, or a client's peer.
  struct Place: Hashable {
    var isPeer: Bool
    var endpoint: Finding.Endpoint
    var isIPv6: Bool
    /// Whether it stands for every peer with this port, because a client has connections to many.
    var isManyPeers = false

    var address: NetworkAddress { NetworkAddress(endpoint.address, isIPv6: isIPv6) }

    /// `on local port 8080`, `to 10.0.0.1:443`.
    var words: String {
      isPeer ? "to \(address.with(port: endpoint.port))" : "on local port \(endpoint.port)"
    }

    /// The place of many peers that have this one's port.
    var ofManyPeers: Place {
      Place(
        isPeer: true, endpoint: Finding.Endpoint(address: AddressBits(), port: endpoint.port), isIPv6: false,
        isManyPeers: true)
    }
  }

  func local(of socket: InetSocket) -> Place {
    Place(
      isPeer: false, endpoint: Finding.Endpoint(address: AddressBits(), port: socket.localPort), isIPv6: false)
  }

  func remote(of socket: InetSocket) -> Place {
    Place(
      isPeer: true, endpoint: Finding.Endpoint(address: socket.remoteBits, port: socket.remotePort),
      isIPv6: socket.isIPv6)
  }

  func who(_ owner: OwnerKey, descriptors: [Int32] = [], others: [Int32] = []) -> ProcessOwner {
    guard owner.pid != 0 else {
      let cgroup = census.cgroups[owner.cgroup]
      return ProcessOwner(
        user: owner.user, unit: cgroup?.unit, container: cgroup?.container, descriptors: descriptors, others: others)
    }
    let program = census.programs[owner.pid]
    let name = program?.name
    return ProcessOwner(
      program: name, script: program?.script, pid: owner.pid, user: program?.user, unit: program?.unit,
      container: program?.container, descriptors: descriptors, others: others,
      language: options.languages[owner.pid] ?? program.map { Language(executable: $0.fileName) } ?? .unknown)
  }

  /// The process that has to give back a socket without a descriptor; nil for the kernel, and where it is unknown.
  func who(ofKeeper keeper: Keeper) -> ProcessOwner? {
    switch keeper {
    case .ring(let pid): who(OwnerKey(pid: pid))
    case .message(let receiver): who(OwnerKey(pid: receiver.pid), descriptors: [receiver.descriptor])
    case .interface, .kernel, .unclear, .unseen: nil
    }
  }

  /// The soft limit of descriptors (`RLIMIT_NOFILE`).
  func descriptorLimit(of pid: Int32) -> Double? { census.programs[pid]?.descriptorLimit.map { Double($0) } }

  func limits(of socket: InetSocket) -> KernelLimits { census.namespace(of: socket).limits }
}
