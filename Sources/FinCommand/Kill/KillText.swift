import FinDoctor
import FinTerminal

/// The output of `fin kill` as text, at most 100 columns wide.
struct KillText {
  let terminal: Terminal

  /// The table of the named sockets.
  func list(_ report: KillReport) -> String {
    let listing = Listing(report.before)
    var text = ""
    if !report.chosen.isEmpty {
      var fields: [ListField] = [.state, .local, .remote, .since, .owner]
      if report.chosen.contains(where: { !report.before.namespace(of: report.before.sockets[$0]).isOwn }) {
        fields.insert(.namespace, at: 0)
      }
      var table = ListTable(fields, headings: true)
      table.append(report.chosen.map { .inet($0) }, of: listing)
      table.write(page: terminal.page) { text += String(decoding: $0, as: UTF8.self) }
    }
    for place in report.spared {
      let socket = report.before.sockets[place]
      let why =
        socket.sparing == .bound
        ? "only bound: the kernel cannot look up such a socket, so its program must close it"
        : "a listener: --listeners ends it too"
      let who = holders(report.before.holders[socket.inode], report.before)
      text += lines("Spared", "\(name(socket)) of \(who) is \(why).")
    }
    return text
  }

  /// The result for each socket.
  func outcome(_ report: KillReport) -> String {
    if report.isDryRun {
      return "\(Phrase.noun(report.chosen.count, "socket")) would be ended; nothing was done (--dry-run).\n"
    }
    var text = ""
    for (number, place) in report.chosen.enumerated() {
      let socket = report.before.sockets[place]
      text += "\(name(socket)) \(word(number, report))\n"
      text += lines("", effect(number, socket, report))
      if let now = now(number, socket, report) { text += lines("", now) }
    }
    return text + summary(report) + "\n"
  }

  private func name(_ socket: InetSocket) -> String {
    let local = socket.localAddress.with(port: socket.localPort)
    if socket.remotePort == 0 { return "\(local) (\(socket.state))" }
    return "\(local) to \(socket.remoteAddress.with(port: socket.remotePort)) (\(socket.state))"
  }

  private func holders(_ holders: some Collection<Holder>, _ census: Census) -> String {
    if holders.isEmpty { return "a program that is gone or could not be read" }
    let shown = holders.prefix(4).map { "\(Phrase.program($0.pid, in: census)) fd \($0.descriptor)" }
    return shown.joined(separator: ", ") + (holders.count > 4 ? " and \(holders.count - 4) more" : "")
  }

  private func word(_ number: Int, _ report: KillReport) -> String {
    switch report.outcomes[number] {
    case .destroyed: terminal.ink(.good, "destroyed")
    case .endedBefore where report.remains(number): terminal.ink(.bad, "not found")
    case .endedBefore: terminal.ink(.good, "had ended")
    case .notPermitted: terminal.ink(.bad, "not permitted")
    case .notSupported: terminal.ink(.bad, "not supported")
    case .unreachable: terminal.ink(.bad, "unreachable")
    case .refused: terminal.ink(.bad, "refused")
    }
  }

  private func effect(_ number: Int, _ socket: InetSocket, _ report: KillReport) -> String {
    switch report.outcomes[number] {
    case .destroyed: socket.effectOfDestruction
    case .endedBefore where report.remains(number):
      "The kernel finds another socket with this address first: several share it with SO_REUSEPORT, and the request "
        + "cannot select one of them."
    case .endedBefore(true): "It ended on its own. Another socket has its ports now, and was not touched."
    case .endedBefore(false):
      report.endedOtherSide(of: socket)
        ? "It was reset when its other end was destroyed." : "It ended on its own meanwhile."
    case .notPermitted:
      "This needs CAP_NET_ADMIN in the user namespace of its network: run as root, or as the user who created the "
        + "namespace."
    case .notSupported:
      "This kernel cannot end such sockets: it was built without CONFIG_INET_DIAG_DESTROY, or does not support it for "
        + "this protocol."
    case .unreachable(let reason), .refused(let reason): "\(reason.prefix(1).uppercased())\(reason.dropFirst())."
    }
  }

  /// The state of the socket in the second census.
  private func now(_ number: Int, _ socket: InetSocket, _ report: KillReport) -> String? {
    if case .endedBefore = report.outcomes[number], !report.remains(number), report.stillHeld(number).isEmpty {
      return nil
    }
    var text = "Now: "
    if report.remains(number) {
      text += report.now[number].map { "it continues, in \($0.state)" } ?? "it could not be seen"
    } else if let now = report.now[number] {
      text += "its address is still bound (\(now.state))"
    } else {
      text += "no table lists it"
    }
    let held = report.stillHeld(number)
    if !held.isEmpty, let after = report.after, !report.remains(number) {
      text += "; \(holders(held, after)) keeps the descriptor until it closes it"
    }
    return text + "."
  }

  private func lines(_ label: String, _ text: String) -> String {
    let margin = label.isEmpty ? 2 : 0
    return Phrase.lines(label, text, margin: margin, labelWidth: label.isEmpty ? 0 : 8, on: terminal)
      .map { $0 + "\n" }.joined()
  }

  private func summary(_ report: KillReport) -> String {
    let remaining = report.chosen.indices.count { report.remains($0) }
    let all = report.chosen.count
    if remaining == 0 {
      return terminal.ink(.good, all == 1 ? "It has ended." : "All \(Phrase.number(all)) have ended.")
    }
    return terminal.ink(.bad, "\(Phrase.number(remaining)) of \(Phrase.number(all)) did not end.")
  }
}
