/// Whom a server has in hand, and what became of those it had.
struct Admission {
  var report = ServerReport()
  private(set) var active: [ObjectIdentifier: Core] = [:]
  private var perPeer: [IPAddress: Int] = [:]

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
    active[ObjectIdentifier(client)] = client
    return true
  }

  /// - Parameters:
  ///   - end: how it ended; `nil` when the handler gave it away.
  ///   - hasFailed: whether the handler threw.
  mutating func dismiss(_ client: Core, _ end: CloseReport?, _ limits: Limits, hasFailed: Bool) {
    if hasFailed { report.handlersFailed += 1 }
    if let end {
      report.endings[end.ending, default: 0] += 1
      report.bytesUnacknowledged += end.bytesUnacknowledged
    } else {
      report.detached += 1
    }
    if limits.connectionsPerPeer != nil, let ip = client.peer?.ip, let count = perPeer[ip] {
      perPeer[ip] = count > 1 ? count - 1 : nil
    }
    active[ObjectIdentifier(client)] = nil
  }
}
