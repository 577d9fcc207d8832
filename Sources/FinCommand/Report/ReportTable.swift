import FinDoctor

/// The table of all sockets. The first rows are in the page; a script adds the others from its data.
struct ReportTable {
  let sockets: ReportSockets
  let findings: [Finding]

  /// The number of rows that are in the page without a script.
  static let most = 400

  /// The columns, by the key under which the script sorts them.
  private static let columns = [
    ("finding", "Finding"), ("kind", "Kind"), ("state", "State"), ("local", "Local"), ("remote", "Remote"),
    ("since", "In this state for"), ("receive", "Recv-Q"), ("send", "Send-Q"), ("owner", "Owner"),
  ]

  func write(to page: inout Markup) {
    let count = sockets.rows.count
    ReportPage.section("sockets", "All sockets", to: &page) { section in
      section.add(.div, [.id("tools"), .init(.hidden, "")]) { tools in
        tools.add(.label, [.init(.owner, "filter")], "Filter")
        tools.add(
          .input,
          [
            .id("filter"), .init(.type, "search"), .init(.placeholder, "state:close-wait program:api port:8080 age>5m"),
          ])
      }
      let words =
        count <= Self.most
        ? Phrase.noun(count, "socket") + "."
        : "The first \(Self.most) of \(Phrase.number(count)) sockets, those with a finding first. All are in the data "
          + "of this page; its script shows them, and so does fin list."
      section.add(.p, [.id("shown"), .style("quiet"), .init(.live, "polite")], words)
      section.add(.div, [.style("wide"), .init(.tabindex, "0"), .init(.role, "region"), .label("All sockets")]) { box in
        box.add(.table) { table in
          table.add(.thead) { head in
            head.add(.tr) { line in
              for (key, title) in Self.columns {
                line.add(.th, [.init(.scope, "col"), .init(.key, key)], title)
              }
            }
          }
          table.newLine()
          table.add(.tbody, [.id("rows")]) { body in
            for row in sockets.rows.prefix(Self.most) { write(row, to: &body) }
          }
        }
      }
      section.add(.p) { $0.add(.button, [.id("more"), .init(.type, "button"), .init(.hidden, "")], "Show more") }
    }
  }

  private func write(_ row: ReportSockets.Row, to body: inout Markup) {
    var since = TextBuffer()
    row.since.write(short: &since)
    body.add(.tr) { line in
      line.add(.td) { cell in
        guard row.finding >= 0 else { return }
        let finding = findings[Int(row.finding)]
        cell.add(
          .a, [.link(to: ReportFindings.card(Int(row.finding))), .style("\(finding.severity)")],
          ReportFindings.sign(finding.severity).prefix(2) + finding.id.rawValue)
      }
      line.add(.td, [], sockets.kinds[row.kind])
      line.add(.td, [], sockets.states[row.state])
      line.add(.td, [], sockets.end(row.local, row.localPort))
      line.add(.td, [], row.remotePort == 0 ? "" : sockets.end(row.remote, row.remotePort))
      line.add(.td, [], since.text)
      line.add(.td, [], "\(row.receiveQueue)")
      line.add(.td, [], "\(row.sendQueue)")
      line.add(.td, [], sockets.owner(row))
    }
    body.newLine()
  }
}
