import FinDoctor

/// What `fin kill` says to people, 100 columns wide.
struct KillText {
  let paper: Paper

  /// What is named.
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
      table.write(page: paper.width) { text += String(decoding: $0, as: UTF8.self) }
    }
    for place in report.spared {
      let socket = report.before.sockets[place]
      let why =
        socket.sparing == .bound
        ? "only bound, and the kernel does not find such a socket to end: its program must close it"
        : "a listener: --listeners means it, too"
      let who = holders(report.before.holders[socket.inode], report.before)
      text += lines("Spared", "\(name(socket)) of \(who) is \(why).")
    }
    return text
  }

  /// What became of it.
  func outcome(_ report: KillReport) -> String {
    if report.isDryRun {
      return "\(Wording.noun(report.chosen.count, "socket")) would be ended; nothing was done (--dry-run).\n"
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
    let shown = holders.prefix(4).map { "\(Wording.program($0.pid, in: census)) fd \($0.descriptor)" }
    return shown.joined(separator: ", ") + (holders.count > 4 ? " and \(holders.count - 4) more" : "")
  }

  private func word(_ number: Int, _ report: KillReport) -> String {
    switch report.outcomes[number] {
    case .destroyed: paper.ink(.good, "destroyed")
    case .endedBefore where report.remains(number): paper.ink(.bad, "not found")
    case .endedBefore: paper.ink(.good, "had ended")
    case .notPermitted: paper.ink(.bad, "not permitted")
    case .notSupported: paper.ink(.bad, "not supported")
    case .unreachable: paper.ink(.bad, "out of reach")
    case .refused: paper.ink(.bad, "refused")
    }
  }

  private func effect(_ number: Int, _ socket: InetSocket, _ report: KillReport) -> String {
    switch report.outcomes[number] {
    case .destroyed: socket.effectOfDestruction
    case .endedBefore where report.remains(number):
      "The kernel finds another socket of this address first: several have it with SO_REUSEPORT, and one cannot be told "
        + "from the others."
    case .endedBefore(true): "It ended by itself, and another has its ports now, which was left alone."
    case .endedBefore(false):
      report.endedOtherSide(of: socket)
        ? "It was reset when its other end was destroyed." : "It ended by itself meanwhile."
    case .notPermitted:
      "It takes CAP_NET_ADMIN in the user namespace of its network: run as root, or as who made the namespace."
    case .notSupported:
      "This kernel cannot end such sockets: it was built without CONFIG_INET_DIAG_DESTROY, or cannot for this protocol."
    case .unreachable(let reason), .refused(let reason): "\(reason.prefix(1).uppercased())\(reason.dropFirst())."
    }
  }

  /// What the second look says.
  private func now(_ number: Int, _ socket: InetSocket, _ report: KillReport) -> String? {
    if case .endedBefore = report.outcomes[number], !report.remains(number), report.stillHeld(number).isEmpty {
      return nil
    }
    var text = "Now: "
    if report.remains(number) {
      text += report.now[number].map { "it goes on, in \($0.state)" } ?? "it could not be seen"
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
    return Wording.lines(label, text, margin: margin, labelWidth: label.isEmpty ? 0 : 8, on: paper)
      .map { $0 + "\n" }.joined()
  }

  private func summary(_ report: KillReport) -> String {
    let remaining = report.chosen.indices.count { report.remains($0) }
    let all = report.chosen.count
    if remaining == 0 {
      return paper.ink(.good, all == 1 ? "It has ended." : "All \(Wording.number(all)) have ended.")
    }
    return paper.ink(.bad, "\(Wording.number(remaining)) of \(Wording.number(all)) did not end.")
  }
}
