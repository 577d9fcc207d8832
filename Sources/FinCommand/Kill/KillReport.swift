import FinDoctor
import FinTerminal

/// The sockets that were named, and the result for each.
struct KillReport {
  let before: Census
  /// Indices of sockets in ``before``.
  let chosen: [Int]
  let spared: [Int]
  let isDryRun: Bool
  /// The result for each chosen socket.
  var outcomes: [DestroyOutcome] = []
  var after: Census?
  /// The row of each chosen socket in the second census.
  private(set) var now: [InetSocket?] = []
  var status = ExitStatus.success

  init(before: Census, chosen: [Int], spared: [Int], isDryRun: Bool) {
    self.before = before
    self.chosen = chosen
    self.spared = spared
    self.isDryRun = isDryRun
  }

  /// Compares the second census with the first.
  mutating func judge() {
    let wanted = Set(chosen.map { before.sockets[$0].cookie })
    var found: [UInt64: InetSocket] = [:]
    for socket in after?.sockets ?? [] where wanted.contains(socket.cookie) { found[socket.cookie] = socket }
    now = chosen.map { found[before.sockets[$0].cookie] }
    status =
      outcomes.contains(.notPermitted)
      ? .notPermitted
      : outcomes.contains(.notSupported)
        ? .kernelFailure : chosen.indices.contains { remains($0) } ? .problem : .success
  }

  /// Whether a chosen socket continues unchanged.
  func remains(_ number: Int) -> Bool {
    guard now.indices.contains(number), let now = now[number] else {
      // A socket that could not be reached may be missing from the second census too.
      switch outcomes.indices.contains(number) ? outcomes[number] : .destroyed {
      case .destroyed, .endedBefore: return false
      case .notPermitted, .notSupported, .unreachable, .refused: return true
      }
    }
    let old = before.sockets[chosen[number]]
    if old.transport == .udp {
      // A UDP socket stays bound after it was destroyed, and looks as before.
      return outcomes[number] != .destroyed || old.remotePort != 0 && now.remotePort == old.remotePort
    }
    return now.state != .bound
  }

  /// Whether the other end of this connection is in the same network, and was destroyed.
  func endedOtherSide(of socket: InetSocket) -> Bool {
    zip(chosen, outcomes).contains { place, outcome in
      let other = before.sockets[place]
      return outcome == .destroyed && other.localPort == socket.remotePort && other.remotePort == socket.localPort
        && SocketTarget.End(other.localAddress, port: other.localPort)
          .names(socket.remoteAddress, socket.remotePort, in: before.namespace(of: socket))
    }
  }

  /// The processes that still hold the descriptor of a chosen socket.
  func stillHeld(_ number: Int) -> [Holder] {
    after.map { Array($0.holders[before.sockets[chosen[number]].inode]) } ?? []
  }
}

/// The report as JSON; the schema is what `fin help json kill` prints.
enum KillJSON {
  static func write(_ report: KillReport) {
    let census = report.before
    var json = JSONWriter()
    json.object { json in
      json.writeHead(census)
      json.write("dryRun", flag: report.isDryRun)
      json.write("status", number: UInt64(report.status.rawValue))
      json.array("sockets") { json in
        for (number, place) in report.chosen.enumerated() {
          json.text.write(ascii: "\n")
          json.object { json in
            write(census.sockets[place], census, to: &json)
            if report.outcomes.indices.contains(number) { write(number, report, to: &json) }
          }
        }
      }
      json.array("spared") { json in
        for place in report.spared {
          json.text.write(ascii: "\n")
          json.object { json in
            write(census.sockets[place], census, to: &json)
            json.write("why", string: census.sockets[place].sparing == .bound ? "bound" : "listener")
          }
        }
      }
    }
    json.text.write("\n")
    Output.write(json.text.bytes)
  }

  private static func write(_ number: Int, _ report: KillReport, to json: inout JSONWriter) {
    switch report.outcomes[number] {
    case .destroyed: json.write("outcome", string: "destroyed")
    case .endedBefore(let isReplaced): json.write("outcome", string: isReplaced ? "replaced" : "ended")
    case .notPermitted: json.write("outcome", string: "not-permitted")
    case .notSupported: json.write("outcome", string: "not-supported")
    case .unreachable(let reason):
      json.write("outcome", string: "unreachable")
      json.write("reason", string: reason)
    case .refused(let reason):
      json.write("outcome", string: "refused")
      json.write("reason", string: reason)
    }
    if let now = report.now[number] { json.write("now", string: now.state.description) }
    json.write("remains", flag: report.remains(number))
    write("stillHeldBy", report.stillHeld(number), report.after ?? report.before, to: &json)
  }

  private static func write(_ socket: InetSocket, _ census: Census, to json: inout JSONWriter) {
    json.write("kind", string: socket.transport.description)
    json.write("state", string: socket.state.description)
    json.string("localAddress") { $0.write(socket.localAddress) }
    json.write("localPort", number: socket.localPort)
    json.string("remoteAddress") { $0.write(socket.remoteAddress) }
    json.write("remotePort", number: socket.remotePort)
    if socket.interface > 0 { json.write("interface", number: socket.interface) }
    let namespace = census.namespace(of: socket)
    json.write("namespace", number: namespace.inode)
    json.write("inode", number: socket.inode)
    json.string("cookie") { $0.write(hexadecimal: socket.cookie) }
    json.write("since", since: AgeBounds.inState(socket, limits: namespace.limits))
    if socket.isWaitingForAccept { json.write("waitingForAccept", flag: true) }
    write("holders", Array(census.holders[socket.inode]), census, to: &json)
  }

  private static func write(_ key: JSONKey, _ holders: [Holder], _ census: Census, to json: inout JSONWriter) {
    json.array(key) { json in
      for holder in holders {
        json.object { json in
          json.write(program: holder.pid, in: census)
          json.write("fd", number: UInt64(max(0, holder.descriptor)))
        }
      }
    }
  }
}
