extension FindingID {
  /// Connections closed with data unread, which resets them.
  public static let closedUnread = FindingID(code: "L7")
}

extension Rule {
  static let closedUnread = Rule(
    .closedUnread, name: "closed-with-unread-data", summary: "Connections closed with data unread, which resets them.",
    fix: Remedies(
      "Before close(): shutdown(SHUT_WR), then read to the end of file with a deadline. Do not set SO_LINGER to (1, "
        + "0).",
      in: [
        .python: "sock.shutdown(SHUT_WR), recv() until b\"\" with settimeout, then close().",
        .go: "conn.(*net.TCPConn).CloseWrite(), io.Copy(io.Discard, conn) with a deadline, then Close().",
      ],
      withFin: "close(.confirmed) drains within its deadline; only abort() resets, and its report says so."),
    claims: [.closedWithDataUnread, .resetAtEnd],
    find: { $0.closedUnread() })
}

extension Claim {
  /// A program closed connections with data unread.
  fileprivate static let closedWithDataUnread = Claim(
    "closed with data unread", needs: [.closes], .rare("the program may mean to abort"),
    .rare("another process that holds the listener may have closed them", unless: .soleHolder))
}

extension CensusIndex {
  /// Connections that were closed with data unread, between the two censuses.
  fileprivate func closedUnread() -> [Finding] {
    guard let earlier = options.earlier, census.when.monotonic > earlier.when.monotonic else { return [] }
    let seconds = Double(census.when.monotonic - earlier.when.monotonic) / 1e9
    var all: [Finding] = []
    for (port, closed) in options.closed.ports.sorted(by: { $0.key.port < $1.key.port }) {
      let listener = listeners.first {
        sockets[$0].namespace == port.namespace && sockets[$0].localPort == port.port
      }
      let rate = Double(closed.count) / seconds
      all.append(
        closedUnreadFinding(
          count: closed.count, rate: rate, who: listener.map { who(ofListener: $0) },
          place: listener == nil ? "from local port \(port.port)" : "on local port \(port.port)",
          evidence: [
            .init("destroy events with Recv-Q above 1", "\(closed.count)"), .init("bytes unread", "\(closed.bytes)"),
          ])
      )
    }
    // In a namespace without destroy events, its counters still give the number.
    let told = Set(options.closed.ports.keys.map(\.namespace))
    for (number, namespace) in census.namespaces.enumerated() where !told.contains(UInt16(clamping: number)) {
      guard let before = earlier.namespaces.first(where: { $0.inode == namespace.inode }),
        let old = before.counters["TcpExt.TCPAbortOnClose"], let new = namespace.counters["TcpExt.TCPAbortOnClose"],
        new > old
      else { continue }
      all.append(
        closedUnreadFinding(
          count: Int(new - old), rate: Double(new - old) / seconds, who: nil,
          place: "in the network namespace \(namespace.name)",
          evidence: [.init("TCPAbortOnClose", "\(NumberText.number(old)), then \(NumberText.number(new))")]))
    }
    return all
  }

  private func closedUnreadFinding(
    count: Int, rate: Double, who: ProcessOwner?, place: String, evidence: [Finding.Evidence]
  ) -> Finding {
    let rateText = "\(Int(rate * 10) / 10).\(Int(rate * 10) % 10) a second"
    return Finding(
      .closedUnread, rate > thresholds.closedUnreadRate ? .warning : .info, .closedWithDataUnread,
      count: count, who: who,
      sentence: "\(who?.name ?? "A program") closed \(NumberText.noun(count, "connection")) \(place) with data unread: "
        + "the peer is reset, and may lose the last bytes that were sent to it.",
      why: "A close with unread data sends RST instead of FIN (RFC 9293, section 3.6.1; RFC 2525, section 2.17).",
      facts: [
        .read(.closes, "\(count)"),
        .holds(.soleHolder, "no other process has the listener", who?.others.isEmpty ?? true),
      ], evidence: [.init("rate", rateText)] + evidence)
  }
}

/// The connections that were closed with unread data, counted by their local ports. A busy server closes thousands in a
/// second, so the sockets themselves are not kept.
package struct ClosedUnread: Hashable, Sendable {
  struct Count: Hashable, Sendable {
    var count = 0
    var bytes: UInt64 = 0
  }

  private(set) var ports: [CensusIndex.PortOfNamespace: Count] = [:]
  /// The connections of further ports, which are not counted apart.
  package private(set) var uncounted = 0

  /// Counts these sockets, see ``add(_:)``.
  package init(_ sockets: [InetSocket] = []) {
    for socket in sockets { add(socket) }
  }

  /// Counts a socket in its last state, if it was a connection that was closed with unread data.
  package mutating func add(_ socket: InetSocket) {
    // EOF counts as one byte in Recv-Q. A connection that this side reset has nothing left in its queue.
    guard socket.transport == .tcp, socket.receiveQueue > 1 else { return }
    let port = CensusIndex.PortOfNamespace(namespace: socket.namespace, port: socket.localPort)
    guard ports[port] != nil || ports.count < Budget.closedPorts else {
      uncounted += 1
      return
    }
    ports[port, default: Count()].count += 1
    ports[port, default: Count()].bytes += UInt64(socket.receiveQueue)
  }
}
