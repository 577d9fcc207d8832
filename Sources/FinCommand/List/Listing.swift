import FinDoctor

/// One line of the list: the index of its row in the census.
enum ListedSocket: Hashable {
  case inet(Int)
  case unix(Int)
  /// A descriptor whose socket no table lists.
  case detached(Int)
  /// A socket of a kind that no table lists.
  case other(Int)
}

/// The census, with indices for the values that every line of the list needs.
struct Listing {
  let census: Census
  /// The name that is shown for each process: `nginx[812]`.
  private let labels: [Int32: Label]
  private let limits: [KernelLimits]
  private let multipath: MPTCPSubflows
  /// The inode of every listening socket, by its namespace and port.
  private let listeners: [UInt32: UInt32]

  private struct Label {
    var text: [UInt8]
    /// The members of the program's JSON object.
    var members: [UInt8]
    /// Its position among all programs sorted by name.
    var rank: UInt64
  }

  init(_ census: Census) {
    self.census = census
    limits = census.namespaces.map(\.limits)
    multipath = MPTCPSubflows(census.sockets, ages: census.recordedAges)
    let sorted = census.programs.values.sorted { ($0.name, $0.pid) < ($1.name, $1.pid) }
    labels = Dictionary(
      uniqueKeysWithValues: sorted.enumerated().map { rank, program in
        let label = Label(
          text: Self.label(program.pid, program), members: ListJSON.members(of: program),
          rank: UInt64(rank))
        return (program.pid, label)
      })
    var listeners: [UInt32: UInt32] = [:]
    for socket in census.sockets where socket.state == .listen {
      listeners[Self.place(socket)] = socket.inode
    }
    self.listeners = listeners
  }

  private static func place(_ socket: InetSocket) -> UInt32 {
    UInt32(socket.namespace) << 16 | UInt32(socket.localPort)
  }

  /// The inode; 0 for a socket that never had a descriptor, or has none left.
  func inode(_ row: ListedSocket) -> UInt32 {
    switch row {
    case .inet(let index): census.sockets[index].inode
    case .unix(let index): census.unixSockets[index].inode
    case .detached(let index): census.detached[index].inode
    case .other(let index): census.otherSockets[index].holder.inode
    }
  }

  /// The descriptor that holds the socket; if there are several, the one of the process with the lowest pid.
  func holder(_ row: ListedSocket) -> Holder? { census.holders.first(of: inode(row)) }

  /// The entry for the socket in the ledger that its program publishes.
  func published(_ row: ListedSocket) -> PublishedSocket? {
    if case .detached(let index) = row {
      let socket = census.detached[index]
      return census.ledgers[socket.pid]?.sockets[socket.descriptor]
    }
    return census.published(inode: inode(row))
  }

  /// The milliseconds from the census to the end of the wait in progress; 0 if the wait is overdue.
  func deadline(_ row: ListedSocket) -> UInt64? {
    guard let deadline = published(row)?.deadline, let now = holder(row).flatMap({ census.ledgers[$0.pid]?.when })
    else { return nil }
    return deadline > now ? (deadline - now) / 1_000_000 : 0
  }

  func write(deadlineOf row: ListedSocket, to text: inout TextBuffer) {
    if let left = deadline(row) {
      text.write("in ")
      AgeBounds(atLeast: left, atMost: left).write(short: &text)
    } else if let socket = published(row), socket.input == .forever || socket.output == .forever {
      text.write("never")
    } else {
      text.write(ascii: "-")
    }
  }

  func formerHolder(_ row: ListedSocket) -> Census.FormerHolder? {
    guard case .inet(let index) = row else { return nil }
    return census.formerHolder(of: census.sockets[index])
  }

  func program(_ row: ListedSocket) -> Program? { holder(row).flatMap { census.programs[$0.pid] } }

  /// The unit of its program; for a TCP, UDP or MPTCP socket without a program, that of the cgroup that made it.
  func unit(_ row: ListedSocket) -> String? {
    if case .inet(let index) = row { return census.unit(of: census.sockets[index]) }
    return program(row)?.unit
  }

  /// The container of its program, or of the cgroup that made it.
  func container(_ row: ListedSocket) -> String? {
    if case .inet(let index) = row { return census.container(of: census.sockets[index]) }
    return program(row)?.container
  }

  /// How long a TCP, UDP or MPTCP socket has been in its state.
  func since(_ index: Int) -> AgeBounds {
    let place = Int(census.sockets[index].namespace)
    return multipath.since(
      index, in: census.sockets, limits: place < limits.count ? limits[place] : KernelLimits())
  }

  /// The token of the MPTCP connection that has this row as a subflow.
  func token(ofPath index: Int) -> UInt32? {
    multipath.owner(ofPath: index).flatMap { census.sockets[$0].multipath.token }.flatMap { $0 == 0 ? nil : $0 }
  }

  /// The namespace, as an index in the census.
  func namespace(_ row: ListedSocket) -> Int? {
    switch row {
    case .inet(let index): Int(census.sockets[index].namespace)
    case .unix(let index): Int(census.unixSockets[index].namespace)
    case .detached, .other: nil
    }
  }

  /// The process that holds the listener of a connection that waits for accept.
  private func acceptor(_ socket: InetSocket) -> Holder? {
    guard socket.isWaitingForAccept, let inode = listeners[Self.place(socket)] else { return nil }
    return census.holders.first(of: inode)
  }
}

/// The owner in words.
extension Listing {
  /// Writes the owner of a row:
  /// - `nginx[812] fd 5`, or `nginx[812] fd 5 +1` if one more descriptor holds the socket;
  /// - `(ended)[812] fd 5` for a process that ended during the census;
  /// - `queue of nginx[812]` before the connection is accepted;
  /// - `user 1000` if the process may not be read;
  /// - `was nginx[812] fd 5` if only an earlier census saw the holder;
  /// - `-` if no program holds the socket any more.
  func write(ownerOf row: ListedSocket, to text: inout TextBuffer) {
    let holders = census.holders[inode(row)]
    if let first = holders.first {
      write(label: first.pid, to: &text)
      text.write(literal: " fd ")
      text.write(decimal: UInt32(bitPattern: first.descriptor))
      if holders.count > 1 {
        text.write(" +")
        text.write(decimal: UInt64(holders.count - 1))
      }
      return
    }
    if let keeper = census.keeper(of: inode(row)), write(keeper, to: &text) { return }
    guard case .inet(let index) = row else {
      text.write(ascii: "-")
      return
    }
    var socket = census.sockets[index]
    // The subflows of an MPTCP connection keep its inode when it is closed.
    if let owner = multipath.owner(ofPath: index) { socket = census.sockets[owner] }
    if socket.inode != 0 {
      text.write("user ")
      text.write(decimal: socket.user)
    } else if let acceptor = acceptor(socket) {
      text.write("queue of ")
      write(label: acceptor.pid, to: &text)
    } else if let former = census.formerHolder(of: socket) {
      text.write("was ")
      text.bytes.append(contentsOf: Self.label(former.holder.pid, former.program))
      text.write(literal: " fd ")
      text.write(decimal: UInt32(bitPattern: former.holder.descriptor))
    } else {
      text.write(socket.isWaitingForAccept ? "not accepted" : "-")
    }
  }

  /// Writes the holder of a socket without a descriptor: `ring of api[812]`, `message to api[812]`, `kernel (vx0)`;
  /// returns false if that is not known.
  private func write(_ keeper: Keeper, to text: inout TextBuffer) -> Bool {
    switch keeper {
    case .ring(let pid):
      text.write("ring of ")
      write(label: pid, to: &text)
    case .message(let receiver):
      text.write("message to ")
      write(label: receiver.pid, to: &text)
    case .interface(let name, _): text.write("kernel (\(name))")
    case .kernel: text.write("kernel")
    case .unclear: text.write("kernel or message")
    case .unseen: return false
    }
    return true
  }

  private static func label(_ pid: Int32, _ program: Program?) -> [UInt8] {
    Array("\(program?.name ?? Phrase.ended)[\(pid)]".utf8)
  }

  func write(label pid: Int32, to text: inout TextBuffer) {
    if let label = labels[pid] {
      text.bytes.append(contentsOf: label.text)
    } else {
      text.bytes.append(contentsOf: Self.label(pid, nil))
    }
  }

  /// The members of the JSON object of a process's program; empty if the program could not be read.
  func members(of pid: Int32) -> [UInt8] { labels[pid]?.members ?? [] }

  /// The sort key: by program, then by descriptor; sockets without a holder come last.
  func rank(ofOwner row: ListedSocket) -> UInt64 {
    guard let holder = holder(row) else { return .max }
    let program = labels[holder.pid]?.rank ?? 0xffff_ffff
    return program << 32 | UInt64(UInt32(bitPattern: holder.descriptor))
  }

  func state(_ row: ListedSocket) -> String {
    switch row {
    case .inet(let index): return census.sockets[index].state.description
    case .unix(let index):
      let socket = census.unixSockets[index]
      return socket.hasLostItsPeer ? "PEER-GONE" : socket.state.description
    case .detached(let index): return census.detached[index].transport == .udp ? "UNBOUND" : "DETACHED"
    case .other: return "UNLISTED"
    }
  }
}
