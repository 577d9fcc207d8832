import ArgumentParser
import FinDoctor

/// A column of the list.
enum ListField: String, CaseIterable, ExpressibleByArgument {
  case kind, namespace, state
  case receiveQueue = "recv-q"
  case sendQueue = "send-q"
  case local, remote, since, idle, timer, owner, program, pid, fd, user, unit, container, inode, cookie, holders
  case received, sent, unacknowledged, retransmissions, rtt, drops, memory
  case site, phase, deadline

  static let usual: [ListField] = [.state, .receiveQueue, .sendQueue, .local, .remote, .since, .owner]

  /// The description for the help. With the name before it, it fits into 80 columns.
  var meaning: String {
    switch self {
    case .kind: "tcp, udp, mptcp, or the kind of Unix socket"
    case .namespace: "the network namespace"
    case .state: "as in RFC 9293; DETACHED for a TCP descriptor in no table"
    case .receiveQueue: "unread bytes, +1 for an unread FIN; listener: not accepted"
    case .sendQueue: "unacknowledged bytes, +1 for a FIN; listener: queue limit"
    case .local: "local address and port; the name of a Unix socket"
    case .remote: "remote address and port; the inode of a Unix peer"
    case .since: "how long it has been in its state: 3.2s, 3.2s-41min, >3.2s"
    case .idle: "how long no data has moved in either direction"
    case .timer: "the running timer, when it fires, retransmits or probes"
    case .owner: "program[pid] fd number, +n when n more descriptors hold it"
    case .program: "the program's name"
    case .pid: "the process"
    case .fd: "the descriptor"
    case .user: "the user id"
    case .unit: "the unit of the service manager"
    case .container: "the container, by the first digits of its name"
    case .inode: "the socket's inode"
    case .cookie: "the socket's cookie, hexadecimal"
    case .holders: "the number of descriptors that hold it"
    case .received: "bytes received"
    case .sent: "bytes sent"
    case .unacknowledged: "segments not acknowledged"
    case .retransmissions: "segments retransmitted since the start"
    case .rtt: "round trip time in milliseconds"
    case .drops: "dropped connection attempts (listener) or datagrams"
    case .memory: "bytes of kernel memory held by queued data"
    case .site: "the source line that opened it (Fin with FIN_LEDGER=1)"
    case .phase: "its phase, as such a program publishes it"
    case .deadline: "when such a program's wait ends; never; - for no wait"
    }
  }

  var heading: String { self == .owner ? "PROGRAM" : rawValue.uppercased() }

  /// Whether the column is right-aligned, as numbers are.
  var isNumber: Bool {
    switch self {
    case .receiveQueue, .sendQueue, .pid, .fd, .user, .inode, .cookie, .holders, .received, .sent, .unacknowledged,
      .retransmissions, .rtt, .drops, .memory, .idle:
      true
    case .kind, .namespace, .state, .local, .remote, .since, .timer, .owner, .program, .unit, .container, .site,
      .phase, .deadline:
      false
    }
  }

  /// Whether the column needs the socket's memory counters.
  var needsMemory: Bool { self == .drops || self == .memory }

  /// The smallest width of the column when a line is too long; nil for a column that is not narrowed.
  var least: Int? {
    switch self {
    case .local, .remote: 15
    case .owner: 14
    case .program, .unit, .namespace: 8
    case .site: 16
    default: nil
    }
  }

  /// Whether a cell that is too long is cut in its middle, because its end matters: the port of an address.
  var isCutInside: Bool { self == .local || self == .remote || self == .owner || self == .site }

  /// Whether the value comes from the ledger that a program publishes, and not from the kernel.
  var isPublished: Bool { self == .site || self == .phase || self == .deadline }
}

/// Writing the cells.
extension ListField {
  /// Writes the cell of a row; `-` if there is no value.
  func write(_ row: ListedSocket, of listing: borrowing Listing, to text: inout TextBuffer) {
    switch self {
    case .state: text.write(listing.state(row))
    case .owner: listing.write(ownerOf: row, to: &text)
    case .program: text.write(listing.program(row)?.name ?? "-")
    case .unit: text.write(listing.unit(row) ?? "-")
    case .container: text.write(listing.container(row) ?? "-")
    case .pid: Self.write(listing.holder(row).map { UInt64($0.pid) }, to: &text)
    case .fd: Self.write(listing.holder(row).map { UInt64($0.descriptor) }, to: &text)
    case .inode: Self.write(UInt64(listing.inode(row)), to: &text)
    case .holders: Self.write(UInt64(listing.census.holders[listing.inode(row)].count), to: &text)
    case .namespace: text.write(listing.namespace(row).map { listing.census.namespaces[$0].name } ?? "-")
    case .site: text.write(listing.published(row)?.site ?? "-")
    case .phase: text.write(listing.published(row).map { "\($0.phase)" } ?? "-")
    case .deadline: listing.write(deadlineOf: row, to: &text)
    default:
      switch row {
      case .inet(let index): write(listing.census.sockets[index], at: index, of: listing, to: &text)
      case .unix(let index): write(listing.census.unixSockets[index], listing, to: &text)
      case .detached(let index):
        text.write(self == .kind ? listing.census.detached[index].transport.description : "-")
      case .other(let index):
        text.write(self == .kind ? listing.census.otherSockets[index].kind.lowercased() : "-")
      }
    }
  }

  /// Writes the cell of a TCP, UDP or MPTCP socket whose row the caller has already fetched.
  func write(
    _ socket: borrowing InetSocket, at index: Int, of listing: borrowing Listing, to text: inout TextBuffer
  ) {
    switch self {
    case .state: text.write(socket.state.description)
    case .inode: text.write(decimal: socket.inode)
    case .kind: text.write(socket.transport.description)
    case .receiveQueue: text.write(decimal: socket.receiveQueue)
    case .sendQueue: text.write(decimal: socket.sendQueue)
    case .local: text.write(socket.localAddress, port: socket.localPort)
    case .remote: text.write(socket.remoteAddress, port: socket.remotePort)
    case .since: listing.since(index).write(short: &text)
    case .idle:
      if let idle = AgeBounds.idle(socket) { idle.write(short: &text) } else { text.write(ascii: "-") }
    case .timer: Self.write(timerOf: socket, to: &text)
    case .user: text.write(decimal: socket.user)
    case .cookie: text.write(hexadecimal: socket.cookie)
    case .received: Self.write(socket.bytesReceived, to: &text)
    case .sent: Self.write(socket.bytesSent, to: &text)
    case .unacknowledged: Self.write(socket.info.unacknowledgedSegments.map(UInt64.init), to: &text)
    case .retransmissions: Self.write(socket.info.totalRetransmissions.map(UInt64.init), to: &text)
    case .rtt: Self.write(milliseconds: socket.info.roundTripTime, to: &text)
    case .drops: Self.write(socket.drops.map(UInt64.init), to: &text)
    case .memory: Self.write(Self.held(socket.memory), to: &text)
    case .namespace, .owner, .program, .pid, .fd, .unit, .container, .holders, .site, .phase, .deadline:
      write(.inet(index), of: listing, to: &text)
    }
  }

  private func write(_ socket: UnixSocket, _ listing: borrowing Listing, to text: inout TextBuffer) {
    switch self {
    case .kind: text.write(socket.type.description)
    case .receiveQueue: text.write(decimal: socket.receiveQueue)
    case .sendQueue: text.write(decimal: socket.sendQueue)
    case .local: text.write(listing.census.name(of: socket) ?? "-")
    case .remote: Self.write(socket.peer.flatMap { $0 == 0 ? nil : UInt64($0) }, to: &text)
    case .user: Self.write(socket.user.map(UInt64.init), to: &text)
    case .cookie: text.write(hexadecimal: socket.cookie)
    case .memory: Self.write(Self.held(socket.memory), to: &text)
    default: text.write(ascii: "-")
    }
  }

  private static func held(_ memory: SocketMemory) -> UInt64? {
    guard let received = memory.received, let queued = memory.queued else { return nil }
    return UInt64(received) + UInt64(queued)
  }

  private static func write(_ number: UInt64?, to text: inout TextBuffer) {
    if let number { text.write(decimal: number) } else { text.write(ascii: "-") }
  }

  /// Writes microseconds as milliseconds with two decimals.
  private static func write(milliseconds microseconds: UInt32?, to text: inout TextBuffer) {
    guard let microseconds else { return text.write(ascii: "-") }
    text.write(decimal: microseconds / 1000)
    text.write(".")
    let hundredths = microseconds % 1000 / 10
    if hundredths < 10 { text.write("0") }
    text.write(decimal: hundredths)
  }

  private static func write(timerOf socket: borrowing InetSocket, to text: inout TextBuffer) {
    guard socket.timer != .off else { return text.write(ascii: "-") }
    text.write("\(socket.timer),")
    text.write(decimal: socket.expires)
    text.write("ms,")
    text.write(decimal: UInt64(socket.retransmits))
  }
}
