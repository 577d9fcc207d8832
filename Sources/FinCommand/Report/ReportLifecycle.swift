import FinDoctor

/// The states of TCP as RFC 9293 draws them (figure 5), with the number of sockets in each.
struct ReportLifecycle {
  let states: [ReportFigures.State]
  let findings: [Finding]

  private struct Place {
    var name: String
    var x: Double
    var y: Double
  }

  private struct Arrow {
    var points: [(Double, Double)]
    var word: String
    var x: Double
    var y: Double
    var anchor = "middle"
  }

  private static let (width, height) = (150.0, 56.0)

  private static let places = [
    Place(name: "LISTEN", x: 85, y: 120), Place(name: "SYN-SENT", x: 435, y: 120),
    Place(name: "SYN-RECEIVED", x: 85, y: 220), Place(name: "ESTABLISHED", x: 260, y: 300),
    Place(name: "FIN-WAIT-1", x: 85, y: 390), Place(name: "CLOSE-WAIT", x: 435, y: 390),
    Place(name: "FIN-WAIT-2", x: 85, y: 490), Place(name: "CLOSING", x: 260, y: 490),
    Place(name: "LAST-ACK", x: 435, y: 490), Place(name: "TIME-WAIT", x: 172, y: 590),
  ]

  private static let arrows = [
    Arrow(points: [(198, 30), (85, 30), (85, 92)], word: "listen", x: 92, y: 64, anchor: "start"),
    Arrow(points: [(322, 30), (435, 30), (435, 92)], word: "connect", x: 428, y: 64, anchor: "end"),
    Arrow(points: [(85, 148), (85, 192)], word: "SYN arrives", x: 92, y: 174, anchor: "start"),
    Arrow(points: [(435, 148), (435, 300), (335, 300)], word: "answered", x: 428, y: 230, anchor: "end"),
    Arrow(points: [(85, 248), (85, 300), (185, 300)], word: "ACK", x: 92, y: 284, anchor: "start"),
    Arrow(points: [(220, 328), (220, 390), (160, 390)], word: "close", x: 213, y: 356, anchor: "end"),
    Arrow(points: [(300, 328), (300, 390), (360, 390)], word: "FIN arrives", x: 307, y: 356, anchor: "start"),
    Arrow(points: [(85, 418), (85, 462)], word: "FIN acknowledged", x: 92, y: 444, anchor: "start"),
    Arrow(points: [(160, 404), (260, 404), (260, 462)], word: "both close", x: 267, y: 440, anchor: "start"),
    Arrow(points: [(435, 418), (435, 462)], word: "close", x: 428, y: 444, anchor: "end"),
    Arrow(points: [(85, 518), (85, 590), (97, 590)], word: "FIN arrives", x: 92, y: 544, anchor: "start"),
    Arrow(points: [(260, 518), (260, 590), (247, 590)], word: "ACK", x: 267, y: 544, anchor: "start"),
    Arrow(points: [(435, 518), (435, 642), (380, 642)], word: "FIN acknowledged", x: 428, y: 575, anchor: "end"),
    Arrow(points: [(172, 618), (172, 642), (240, 642)], word: "60 s", x: 178, y: 636, anchor: "start"),
  ]

  func write(to page: inout Markup) {
    let total = states.reduce(0) { $0 + $1.count }
    page.add(
      .svg,
      [
        .style("life"), .init(.viewBox, "0 0 520 668"), .init(.role, "group"),
        .label("The states of TCP, with \(Phrase.noun(total, "socket"))"),
      ]
    ) { svg in
      svg.add(.defs) { defs in
        defs.add(
          .marker,
          [
            .id("tip"), .init(.viewBox, "0 0 10 10"), .init(.refX, "9"), .init(.refY, "5"), .init(.markerWidth, "7"),
            .init(.markerHeight, "7"), .init(.orient, "auto"),
          ]
        ) { $0.add(.path, [.style("tip"), .init(.d, "M0 1 L10 5 L0 9 Z")]) }
      }
      for arrow in Self.arrows {
        let steps = arrow.points.map { "\(Markup.number($0.0)) \(Markup.number($0.1))" }.joined(separator: " L")
        svg.add(.path, [.style("arrow"), .init(.d, "M" + steps), .init(.tip, "url(#tip)")])
        text(arrow.word, arrow.x, arrow.y, "event", arrow.anchor, to: &svg)
      }
      text("no connection", 260, 34, "name", "middle", to: &svg)
      text("the end", 310, 647, "name", "middle", to: &svg)
      for place in Self.places { write(place, to: &svg) }
    }
  }

  private func write(_ place: Place, to svg: inout Markup) {
    let state = states.first { $0.name == place.name } ?? ReportFigures.State(name: place.name)
    let severity = state.finding.map { findings[$0].severity }
    var words = "\(place.name): \(Phrase.noun(state.count, "socket"))"
    if let oldest = state.oldest { words += ", the oldest for \(oldest)" }
    if let finding = state.finding { words += "; \(findings[finding].severity): \(findings[finding].id)" }
    let style = "state \(severity.map { "\($0)" } ?? (state.count > 0 ? "some" : "none"))"
    svg.add(.a, [.link(to: "sockets"), .style(style), .init(.state, place.name), .label(words)]) { link in
      link.add(
        .rect,
        [
          .number(.x, place.x - Self.width / 2), .number(.y, place.y - Self.height / 2), .number(.width, Self.width),
          .number(.height, Self.height), .init(.rx, "9"),
        ])
      text(place.name, place.x, place.y - 11, "name", "middle", to: &link)
      text(Phrase.number(state.count), place.x, place.y + 6, "count", "middle", to: &link)
      if let severity {
        text(ReportFindings.sign(severity), place.x, place.y + 22, "event sign", "middle", to: &link)
      } else if let oldest = state.oldest {
        var short = TextBuffer()
        oldest.write(short: &short)
        text("oldest \(short.text)", place.x, place.y + 22, "event", "middle", to: &link)
      }
    }
  }

  private func text(
    _ text: String, _ x: Double, _ y: Double, _ style: String, _ anchor: String, to svg: inout Markup
  ) {
    svg.add(.text, [.style(style), .number(.x, x), .number(.y, y), .init(.anchor, anchor)], text)
  }
}
