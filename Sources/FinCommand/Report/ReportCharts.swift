import FinDoctor

/// Drawings as wide as their place on the page: positions are parts of the width, so that text keeps its size.
enum ReportCharts {
  /// A part of a bar, and the class of its colour.
  struct Part {
    var share: Double
    var style: String

    init(_ share: Double, _ style: String) { (self.share, self.style) = (share, style) }
  }

  /// A bar of parts one after the other. Its numbers stand beside it as text.
  static func bar(_ parts: [Part], _ words: String, to page: inout Markup) {
    page.add(.svg, [.style("bar"), .init(.role, "img"), .label(words)]) { svg in
      svg.add(.rect, [.style("track"), .init(.width, "100%"), .init(.height, "100%")])
      var start = 0.0
      for part in parts where part.share > 0 {
        svg.add(
          .rect,
          [
            .style(part.style), .share(.x, start), .share(.width, max(min(part.share, 1 - start), 0.004)),
            .init(.height, "100%"),
          ])
        start += part.share
      }
    }
  }

  /// A line through the values of a quantity at looks that follow each other.
  static func course(_ values: [Int], _ words: String, to page: inout Markup) {
    guard values.count > 1, let least = values.min(), let most = values.max() else { return }
    let (width, height, margin) = (300.0, 36.0, 3.0)
    let points = values.enumerated().map { place, value in
      let x = margin + (width - 2 * margin) * Double(place) / Double(values.count - 1)
      let share = most == least ? 0 : Double(value - least) / Double(most - least)
      return "\(Markup.number(x)) \(Markup.number(height - margin - share * (height - 2 * margin)))"
    }
    page.add(
      .svg,
      [.style("course"), .init(.viewBox, "0 0 \(Int(width)) \(Int(height))"), .init(.role, "img"), .label(words)]
    ) { $0.add(.path, [.init(.d, "M" + points.joined(separator: " L"))]) }
  }

  /// The ages that have a mark on the axis of time, in milliseconds.
  private static let marks: [(age: UInt64, word: String)] = [
    (1000, "1 s"), (60_000, "1 min"), (3_600_000, "1 h"), (86_400_000, "1 d"),
  ]

  /// The place of an age on a logarithmic axis that ends at the census: 1 is then, 0 is 30 days before.
  static func place(_ age: UInt64) -> Double {
    func log(_ value: Double) -> Double {
      // Three digits are enough for a drawing; the exponent and its fraction are the logarithm.
      Double(value.exponent) + (value.significand - 1)
    }
    let most = log(30 * 86_400_000 / 10)
    return 1 - min(max(log(max(Double(age) / 10, 1)) / most, 0), 1)
  }

  /// A moment in the life of a socket.
  struct Event {
    var age: UInt64
    var word: String
    var isIncoming: Bool
  }

  /// The axis of time, with what `body` draws on it.
  private static func axis(_ words: String, to page: inout Markup, _ body: (inout Markup) -> Void) {
    page.add(.svg, [.style("time"), .init(.role, "img"), .label(words)]) { svg in
      for mark in marks {
        let x = place(mark.age)
        svg.add(.line, [.style("mark"), .share(.x1, x), .share(.x2, x), .init(.y1, "0"), .init(.y2, "22")])
        svg.add(.text, [.style("tick"), .share(.x, x), .init(.y, "35"), .init(.anchor, "middle")], mark.word)
      }
      svg.add(.text, [.style("tick"), .init(.x, "100%"), .init(.y, "35"), .init(.anchor, "end")], "census")
      body(&svg)
    }
  }

  /// Times that have lasted, as dots where each began for certain.
  static func dots(_ times: [AgeBounds], _ words: String, to page: inout Markup) {
    axis(words, to: &page) { svg in
      for time in times {
        let shape: [Markup.Attribute] = [.share(.cx, place(time.lower)), .init(.cy, "11"), .init(.r, "4")]
        svg.add(.circle, [.style("in")] + shape) { $0.add(.title, [], "for \(time)") }
      }
    }
  }

  /// The time that something has lasted: the certain part solid, the possible part open; and moments in it as dots.
  static func time(_ since: AgeBounds, _ events: [Event] = [], style: String, to page: inout Markup) {
    let certain = place(since.lower)
    let possible = since.atMost == nil ? 0 : place(since.upper)
    let words = ["for \(since)"] + events.map { "\($0.word) \(AgeBounds(atLeast: $0.age, atMost: $0.age)) before" }
    axis(words.joined(separator: "; "), to: &page) { svg in
      if possible < certain {
        svg.add(
          .rect,
          [
            .style("maybe \(style)"), .share(.x, possible), .init(.y, "5"), .share(.width, certain - possible),
            .init(.height, "12"),
          ])
      }
      svg.add(
        .rect,
        [
          .style("sure \(style)"), .share(.x, certain), .init(.y, "5"), .share(.width, max(1 - certain, 0.004)),
          .init(.height, "12"),
        ])
      for event in events {
        let x = place(event.age)
        let shape: [Markup.Attribute] = [.share(.cx, x), .init(.cy, "11"), .init(.r, event.isIncoming ? "5" : "3.5")]
        svg.add(.circle, [.style(event.isIncoming ? "in" : "out")] + shape) { $0.add(.title, [], event.word) }
      }
    }
  }
}
