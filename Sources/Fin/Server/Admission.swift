/// A server's active connections and its totals.
struct Admission {
  var report = ServerReport()
  private var clients: Set<Client> = []
  private var perPeer: [IPAddress: Int] = [:]
  /// The peers of the connections that count for one.
  private var peers: [Client: IPAddress] = [:]
  /// The connections that the server ended: because they never spoke, or at a limit. Their handlers fail, which is no
  /// failure of theirs.
  private var ended: Set<Client> = []
  /// The connections that are counted in `abortedAtStop` and whose handlers still run.
  private var aborted: Set<Client> = []
  /// The clients that get a farewell. They take no place.
  private var parting: Set<Client> = []

  /// An active connection, compared by identity.
  private struct Client: Hashable {
    let core: Core
    static func == (a: Client, b: Client) -> Bool { a.core === b.core }
    func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(core)) }
  }

  /// The number of active connections.
  var count: Int { clients.count }
  var active: [Core] { clients.map(\.core) }
  /// Whether no connection is open.
  var isEmpty: Bool { clients.isEmpty && parting.isEmpty }
  /// All connections that are open: those with a handler, and those with a farewell.
  var open: [Core] { clients.union(parting).map(\.core) }

  /// Whether a client that finds no place can be refused with a farewell.
  func mayPartWhenFull(_ limits: ServerLimits) -> Bool {
    limits.farewell.map { $0.whenFull && parting.count < $0.atOnce } ?? false
  }

  /// Adds a client to the active connections.
  ///
  /// - Returns: `false` when the client's peer already has the maximum number of connections.
  mutating func admit(_ client: Core, _ limits: ServerLimits) -> Bool {
    // A client of a proxy is counted when its address is known.
    if limits.proxies == nil, !count(client, at: client.peer?.ip, limits) { return false }
    clients.insert(Client(core: client))
    return true
  }

  /// Counts a client for its peer.
  ///
  /// - Returns: `false` when the peer already has the maximum number of connections.
  mutating func count(_ client: Core, at address: IPAddress?, _ limits: ServerLimits) -> Bool {
    guard let most = limits.connectionsPerPeer, let peer = address?.peerKey else { return true }
    let count = perPeer[peer, default: 0]
    if count >= most { return false }
    perPeer[peer] = count + 1
    peers[Client(core: client)] = peer
    return true
  }

  /// Refuses a client at a limit, and frees its place if it had one.
  ///
  /// - Returns: the farewell that it gets; `nil` when it is to be reset.
  mutating func refuse(_ client: Core, _ limits: ServerLimits) -> Farewell? {
    let client = Client(core: client)
    clients.remove(client)
    // A refusal counts once.
    if aborted.remove(client) != nil { report.abortedAtStop -= 1 }
    guard let farewell = limits.farewell, parting.count < farewell.atOnce else {
      report.refused += 1
      return nil
    }
    parting.insert(client)
    return farewell
  }

  /// Counts the ending of a client that got a farewell; `nil` when there was no thread for it.
  mutating func parted(_ client: Core, _ end: CloseReport?) {
    parting.remove(Client(core: client))
    if let end { report.farewells[end.ending, default: 0] += 1 } else { report.refused += 1 }
  }

  /// Counts the connections that the end of the drain aborts. A handler that still runs may have closed or detached
  /// its connection.
  mutating func countAborts() {
    aborted = clients.filter { $0.core.phase != .closed }
    report.abortedAtStop += aborted.count
  }

  /// Notes that a connection is closed because it never spoke.
  mutating func noteSilent(_ client: Core) {
    if ended.insert(Client(core: client)).inserted { report.closedSilent += 1 }
  }

  /// How to close a connection whose handler has failed: the server's own end, which may be a FIN, is not cut short.
  func policyAfterFailure(of client: Core) -> ClosePolicy {
    ended.contains(Client(core: client)) ? .background : .abort
  }

  /// Notes that a connection is ended at a limit.
  mutating func note(_ limit: ConversationLimits.Limit, of client: Core) {
    if ended.insert(Client(core: client)).inserted { report.overLimit[limit, default: 0] += 1 }
  }

  /// Removes a client from the active connections, and counts its ending.
  ///
  /// - Parameters:
  ///   - end: how the connection ended; `nil` when the handler detached it.
  ///   - failure: the error that the handler threw.
  ///   - isCut: whether the cancellation of the server ended it.
  mutating func dismiss(
    _ client: Core, _ end: CloseReport?, _ limits: ServerLimits, failure: HandlerFailure?, isCut: Bool = false
  ) {
    // The end of the drain counts a connection whose handler still runs; a cancelled handler may be faster.
    if aborted.remove(Client(core: client)) == nil, isCut { report.abortedAtStop += 1 }
    let isEnded = ended.remove(Client(core: client)) != nil
    if let failure, failure.error is ProxyRefusal {
      report.proxiesRefused += 1
    } else if let failure, !isEnded, let error = (failure.error as? SecuringFailure)?.error {
      report.securingsFailed += 1
      report.lastSecuringFailure = error
    } else if let failure, !isEnded {
      report.add(failure)
    }
    report.endings[end?.ending ?? .detached, default: 0] += 1
    if let end { report.add(bytesUnacknowledged: end.bytesUnacknowledged) }
    if let peer = peers.removeValue(forKey: Client(core: client)), let count = perPeer[peer] {
      perPeer[peer] = count > 1 ? count - 1 : nil
    }
    clients.remove(Client(core: client))
  }
}

/// The failure of a handshake of TLS before the handler, in a server that secures its clients.
struct SecuringFailure: Error, CustomStringConvertible {
  let error: SocketError
  var description: String { "\(error)" }
}

/// The refusal of a client whose peer has the maximum number of connections, found after its proxy's header.
struct PeerRefusal: Error {}
