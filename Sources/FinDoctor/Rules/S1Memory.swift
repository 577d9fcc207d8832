extension FindingID {
  /// The machine's TCP memory, or its connection tracking table, is nearly full.
  public static let memory = FindingID(code: "S1")
}

extension Rule {
  static let memory = Rule(
    .memory, name: "tcp-memory", summary: "TCP's memory, or the connection tracking table, is nearly full.",
    concernsMachine: true,
    fix: Remedies(
      "Find the connections whose data does not move (W1, W2) and limit their buffers; only then raise the limit.",
      withFin: "Buffers have limits, and a send that makes no progress ends at its deadline."),
    claims: [.memoryNearlyUsed, .trackingNearlyFull],
    find: { $0.memory() })
}

extension Claim {
  /// TCP uses most of the memory that it may use, or was under pressure.
  fileprivate static let memoryNearlyUsed = Claim("memory nearly used", needs: [.counters])

  /// The packet filter tracks nearly as many connections as it may.
  fileprivate static let trackingNearlyFull = Claim("tracking table nearly full", needs: [.counters])
}

extension CensusIndex {
  /// TCP memory and connection tracking.
  fileprivate func memory() -> [Finding] { [tcpMemory()].compactMap { $0 } + tracked() }

  private func tcpMemory() -> Finding? {
    // These values are machine-wide, so any namespace's reading will do.
    guard let used = census.namespaces.lazy.compactMap({ $0.counters["sockstat.TCP.mem"] }).first,
      let pages = census.namespaces.lazy.map(\.limits.memoryPages).first(where: { $0.count >= 3 }), pages[2] > 0
    else { return nil }
    let share = Double(used) / Double(pages[2])
    let pressures = increase(of: "TcpExt.TCPMemoryPressures")
    guard share >= thresholds.memoryWarning || pressures > 0 else { return nil }
    var held: [Int32: UInt64] = [:]
    for index in named + multipathConnections {
      let memory = sockets[index].memory
      let bytes = UInt64(memory.queued ?? 0) + UInt64(memory.received ?? 0)
      if bytes > 0 { held[owner(of: sockets[index]).pid, default: 0] += bytes }
    }
    let top = Array(held.sorted { ($0.value, $1.key) > ($1.value, $0.key) }.prefix(3))
    let topmost = top.first?.key ?? 0
    let who = topmost == 0 ? nil : who(OwnerKey(pid: topmost))
    let names = top.map { "\(self.who(OwnerKey(pid: $0.key)).name): \(NumberText.bytes($0.value))" }
    return Finding(
      .memory, share >= thresholds.memoryCritical || pressures > 0 ? .critical : .warning, .memoryNearlyUsed,
      count: Int(used), who: who,
      sentence:
        "TCP uses \(NumberText.percent(share)) of its memory limit on this machine: above the limit it drops data "
        + "and resets connections.",
      why: names.isEmpty ? nil : "The sockets that hold most are those of \(names.joined(separator: ", ")).",
      facts: [.read(.counters, "\(NumberText.number(used)) of \(NumberText.number(pages[2])) pages")],
      evidence: [
        .init("sockstat TCP mem", "\(NumberText.number(used)) pages"),
        .init("tcp_mem", pages.map { NumberText.number($0) }.joined(separator: ", ") + " pages"),
        .init("TCPMemoryPressures", pressures > 0 ? "growing by \(pressures)" : "not growing"),
      ],
      share: share)
  }

  private func tracked() -> [Finding] {
    census.namespaces.compactMap { (namespace) -> Finding? in
      guard let used = namespace.limits.trackedConnections, let most = namespace.limits.trackedConnectionsLimit,
        most > 0
      else { return nil }
      let share = Double(used) / Double(most)
      guard share >= thresholds.memoryWarning else { return nil }
      return Finding(
        .memory, share >= thresholds.memoryCritical ? .critical : .warning, .trackingNearlyFull, count: used,
        sentence:
          "The packet filter tracks \(NumberText.number(used)) of at most \(NumberText.number(most)) "
          + "connections in the "
          + "network namespace \(namespace.name): at the limit it drops packets of new ones.",
        facts: [.read(.counters, "\(NumberText.number(used)) of \(NumberText.number(most))")],
        evidence: [
          .init("nf_conntrack_count", NumberText.number(used)), .init("nf_conntrack_max", NumberText.number(most)),
        ],
        share: share)
    }
  }
}
