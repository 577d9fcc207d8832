/// A server's active connections and its totals.
struct Admission {
  var report = ServerReport()
  private var clients: Set<Client> = []
  private var perPeer: [IPAddress: Int] = [:]
  /// The connections that were closed because they never spoke. Their handlers fail, which is no failure of theirs.
  private var silent: Set<Client> = []

  /// An active connection, compared by identity.
  private struct Client: Hashable {
    let core: Core
    static func == (a: Client, b: Client) -> Bool { a.core === b.core }
    func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(core)) }
  }

  /// The number of active connections.
  var count: Int { clients.count }
  var active: [Core] { clients.map(\.core) }

  /// Adds a client to the active connections.
  ///
  /// - Returns: `false` when the client's address already has the maximum number of connections.
  mutating func admit(_ client: Core, _ limits: ServerLimits) -> Bool {
    if let most = limits.connectionsPerPeer, let ip = client.peer?.ip {
      let count = perPeer[ip, default: 0]
      if count >= most {
        report.refused += 1
        return false
      }
      perPeer[ip] = count + 1
    }
    clients.insert(Client(core: client))
    return true
  }

  /// Counts the connections that the end of the drain aborts. A handler that still runs may have closed or detached
  /// its connection.
  mutating func countAborts() { report.abortedAtStop = clients.count { $0.core.phase != .closed } }

  /// Notes that a connection is closed because it never spoke.
  mutating func noteSilent(_ client: Core) {
    if silent.insert(Client(core: client)).inserted { report.closedSilent += 1 }
  }

  /// Removes a client from the active connections, and counts its ending.
  ///
  /// - Parameters:
  ///   - end: how the connection ended; `nil` when the handler detached it.
  ///   - failure: the error that the handler threw.
  mutating func dismiss(_ client: Core, _ end: CloseReport?, _ limits: ServerLimits, failure: HandlerFailure?) {
    let isSilent = silent.remove(Client(core: client)) != nil
    if let failure, !isSilent { report.add(failure) }
    report.endings[end?.ending ?? .detached, default: 0] += 1
    if let end { report.add(bytesUnacknowledged: end.bytesUnacknowledged) }
    if limits.connectionsPerPeer != nil, let ip = client.peer?.ip, let count = perPeer[ip] {
      perPeer[ip] = count > 1 ? count - 1 : nil
    }
    clients.remove(Client(core: client))
  }
}
