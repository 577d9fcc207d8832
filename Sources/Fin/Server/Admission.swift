/// Whom a server has in hand, and what became of those it had.
struct Admission {
  var report = ServerReport()
  private var clients: Set<Client> = []
  private var perPeer: [IPAddress: Int] = [:]

  /// One connection; which one is what counts.
  private struct Client: Hashable {
    let core: Core
    static func == (a: Client, b: Client) -> Bool { a.core === b.core }
    func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(core)) }
  }

  /// How many are in hand.
  var count: Int { clients.count }
  var active: [Core] { clients.map(\.core) }

  /// - Returns: `false` when the client's address has as many connections as it may.
  mutating func admit(_ client: Core, _ limits: Limits) -> Bool {
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

  /// - Parameters:
  ///   - end: how it ended; `nil` when the handler gave it away.
  ///   - hasFailed: whether the handler threw.
  mutating func dismiss(_ client: Core, _ end: CloseReport?, _ limits: Limits, hasFailed: Bool) {
    if hasFailed { report.handlersFailed += 1 }
    if let end {
      report.endings[end.ending, default: 0] += 1
      report.add(bytesUnacknowledged: end.bytesUnacknowledged)
    } else {
      report.detached += 1
    }
    if limits.connectionsPerPeer != nil, let ip = client.peer?.ip, let count = perPeer[ip] {
      perPeer[ip] = count > 1 ? count - 1 : nil
    }
    clients.remove(Client(core: client))
  }
}
