import FinDoctor
import FinTerminal

/// The list as JSON. The schema is what `fin help json list` prints.
enum ListJSON {
  /// Writes the text piece by piece.
  /// - Parameter matching: The number of sockets that match; fewer may be listed.
  static func write(_ rows: [ListedSocket], matching: Int, of listing: Listing, to output: ([UInt8]) -> Void) {
    var json = JSONWriter()
    let census = listing.census
    json.object { json in
      json.writeHead(census)
      json.array("namespaces") { json in
        for namespace in census.namespaces {
          json.object { json in
            json.write("inode", number: namespace.inode)
            json.write("name", string: namespace.name)
            json.write("own", flag: namespace.isOwn)
          }
        }
      }
      json.write("matching", number: UInt64(matching))
      json.array("sockets") { json in
        ParallelChunks.forEach(of: rows.count) {
          lines(rows[$0], of: listing)
        } use: { lines in
          json.write(prepared: lines)
          output(json.text.bytes)
          json.text.bytes.removeAll(keepingCapacity: true)
        }
      }
    }
    json.text.write(ascii: "\n")
    output(json.text.bytes)
  }

  /// Returns the text of some sockets, each on a line of its own.
  private static func lines(_ rows: ArraySlice<ListedSocket>, of listing: Listing) -> [UInt8] {
    var json = JSONWriter()
    for row in rows {
      json.beginLine()
      write(row, of: listing, to: &json)
    }
    return json.text.bytes
  }

  /// Writes one socket, as an entry of a list.
  static func write(_ row: ListedSocket, of listing: Listing, to json: inout JSONWriter) {
    json.object { json in
      switch row {
      case .inet(let index): write(listing.census.sockets[index], at: index, listing, to: &json)
      case .unix(let index): write(listing.census.unixSockets[index], listing, to: &json)
      case .detached(let index):
        let socket = listing.census.detached[index]
        json.write("kind", string: socket.transport.description)
        json.write("family", number: UInt64(socket.isIPv6 ? 6 : 4))
        json.write("state", string: listing.state(row))
      case .other(let index):
        json.write("kind", string: listing.census.otherSockets[index].kind.lowercased())
        json.write("state", string: listing.state(row))
      }
      json.write("inode", number: listing.inode(row))
      if let keeper = listing.census.keeper(of: listing.inode(row)) { json.write("keeper", string: keeper.word) }
      write(holdersOf: row, of: listing, to: &json)
      if let published = listing.published(row) { write(published, row, listing, to: &json) }
    }
  }

  private static func write(
    _ published: PublishedSocket, _ row: ListedSocket, _ listing: Listing, to json: inout JSONWriter
  ) {
    json.object("published") { json in
      json.write("file", string: published.file)
      json.write("line", number: published.line)
      json.write("phase", string: "\(published.phase)")
      if !published.intent.isEmpty { json.write("intent", string: "\(published.intent)") }
      json.write("deadlineMilliseconds", numberIfKnown: listing.deadline(row))
      if let opened = published.opened, let when = listing.holder(row).flatMap({ listing.census.ledgers[$0.pid]?.when })
      {
        json.write("openedMilliseconds", number: (when - min(opened, when)) / 1_000_000)
      }
    }
  }

  private static func write(
    _ socket: borrowing InetSocket, at index: Int, _ listing: Listing, to json: inout JSONWriter
  ) {
    let (local, remote) = (socket.localAddress, socket.remoteAddress)
    json.write("kind", string: socket.transport.description)
    json.write("family", number: UInt64(socket.isIPv6 ? 6 : 4))
    json.write("state", string: socket.state.description)
    json.plain("localAddress") { $0.write(local) }
    json.write("localPort", number: socket.localPort)
    json.plain("remoteAddress") { $0.write(remote) }
    json.write("remotePort", number: socket.remotePort)
    if socket.interface > 0 { json.write("interface", number: socket.interface) }
    json.write("receiveQueue", number: socket.receiveQueue)
    json.write("sendQueue", number: socket.sendQueue)
    if socket.timer != .off {
      let (timer, expires, count) = (socket.timer, socket.expires, socket.retransmits)
      json.object("timer") { json in
        json.write("name", string: timer.description)
        json.write("milliseconds", number: expires)
        json.write("count", number: count)
      }
    }
    let since = listing.since(index)
    if since != .unknown {
      json.object("since") { json in
        json.write("atLeastMilliseconds", number: since.lower)
        if since.atMost != nil { json.write("atMostMilliseconds", number: since.upper) }
      }
    }
    json.write("idleMilliseconds", numberIfKnown: AgeBounds.idle(socket)?.lower)
    if socket.isWaitingForAccept { json.write("waitingForAccept", flag: true) }
    json.write("user", number: socket.user)
    let cookie = socket.cookie
    json.plain("cookie") { $0.write(hexadecimal: cookie) }
    json.write("cgroup", numberIfKnown: socket.cgroup)
    json.write("shutdown", numberIfKnown: socket.shutdown)
    json.write("namespace", number: listing.census.namespaces[Int(socket.namespace)].inode)
    write(socket.memory, to: &json)
    // For a listener, the kernel's tcp_info has only the lengths of the queue, and meaningless times.
    if !socket.info.isEmpty, socket.state != .listen { write(socket.info, to: &json) }
    if socket.transport == .mptcp, socket.state != .listen { write(socket.multipath, to: &json) }
    if let token = listing.token(ofPath: index) { json.plain("pathOf") { $0.write(hexadecimal: UInt64(token)) } }
  }

  /// The members that all sockets of a process share, without the braces: written once for each process.
  static func members(of program: Program) -> [UInt8] {
    var json = JSONWriter()
    json.object { json in
      json.write("program", string: program.name)
      if let script = program.script { json.write("script", string: script) }
      if let unit = program.unit { json.write("unit", string: unit) }
      if let container = program.container { json.write("container", string: container) }
    }
    return Array(json.text.bytes.dropFirst().dropLast())
  }

  private static func write(_ memory: SocketMemory, to json: inout JSONWriter) {
    guard memory.received != nil else { return }
    json.object("memory") { json in
      json.write("received", numberIfKnown: memory.received)
      json.write("receiveLimit", numberIfKnown: memory.receiveLimit)
      json.write("sending", numberIfKnown: memory.sending)
      json.write("sendLimit", numberIfKnown: memory.sendLimit)
      json.write("reserved", numberIfKnown: memory.reserved)
      json.write("queued", numberIfKnown: memory.queued)
      json.write("options", numberIfKnown: memory.options)
      json.write("backlog", numberIfKnown: memory.backlog)
      json.write("drops", numberIfKnown: memory.drops)
    }
  }

  private static func write(_ info: borrowing TCPDetail, to json: inout JSONWriter) {
    let info = copy info
    json.object("tcp") { json in
      json.write("bytesSent", numberIfKnown: info.bytesSent)
      json.write("bytesAcknowledged", numberIfKnown: info.bytesAcknowledged)
      json.write("bytesReceived", numberIfKnown: info.bytesReceived)
      json.write("bytesRetransmitted", numberIfKnown: info.bytesRetransmitted)
      json.write("bytesNotSent", numberIfKnown: info.bytesNotSent)
      json.write("segmentsSent", numberIfKnown: info.segmentsSent)
      json.write("segmentsReceived", numberIfKnown: info.segmentsReceived)
      json.write("unacknowledgedSegments", numberIfKnown: info.unacknowledgedSegments)
      json.write("totalRetransmissions", numberIfKnown: info.totalRetransmissions)
      json.write("lastDataSentMilliseconds", numberIfKnown: info.lastDataSent)
      json.write("lastDataReceivedMilliseconds", numberIfKnown: info.lastDataReceived)
      json.write("lastAcknowledgementMilliseconds", numberIfKnown: info.lastAcknowledgementReceived)
      json.write("retransmitTimeoutMicroseconds", numberIfKnown: info.retransmitTimeout)
      json.write("roundTripMicroseconds", numberIfKnown: info.roundTripTime)
      json.write("sendWindow", numberIfKnown: info.sendWindow)
      json.write("receiveWindow", numberIfKnown: info.receiveWindow)
      json.write("retransmits", numberIfKnown: info.retransmits)
      json.write("probes", numberIfKnown: info.probes)
      json.write("backoff", numberIfKnown: info.backoff)
    }
  }

  private static func write(_ detail: MPTCPInfo, to json: inout JSONWriter) {
    guard !detail.isEmpty else { return }
    json.object("mptcp") { json in
      if let token = detail.token { json.plain("token") { $0.write(hexadecimal: UInt64(token)) } }
      json.write("paths", numberIfKnown: detail.pathCount)
      if detail.isPlainTCP == true { json.write("plainTCP", flag: true) }
      json.write("bytesSent", numberIfKnown: detail.bytesSent)
      json.write("bytesAcknowledged", numberIfKnown: detail.bytesAcknowledged)
      json.write("bytesReceived", numberIfKnown: detail.bytesReceived)
      json.write("bytesRetransmitted", numberIfKnown: detail.bytesRetransmitted)
      json.write("lastDataSentMilliseconds", numberIfKnown: detail.lastDataSent)
      json.write("lastDataReceivedMilliseconds", numberIfKnown: detail.lastDataReceived)
      json.write("lastAcknowledgementMilliseconds", numberIfKnown: detail.lastAcknowledgementReceived)
    }
  }

  private static func write(_ socket: UnixSocket, _ listing: Listing, to json: inout JSONWriter) {
    json.write("kind", string: socket.type.description)
    json.write("state", string: socket.state.description)
    if let name = listing.census.name(of: socket) { json.write("name", string: name) }
    json.write("peerInode", numberIfKnown: socket.peer)
    json.write("receiveQueue", number: socket.receiveQueue)
    json.write("sendQueue", number: socket.sendQueue)
    json.write("user", numberIfKnown: socket.user)
    json.plain("cookie") { $0.write(hexadecimal: socket.cookie) }
    json.write("shutdown", numberIfKnown: socket.shutdown)
    json.write("namespace", number: listing.census.namespaces[Int(socket.namespace)].inode)
    write(socket.memory, to: &json)
  }

  private static func write(holdersOf row: ListedSocket, of listing: Listing, to json: inout JSONWriter) {
    json.array("holders") { json in
      for holder in listing.census.holders[listing.inode(row)] {
        json.object { json in
          json.write("pid", number: UInt32(bitPattern: holder.pid))
          json.write("fd", number: UInt32(bitPattern: holder.descriptor))
          json.write(prepared: listing.members(of: holder.pid))
        }
      }
    }
    if let former = listing.formerHolder(row) {
      json.object("formerHolder") { json in
        json.write("pid", number: UInt32(bitPattern: former.holder.pid))
        json.write("fd", number: UInt32(bitPattern: former.holder.descriptor))
        if let program = former.program { json.write(prepared: members(of: program)) }
      }
    }
  }
}
