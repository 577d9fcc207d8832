import Fin

/// The lifecycle's diagram as SVG, for light and dark mode.
struct LifecycleDrawing {
  typealias Layout = LifecycleLayout
  let diagram = LifecycleDiagram()

  /// A line of text and its position.
  struct Word {
    let text: String
    let point: Layout.Point
    let anchor: String
    let style: String
    let size: Double

    /// The approximate area that the text covers in a wide font.
    var box: Layout.Box {
      let width = Double(text.count) * size * 0.55
      let left = anchor == "middle" ? point.x - width / 2 : anchor == "end" ? point.x - width : point.x
      return Layout.Box(left: left, top: point.y - size * 0.8, right: left + width, bottom: point.y + size * 0.25)
    }
  }

  /// The labels of the arrows, the endings in the bar and the names of the frames; each once.
  var words: [Word] {
    var words: [Word] = []
    func add(_ word: Word) {
      if !words.contains(where: { $0.text == word.text && $0.point == word.point }) { words.append(word) }
    }
    for frame in LifecycleDiagram.Frame.allCases {
      guard let point = Layout.title(of: frame) else { continue }
      add(Word(text: frame.rawValue, point: point, anchor: "start", style: "title", size: 12.5))
    }
    for arrow in diagram.arrows {
      guard let route = Layout.route(of: arrow) else { continue }
      var lines = LifecycleDiagram.words(for: arrow.events)
      if route.isNarrow {
        lines = lines.flatMap { line in line.text.split(separator: " ").map { (text: String($0), kind: line.kind) } }
      }
      for (index, line) in lines.enumerated() {
        let y = route.label.y + 16 * (Double(index) - Double(lines.count - 1) / 2)
        let anchor =
          switch route.side {
          case .left: "end"
          case .middle: "middle"
          case .right: "start"
          }
        add(
          Word(
            text: line.text, point: .init(route.label.x, y), anchor: anchor, style: Self.style(of: line.kind),
            size: 13))
      }
      if let outcome = arrow.outcome, let end = route.points.last {
        add(Word(text: outcome.words, point: .init(end.x, end.y + 20), anchor: "middle", style: "ending", size: 13))
      }
    }
    return words
  }

  private static func style(of kind: Lifecycle.Event.Kind) -> String {
    switch kind {
    case .call: "call"
    case .fact: "fact"
    case .time: "time"
    }
  }

  func svg() -> String {
    var svg = """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(n(Layout.width)) \(n(Layout.height))" role="img" \
      aria-label="The life of a socket in Fin: its phases and what leads from one to the next">
      <!-- Drawn by the command fin lifecycle from the table that the library runs on. -->
      <style>
      \(Self.sheet)
      </style>
      <defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" \
      orient="auto-start-reverse"><path class="tip" d="M0 1 L10 5 L0 9 Z"/></marker></defs>
      <rect class="page" x="0.5" y="0.5" width="\(n(Layout.width - 1))" height="\(n(Layout.height - 1))" rx="12"/>

      """
    for frame in LifecycleDiagram.Frame.allCases {
      guard let box = Layout.box(of: frame) else { continue }
      svg += rect(box, radius: 12, "frame \(frame)")
    }
    svg += rect(Layout.bar, radius: 10, "bar")
    // The arrows lie above the frames and below the phases.
    for arrow in diagram.arrows {
      guard let route = Layout.route(of: arrow) else { continue }
      svg += "<path class=\"line\" marker-end=\"url(#tip)\" d=\"\(path(route.points))\"/>\n"
    }
    for phase in Phase.allCases where phase != .closed {
      guard let box = Layout.box(of: phase), let center = Layout.center(of: phase) else { continue }
      svg += rect(box, radius: 9, "phase \(phase == .failed ? "bad" : "")")
      let lines = phase.description.split(separator: ", ").map(String.init)
      for (index, line) in lines.enumerated() {
        let text = index + 1 < lines.count ? line + "," : line
        let y = center.y + 5 + 17 * (Double(index) - Double(lines.count - 1) / 2)
        svg += write(Word(text: text, point: .init(center.x, y), anchor: "middle", style: "name", size: 14))
      }
    }
    if let center = Layout.center(of: .closed) {
      svg += write(
        Word(
          text: Phase.closed.description, point: .init(center.x, Layout.bar.bottom - 13), anchor: "middle",
          style: "name", size: 16))
    }
    for word in words { svg += write(word) }
    for word in legend { svg += write(word) }
    return svg + "</svg>\n"
  }

  /// The text below the bar: the meaning of the colours, and the rows that are not drawn.
  private var legend: [Word] {
    var words: [Word] = []
    let keys: [(String, Lifecycle.Event.Kind)] = [
      ("a call of ours", .call), ("what the kernel reports", .fact), ("a deadline of ours", .time),
    ]
    for (index, key) in keys.enumerated() {
      words.append(
        Word(
          text: key.0, point: .init(Layout.bar.right - 12, Layout.bar.bottom + 32 + 19 * Double(index)), anchor: "end",
          style: Self.style(of: key.1), size: 13))
    }
    words.append(
      Word(
        text: "in the bar: how it ended",
        point: .init(Layout.bar.right - 12, Layout.bar.bottom + 32 + 19 * Double(keys.count)), anchor: "end",
        style: "ending", size: 13))
    for (index, line) in diagram.caption.enumerated() {
      words.append(
        Word(
          text: line, point: .init(Layout.bar.left + 12, Layout.bar.bottom + 32 + 19 * Double(index)), anchor: "start",
          style: index == 0 ? "title" : "note", size: 13))
    }
    return words
  }

  // MARK: Writing

  private func write(_ word: Word) -> String {
    "<text class=\"\(word.style)\" x=\"\(n(word.point.x))\" y=\"\(n(word.point.y))\" text-anchor=\"\(word.anchor)\" "
      + "font-size=\"\(n(word.size))\">\(word.text)</text>\n"
  }

  private func rect(_ box: Layout.Box, radius: Double, _ style: String) -> String {
    "<rect class=\"\(style)\" x=\"\(n(box.left))\" y=\"\(n(box.top))\" width=\"\(n(box.right - box.left))\" "
      + "height=\"\(n(box.bottom - box.top))\" rx=\"\(n(radius))\"/>\n"
  }

  /// Returns the SVG path of a line with rounded corners.
  private func path(_ points: [Layout.Point]) -> String {
    var path = "M\(n(points[0].x)) \(n(points[0].y))"
    for (index, point) in points.enumerated().dropFirst() {
      guard index + 1 < points.count else {
        path += " L\(n(point.x)) \(n(point.y))"
        break
      }
      let before = toward(points[index - 1], from: point)
      let after = toward(points[index + 1], from: point)
      path += " L\(n(before.x)) \(n(before.y)) Q\(n(point.x)) \(n(point.y)) \(n(after.x)) \(n(after.y))"
    }
    return path
  }

  private func toward(_ other: Layout.Point, from point: Layout.Point) -> Layout.Point {
    let (dx, dy) = (other.x - point.x, other.y - point.y)
    let length = (dx * dx + dy * dy).squareRoot()
    let radius = min(9, length / 2)
    return .init(point.x + dx / length * radius, point.y + dy / length * radius)
  }

  /// Formats a number with at most one decimal.
  private func n(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return tenths % 10 == 0 ? "\(tenths / 10)" : "\(Double(tenths) / 10)"
  }

  private static let sheet = """
    text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }
    .page { fill: #ffffff; stroke: #d8dee6; }
    .frame { fill: #f3f6fa; stroke: #d3dce6; }
    .conversation { fill: #eef7f1; stroke: #c6e2d0; }
    .peerSends, .peerHasFinished { fill: #e0f1e6; stroke: #c6e2d0; }
    .closing { fill: #fdf5ea; stroke: #f0dcc0; }
    .unacknowledged { fill: #f9ebd6; stroke: #f0dcc0; }
    .phase { fill: #ffffff; stroke: #52606d; stroke-width: 1.4; }
    .bad { stroke: #b4232c; }
    .bar { fill: #e4e9ef; stroke: #52606d; stroke-width: 1.4; }
    .line { fill: none; stroke: #6b7785; stroke-width: 1.5; }
    .tip { fill: #6b7785; }
    .name { fill: #1b2430; font-weight: 600; }
    .title, .note { fill: #52606d; }
    .title { font-style: italic; }
    .call { fill: #1b2430; }
    .fact { fill: #0a5fa8; }
    .time { fill: #a8500a; }
    .ending { fill: #6b2f8f; }
    @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117; stroke: #2b333d; }
    .frame { fill: #141b24; stroke: #2a3542; }
    .conversation { fill: #0f1f19; stroke: #234034; }
    .peerSends, .peerHasFinished { fill: #142b21; stroke: #234034; }
    .closing { fill: #211a10; stroke: #453520; }
    .unacknowledged { fill: #2d2314; stroke: #453520; }
    .phase { fill: #0d1117; stroke: #9aa7b5; }
    .bad { stroke: #f4727a; }
    .bar { fill: #222b36; stroke: #9aa7b5; }
    .line { stroke: #8b98a6; }
    .tip { fill: #8b98a6; }
    .name, .call { fill: #e6edf3; }
    .title, .note { fill: #a4b0bd; }
    .fact { fill: #74b9ff; }
    .time { fill: #f3a65c; }
    .ending { fill: #d3a4f5; }
    }
    """
}
