import FinDoctor
import FinTerminal

/// A socket that the user chose to end, by the cookie that the kernel compares.
struct WatchTarget: Hashable, Sendable {
  var cookie: UInt64
  /// The inode of its network namespace.
  var namespace: UInt32
  var isUDP: Bool
  /// Its ends, for the list.
  var name: String
}

/// Ends sockets of other programs, as `fin kill` does.
struct WatchEnding {
  private let options: Census.Options

  init(_ options: Census.Options) { self.options = options }

  /// Ends those sockets that are still there, and returns the result in lines.
  ///
  /// The kernel compares each cookie under its own lock: a socket that has the same addresses by now is not hit.
  func lines(ending targets: [WatchTarget]) -> [String] {
    do {
      let before = try take(targets)
      let wanted = Set(targets.map { [$0.cookie, UInt64($0.namespace)] })
      let chosen = before.sockets.indices.filter { place in
        let socket = before.sockets[place]
        return wanted.contains([socket.cookie, UInt64(before.namespace(of: socket).inode)]) && socket.sparing == nil
      }
      let gone = wanted.count - chosen.count
      var lines: [String] = []
      if !chosen.isEmpty {
        var report = KillReport(before: before, chosen: Array(chosen), spared: [], isDryRun: false)
        report.outcomes = before.destroy(report.chosen)
        report.after = try take(targets)
        report.judge()
        let text = KillText(terminal: Terminal(hasColour: false, page: 80)).outcome(report)
        lines += text.split(separator: "\n").map(String.init)
      }
      if gone > 0 {
        lines.append("\(Phrase.noun(gone, "socket was", "sockets were")) not touched: gone by then, or listening now.")
      }
      return lines
    } catch {
      return ["Nothing was ended: \(error)"]
    }
  }

  private func take(_ targets: [WatchTarget]) throws(Census.Failure) -> Census {
    var options = options
    options.transports = Set(targets.map { $0.isUDP ? .udp : .tcp })
    options.readsUnixSockets = false
    options.readsDetached = false
    return try Census.take(options)
  }
}
