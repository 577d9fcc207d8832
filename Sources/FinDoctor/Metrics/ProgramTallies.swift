/// The sums of all programs of a census.
struct ProgramTallies {
  /// The programs of connections, by the socket's identity: the kernel forgets the program of a connection in
  /// TIME-WAIT, and the next census has it from here.
  struct Owners: Sendable {
    fileprivate var places: [UInt64: Int32] = [:]
    fileprivate var labels: [ProgramLabel] = []

    func label(of socket: InetSocket) -> ProgramLabel? { places[socket.identity].map { labels[Int($0)] } }
  }

  /// The programs, in the order in which they were met.
  private(set) var labels: [ProgramLabel] = []
  /// The sums of each.
  private(set) var tallies: [ProgramTally] = []
  /// The owners, for the next census.
  private(set) var owners = Owners()

  private let census: Census
  private let containers: ContainerNames
  private let before: Owners
  private var places: [ProgramLabel: Int] = [:]
  private var processes: [Int32: Int] = [:]
  private var cgroups: [UInt64: Int] = [:]

  /// Counts a census.
  /// - Parameters:
  ///   - index: The census.
  ///   - findings: The findings in it.
  ///   - containers: The names of containers.
  ///   - before: ``owners`` of the census before.
  init(_ index: CensusIndex, _ findings: [Finding], _ containers: ContainerNames, before: Owners) {
    census = index.census
    self.containers = containers
    self.before = before
    countConnections(index)
    countUnix()
    for socket in census.detached {
      tallies[place(ofProcess: socket.pid)].count(SocketKind(socket.transport), StateName.detached)
    }
    for finding in findings {
      let place = finding.who.map { self.place(of: $0) } ?? self.place(of: .machine)
      let key = ProgramTally.FindingLabel(id: finding.id, severity: finding.severity)
      tallies[place].findings[key, default: 0] += finding.count
    }
    countDescriptors()
    owners.labels = labels
  }

  /// The label of a process.
  mutating func label(ofProcess pid: Int32) -> ProgramLabel { labels[place(ofProcess: pid)] }

  /// The place of a label, which is added if it is new.
  private mutating func place(of label: ProgramLabel) -> Int {
    if let known = places[label] { return known }
    places[label] = labels.count
    labels.append(label)
    tallies.append(ProgramTally())
    return labels.count - 1
  }

  private func labelRead(ofProcess pid: Int32) -> ProgramLabel {
    let program = census.programs[pid]
    return ProgramLabel(
      program: Self.name(program?.script ?? program?.name),
      unit: Self.cut(UnitName.name(ofCgroup: program?.cgroupPath, containers)))
  }

  private mutating func place(ofProcess pid: Int32) -> Int {
    if let known = processes[pid] { return known }
    let place = place(of: labelRead(ofProcess: pid))
    processes[pid] = place
    return place
  }

  /// The owner of a finding.
  private mutating func place(of who: ProcessOwner) -> Int {
    if let pid = who.pid { return place(ofProcess: pid) }
    return place(
      of: ProgramLabel(program: Self.name(who.script ?? who.program), unit: Self.cut(who.unit ?? UnitName.none)))
  }

  /// The program of a socket: that of its first holder, else that of the census before, else its unit alone.
  private mutating func place(of socket: InetSocket) -> Int {
    if let holder = census.holders.first(of: socket.inode) { return place(ofProcess: holder.pid) }
    if let keeper = census.keeper(of: socket.inode) { return place(of: keeper) }
    if socket.inode == 0, let known = before.label(of: socket) { return place(of: known) }
    let number = socket.cgroup ?? 0
    if let known = cgroups[number] { return known }
    let unit = Self.cut(UnitName.name(ofCgroup: census.cgroups[number]?.path, containers))
    let place = place(of: ProgramLabel(program: Self.name(nil), unit: unit))
    cgroups[number] = place
    return place
  }

  private mutating func place(of keeper: Keeper) -> Int {
    switch keeper {
    case .ring(let pid): place(ofProcess: pid)
    case .message(let receiver): place(ofProcess: receiver.pid)
    case .interface, .kernel: place(of: ProgramLabel(program: "kernel", unit: UnitName.none))
    case .unclear, .unseen: place(of: ProgramLabel(program: Self.name(nil), unit: UnitName.none))
    }
  }

  private static func name(_ name: String?) -> String { name.map(cut) ?? ProgramLabel.unknown }

  /// The length of a label: a program chooses its name, and that of a script may have any length.
  private static let longest = 128

  private static func cut(_ text: String) -> String { text.utf8.count <= longest ? text : text.prefix(longest) + "…" }

  /// The address at which a connection without a descriptor arrived.
  private struct Arrival: Hashable {
    var namespace: UInt16
    var address: AddressBits
    var port: UInt16
    var isIPv6: Bool
  }

  private mutating func countConnections(_ index: CensusIndex) {
    let sockets = census.sockets
    var arrivals: [Arrival: Int] = [:]
    for row in sockets.indices {
      // An MPTCP connection is counted by its own row, and not by those of its subflows.
      guard index.multipath.isEmpty || index.multipath.isTheDescriptors(row, in: sockets) else { continue }
      let socket = sockets[row]
      let isArriving = socket.isWaitingForAccept || socket.state == .synReceived || socket.state == .newSynReceived
      let place: Int
      if isArriving {
        let arrival = Arrival(
          namespace: socket.namespace, address: socket.localBits, port: socket.localPort, isIPv6: socket.isIPv6)
        place =
          arrivals[arrival] ?? self.place(of: index.listeners(accepting: socket).first.map { sockets[$0] } ?? socket)
        arrivals[arrival] = place
      } else {
        place = self.place(of: socket)
        if socket.isConnection || socket.state == .timeWait, labels[place].program != ProgramLabel.unknown {
          owners.places[socket.identity] = Int32(place)
        }
      }
      tallies[place].count(socket)
      if !isArriving, StateName.aged.contains(socket.state) {
        tallies[place].age(StateName.place(of: socket.state), index.timeInState(row).lower)
      }
    }
  }

  private mutating func countUnix() {
    for socket in census.unixSockets {
      let place =
        if let holder = census.holders.first(of: socket.inode) {
          self.place(ofProcess: holder.pid)
        } else {
          self.place(of: census.keeper(of: socket.inode) ?? .unseen)
        }
      tallies[place].count(.unix, StateName.place(of: socket.state))
    }
  }

  private mutating func countDescriptors() {
    for process in census.holders.processes {
      guard let open = process.descriptorCount, let limit = census.programs[process.pid]?.descriptorLimit else {
        continue
      }
      // A process without a socket and far from its limit is no subject of these metrics.
      guard processes[process.pid] != nil || Double(open) > Double(limit) / 2 else { continue }
      tallies[place(ofProcess: process.pid)].take(process.pid, open: Int(open), limit: Int(clamping: limit))
    }
  }
}
