extension FindingID {
  /// Connections are opened and closed so fast that their ports pile up in TIME-WAIT.
  public static let timeWaitChurn = FindingID(code: "E3")
}

extension Rule {
  static let timeWaitChurn = Rule(
    .timeWaitChurn, name: "time-wait-churn",
    summary: "Connections open and close so fast that TIME-WAIT takes their ports.",
    concernsMachine: true,
    fix: Remedies(
      "Reuse connections, or let the other side close first. SO_LINGER of (1, 0) is no solution: it loses data.",
      withFin: "fin lab port-exhaustion shows how ports run out and become free again."),
    claims: [.restingAfterConnect, .restingAfterAccept],
    find: { $0.timeWaits() })
}

extension Claim {
  /// Connections that this side opened are in TIME-WAIT.
  fileprivate static let restingAfterConnect = Claim(
    "resting after connect", needs: [.rows, .portRange],
    .rare("the side that opened them is inferred from the port numbers"))

  /// Connections that this side accepted are in TIME-WAIT.
  fileprivate static let restingAfterAccept = Claim(
    "resting after accept", needs: [.rows, .portRange],
    .rare("the side that opened them is inferred from the port numbers"))
}

extension CensusIndex {
  private func place(of rest: RestingCount) -> Place {
    let isPeer = rest.localPort == 0
    return Place(
      isPeer: isPeer,
      endpoint: Finding.Endpoint(
        address: isPeer ? rest.remote.bits : AddressBits(), port: isPeer ? rest.remotePort : rest.localPort),
      isIPv6: isPeer && rest.remote.isIPv6)
  }

  /// Ports in TIME-WAIT, by destination where this side connected, and by local port where it serves.
  fileprivate func timeWaits() -> [Finding] {
    struct Key: Hashable {
      var namespace: UInt16
      var place: Place
    }
    var counts: [Key: Int] = [:]
    for index in resting {
      let socket = sockets[index]
      let place =
        isServerSide(index) || !isChosen(index)
        ? local(of: socket)
        : remote(of: socket)
      counts[Key(namespace: socket.namespace, place: place), default: 0] += 1
    }
    for rest in census.recordedRests {
      counts[Key(namespace: rest.namespace, place: place(of: rest)), default: 0] += rest.count
    }
    let hasOverflowed = increase(of: "TcpExt.TCPTimeWaitOverflow") > 0
    var found: [Finding] = []
    for (key, count) in counts {
      let limits = census.namespaces[Int(key.namespace)].limits
      guard let capacity = limits.ephemeralPortCount, capacity > 0 else { continue }
      let share = Double(count) / Double(capacity)
      guard share >= thresholds.timeWait else { continue }
      let table = limits.timeWaitEntries.map { Double(count) / Double(max($0, 1)) }
      var severity = Severity.info
      if key.place.isPeer, share >= thresholds.timeWaitWarning { severity = .warning }
      if hasOverflowed { severity = .critical }
      let rate = Double(count) / 60
      let rateText = rate < 1 ? "less than one" : "about \(NumberText.number(Int(rate)))"
      found.append(
        Finding(
          .timeWaitChurn, severity, key.place.isPeer ? .restingAfterConnect : .restingAfterAccept, count: count,
          sentence: key.place.isPeer
            ? "\(NumberText.number(count)) connections \(key.place.words) are in TIME-WAIT: this "
              + "side opened and closed "
              + "\(rateText) a second in the last minute."
            : "\(NumberText.number(count)) connections \(key.place.words) are in TIME-WAIT: this side was the first to "
              + "close \(rateText) a second in the last minute.",
          why: key.place.isPeer
            ? "The side that closes first keeps the port for 60 s; these are \(NumberText.percent(share)) of the ports "
              + "for that destination."
            : "On the server's side each takes about 300 bytes and no port, which is harmless.",
          facts: [.read(.rows, NumberText.number(count)), .read(.portRange, NumberText.number(capacity))],
          evidence: [
            .init("TIME-WAIT", NumberText.number(count)), .init("ports to choose from", NumberText.number(capacity)),
            .init("tcp_max_tw_buckets", limits.timeWaitEntries.map { NumberText.number($0) } ?? "unknown"),
            .init("TCPTimeWaitOverflow", hasOverflowed ? "growing" : "not growing"),
          ],
          share: key.place.isPeer ? max(share, table ?? 0) : table))
    }
    return found.sorted { $0.count > $1.count }
  }
}
