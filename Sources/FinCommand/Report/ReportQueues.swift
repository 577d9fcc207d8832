import FinDoctor

extension ReportSockets.Row {
  /// The bytes that wait in the kernel, in both directions.
  var bytesInQueues: Int { Int(max(0, receiveQueue)) + Int(max(0, sendQueue)) }
}

extension ReportPanels {
  /// Writes the section about bytes that wait: received and not read, or sent and not acknowledged.
  func queues(to page: inout Markup) {
    ReportPage.section("queues", "Queues", to: &page) { section in
      if figures.queues.isEmpty { return Self.none("No bytes wait in a connection.", to: &section) }
      let most = Double(figures.queues.first?.bytesInQueues ?? 1)
      for row in figures.queues {
        let words = words(row)
        section.add(.div, [.style("row")]) { line in
          line.add(.p) { text in
            text.add(.b, [], sockets.states[row.state])
            text.text(" \(sockets.end(row.local, row.localPort))")
            if row.remotePort != 0 { text.text(" → \(sockets.end(row.remote, row.remotePort))") }
            text.text(", \(sockets.owner(row)) — \(words)")
          }
          ReportCharts.bar(
            [.init(Double(row.receiveQueue) / most, "one"), .init(Double(row.sendQueue) / most, "two")], words,
            to: &line)
        }
      }
      Self.legend([("one", "not read by the program"), ("two", "not acknowledged by the peer")], to: &section)
      Self.rest(figures.queues.count, of: figures.queueCount, "connections", "fin list", to: &section)
    }
  }

  private func words(_ row: ReportSockets.Row) -> String {
    var parts: [String] = []
    if row.receiveQueue > 0 { parts.append("\(Phrase.noun(Int(row.receiveQueue), "byte")) not read by the program") }
    if row.sendQueue > 0 { parts.append("\(Phrase.noun(Int(row.sendQueue), "byte")) not acknowledged by the peer") }
    if case .inet(let index) = row.socket, row.sendQueue > 0, subject.census.sockets[index].timer == .persist {
      parts.append("the peer takes nothing: its window is closed")
    }
    return parts.joined(separator: ", ")
  }
}
