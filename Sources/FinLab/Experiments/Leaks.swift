import Fin
import Glibc
import Synchronization

/// Experiments about sockets that are never closed.
enum Leaks {
  static let leak = Experiment(
    id: "leak", articles: [.b, .c],
    claim: "A socket that is never closed leaks.",
    truth: """
      It stays in CLOSE-WAIT: no timer ends it. After a reset it is in no table of connections at all: only \
      its descriptor is left, and tools like ss do not show it.
      """, waits: false,
    naive: { notebook in
      try notebook.trial("the peer finishes; forget to close()") { trial in
        let pair = try Pair()
        RawSyscalls.close(pair.client)
        _ = wait(atMost: .seconds(5)) { pair.serverRow?.state == "CLOSE-WAIT" && pair.serverRow?.timer == "none" }
        let row = pair.serverRow
        trial.expect("its state", .text(row?.state ?? "gone"), from: "/proc/net/tcp", equals: .text("CLOSE-WAIT"))
        trial.expect("its timer", .text(row?.timer ?? "gone"), from: "/proc/net/tcp", equals: .text("none"))
        trial.expect("its descriptor is open", .flag(Kernel.isOpen(pair.server)), from: "fcntl", equals: .flag(true))
        RawSyscalls.close(pair.server)
        trial.outcome = "\(row?.state ?? "gone") with no timer to end it"
      }
      try notebook.trial("the peer resets; forget to close()") { trial in
        let pair = try Pair()
        RawSyscalls.setResetOnClose(pair.client)
        RawSyscalls.close(pair.client)
        _ = wait(atMost: .seconds(5)) { pair.serverRow == nil }
        let inode = Kernel.inode(of: pair.server)
        let listed = TCPTable.rows().contains { $0.inode == inode }
        let link = Kernel.link(of: pair.server)
        trial.expect("its descriptor is", .text(link), from: "/proc/self/fd", equals: .text("socket:[\(inode)]"))
        trial.expect("listed among connections", .flag(listed), from: "/proc/net/tcp", equals: .flag(false))
        RawSyscalls.close(pair.server)
        trial.outcome = "\(link) is open and in no table"
      }
    },
    fin: { notebook, world in
      try await notebook.trial("forget to close(), and drop the last reference") { trial in
        let heard = Reports()
        let ledger = Ledger()
        ledger.leakPolicy = .custom { heard.append($0) }
        let (plain, ends) = try await Ledger.$current.withValue(ledger) {
          let pair = try await FinPair.accepting(in: world)
          let (plain, ends) = (pair.plain, pair.ends)
          _ = RawSyscalls.send(plain, "this stays unread")
          _ = wait(atMost: .seconds(5)) { Kernel.unread(ends.number) == 17 }
          return (plain, ends)
        }
        let reports = heard.all
        trial.expect("leak reports", .count(reports.count), from: "LeakReport", equals: .count(1))
        trial.expect("leaks counted", .count(ledger.counts.leaked), from: "Ledger", equals: .count(1))
        if let report = reports.first {
          trial.expect(
            "it says where the socket was opened", .text("\(report.file):\(report.line)"), from: "LeakReport",
            "a file and a line",
            report.file.hasSuffix(".swift") && report.line > 0)
          trial.expect(
            "its state", .text(report.tcpState?.description ?? "nothing"), from: "LeakReport",
            equals: .text("ESTABLISHED"))
          trial.expect("unread", .bytes(report.bytesUnread), from: "LeakReport", equals: .bytes(17))
        }
        trial.expect("its descriptor is open", .flag(Kernel.isOpen(ends.number)), from: "fcntl", equals: .flag(false))
        let events = RawSyscalls.poll(plain, POLLIN, within: .seconds(1))
        trial.expect("the peer saw the end", .flag(events != 0), from: "poll", equals: .flag(true))
        RawSyscalls.close(plain)
        trial.outcome =
          "leak reports: \(reports.count); and the descriptor is \(Kernel.isOpen(ends.number) ? "open" : "released")"
      }
    })
}

/// The leak reports received.
private final class Reports: Sendable {
  private let list = Mutex<[LeakReport]>([])
  var all: [LeakReport] { list.withLock { $0 } }
  func append(_ report: LeakReport) { list.withLock { $0.append(report) } }
}
