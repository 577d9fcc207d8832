/// Every experiment, in the order in which a reader would raise the questions.
enum Catalogue {
  static let all: [Experiment] = [
    Closing.twoStep, Delivery.flush, Delivery.confirmed, States.timeWait, Ports.reuseAddress, Ports.portExhaustion,
    Handles.references, Handles.useAfterClose, Handles.closeTwice, Delivery.closeError, Resets.shutdownError,
    Closing.scope, Threads.lock, Threads.blockedAccept, Handles.descriptorReuse, States.states, Attempts.failedConnect,
    Waiting.idle, Waiting.acceptTimeout, Serving.limits, Closing.timeouts, Resets.reset, Leaks.leak,
    Waiting.unreadWindow, Waiting.peerSendTimeout, Resets.bypass, Handles.dupFile,
  ]

  static func experiment(_ id: String) -> Experiment? { all.first { $0.id == id } }

  /// The three ids nearest to a misspelt one.
  static func nearest(to typed: String) -> [String] {
    let typed = typed.lowercased()
    func distance(_ id: String) -> Int {
      id.contains(typed) || typed.contains(id) ? 0 : edits(from: Array(typed), to: Array(id))
    }
    return all.map(\.id).map { ($0, distance($0)) }.sorted { $0.1 < $1.1 }.prefix(3).map(\.0)
  }

  /// The number of letters to change, add, remove or swap with their neighbour (edit distance).
  private static func edits(from: [Character], to: [Character]) -> Int {
    var rows = [Array(0...to.count)]
    for (i, letter) in from.enumerated() {
      var row = [i + 1]
      for (j, other) in to.enumerated() {
        var best = min(row[j] + 1, rows[i][j + 1] + 1, rows[i][j] + (letter == other ? 0 : 1))
        if i > 0 && j > 0 && letter == to[j - 1] && from[i - 1] == other { best = min(best, rows[i - 1][j - 1] + 1) }
        row.append(best)
      }
      rows.append(row)
    }
    return rows[from.count][to.count]
  }
}
