import FinDoctor

/// All sockets of a page, as rows of small numbers: the page has them in little room, also a hundred thousand.
///
/// Sockets with a finding come first, and those of one program stand together. Times are in tenths of a second; a lower
/// bound is rounded down and an upper one up.
struct ReportSockets {
  /// Texts, each once.
  struct Texts {
    private(set) var all: [String] = []
    private var places: [String: Int32] = [:]

    mutating func place(_ text: String) -> Int32 {
      if let known = places[text] { return known }
      places[text] = Int32(all.count)
      all.append(text)
      return Int32(all.count - 1)
    }

    subscript(place: Int32) -> String { all[Int(place)] }
  }

  struct Row {
    /// An index in the findings, of the worst about this socket; -1 for none.
    var finding: Int32 = -1
    var kind: Int32 = 0
    var namespace: Int32 = -1
    var state: Int32 = 0
    /// An index in ``ReportSockets/owners``.
    var owner: Int32 = 0
    /// The lowest descriptor; -1 for none.
    var descriptor: Int32 = -1
    var local: Int32 = 0
    var localPort: Int32 = 0
    var remote: Int32 = 0
    var remotePort: Int32 = 0
    var receiveQueue: Int32 = 0
    var sendQueue: Int32 = 0
    /// The lower bound of the time in the state, in tenths of a second.
    var least: Int32 = 0
    /// The upper bound less the lower one; -1 without an upper bound.
    var spread: Int32 = -1
    /// The socket's row in the census.
    var socket = ListedSocket.inet(0)

    /// The time in the state.
    var since: AgeBounds {
      AgeBounds(
        atLeast: UInt64(max(0, least)) * 100, atMost: spread < 0 ? nil : (UInt64(max(0, least)) + UInt64(spread)) * 100)
    }

    /// Numbers by which rows are sorted, two columns in each.
    fileprivate var order: (UInt64, UInt64, UInt64, UInt64, UInt64) {
      func pair(_ first: Int32, _ second: Int32) -> UInt64 {
        // Without a finding, or a namespace, a row comes last.
        UInt64(UInt32(bitPattern: first)) << 32 | UInt64(UInt32(bitPattern: second))
      }
      return (
        pair(finding, kind), pair(namespace, state), pair(owner, local), pair(localPort, remote),
        pair(descriptor, remotePort)
      )
    }
  }

  private(set) var kinds = Texts()
  private(set) var states = Texts()
  private(set) var owners = Texts()
  private(set) var addresses = Texts()
  private(set) var rows: [Row] = []

  init(_ listing: Listing, _ findings: [Finding]) {
    let census = listing.census
    var worst: [ListedSocket: Int32] = [:]
    for (place, finding) in findings.enumerated() {
      for socket in finding.sockets {
        let known = worst[ListedSocket(socket)]
        if let known, findings[Int(known)].severity >= finding.severity { continue }
        worst[ListedSocket(socket)] = Int32(place)
      }
    }
    rows.reserveCapacity(census.sockets.count + census.unixSockets.count)
    var known: [NetworkAddress: Int32] = [:]
    var owned: [Int32: Int32] = [:]
    func address(_ address: NetworkAddress) -> Int32 {
      if let place = known[address] { return place }
      var text = TextBuffer()
      text.write(address)
      known[address] = addresses.place(text.text)
      return known[address] ?? 0
    }
    func add(_ socket: ListedSocket, _ kind: String, _ change: (inout Row) -> Void) {
      var row = Row()
      row.socket = socket
      row.finding = worst[socket] ?? -1
      row.kind = kinds.place(kind)
      row.state = states.place(listing.state(socket))
      row.namespace = listing.namespace(socket).map { Int32($0) } ?? -1
      if let holder = listing.holder(socket) {
        row.descriptor = holder.descriptor
        let owner = owned[holder.pid] ?? owners.place(Phrase.program(holder.pid, in: census))
        owned[holder.pid] = owner
        row.owner = owner
      } else {
        var text = TextBuffer()
        listing.write(ownerOf: socket, to: &text)
        row.owner = owners.place(text.text)
      }
      change(&row)
      rows.append(row)
    }
    for index in census.sockets.indices {
      let socket = census.sockets[index]
      let since = listing.since(index)
      add(.inet(index), socket.transport.description) { row in
        (row.local, row.localPort) = (address(socket.localAddress), Int32(socket.localPort))
        (row.remote, row.remotePort) = (address(socket.remoteAddress), Int32(socket.remotePort))
        row.receiveQueue = Int32(clamping: socket.receiveQueue)
        row.sendQueue = Int32(clamping: socket.sendQueue)
        row.least = Int32(clamping: since.lower / 100)
        if since.atMost != nil { row.spread = Int32(clamping: (since.upper + 99) / 100) - row.least }
      }
    }
    for index in census.unixSockets.indices {
      let socket = census.unixSockets[index]
      add(.unix(index), socket.type.description) { row in
        row.local = addresses.place(census.name(of: socket) ?? "")
        row.remote = addresses.place("")
        row.receiveQueue = Int32(clamping: socket.receiveQueue)
        row.sendQueue = Int32(clamping: socket.sendQueue)
      }
    }
    let none = addresses.place("")
    for index in census.detached.indices {
      add(.detached(index), census.detached[index].transport.description) { ($0.local, $0.remote) = (none, none) }
    }
    for index in census.otherSockets.indices {
      add(.other(index), census.otherSockets[index].kind.lowercased()) { ($0.local, $0.remote) = (none, none) }
    }
    let order = rows.indices.map { (key: rows[$0].order, place: $0) }
      .sorted { $0.key == $1.key ? $0.place < $1.place : $0.key < $1.key }
    rows = order.map { rows[$0.place] }
  }

  /// An end of a socket: an address with its port, or a name.
  func end(_ address: Int32, _ port: Int32) -> String {
    let text = addresses[address]
    if text.isEmpty { return "" }
    return port == 0 ? text : (text.contains(":") ? "[\(text)]:\(port)" : "\(text):\(port)")
  }

  func owner(_ row: Row) -> String {
    owners[row.owner] + (row.descriptor < 0 ? "" : " fd \(row.descriptor)")
  }
}

extension ListedSocket {
  init(_ socket: SocketReference) {
    switch socket {
    case .inet(let place): self = .inet(place)
    case .unix(let place): self = .unix(place)
    case .detached(let place): self = .detached(place)
    }
  }
}
