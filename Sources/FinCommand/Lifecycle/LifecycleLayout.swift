import Fin

/// The positions of everything in the drawing of the lifecycle, chosen by hand.
enum LifecycleLayout {
  struct Point: Hashable {
    var x: Double
    var y: Double
    init(_ x: Double, _ y: Double) {
      self.x = x
      self.y = y
    }
  }

  struct Box: Hashable {
    var left, top, right, bottom: Double
    func overlaps(_ other: Box) -> Bool {
      left < other.right && other.left < right && top < other.bottom && other.top < bottom
    }
  }

  /// The course of an arrow and the position of its label.
  struct Route {
    enum Side { case left, middle, right }
    let points: [Point]
    let label: Point
    let side: Side
    /// Whether each word of the label has a line of its own.
    let isNarrow: Bool
    init(_ points: [Point], label: Point, _ side: Side = .right, isNarrow: Bool = false) {
      self.points = points
      self.label = label
      self.side = side
      self.isNarrow = isNarrow
    }
  }

  static let width = 1156.0
  static let height = 905.0

  static let columns: [Double] = [112, 277, 452, 642, 866, 1070]
  static let rows: [Double] = [74, 186, 306, 456, 588]
  /// Half the width and height of a phase's box.
  static let halfWidth = 64.0
  static let halfHeight = 22.0
  /// The phase closed: a bar along the bottom, where all paths end.
  static let bar = Box(left: 20, top: 704, right: 1136, bottom: 766)

  /// The column and row of each phase.
  static let places: [Phase: (column: Int, row: Int)] = [
    .fresh: (1, 0), .bound: (0, 0),
    .connecting: (1, 1),
    .listening: (0, 1), .paused: (0, 2), .stopping: (0, 3),
    .connected: (3, 1), .peerFinished: (4, 1),
    .sendFinished: (3, 2), .bothFinished: (4, 2),
    .failed: (5, 2),
    .lingering: (2, 3), .confirming: (3, 3), .confirmingLast: (4, 3),
    .lingeringAcknowledged: (2, 4),
    .closed: (3, 5),
  ]

  /// The margins around the phases of a frame: left, top, right, bottom.
  static let margins: [LifecycleDiagram.Frame: (Double, Double, Double, Double)] = [
    .notConnected: (34, 34, 13, 18),
    .conversation: (28, 64, 28, 28),
    .peerSends: (14, 34, 14, 14),
    .peerHasFinished: (14, 34, 14, 14),
    .closing: (20, 62, 46, 18),
    .unacknowledged: (11, 34, 14, 46),
  ]

  static func center(of phase: Phase) -> Point? {
    guard let place = places[phase] else { return nil }
    if phase == .closed { return Point((bar.left + bar.right) / 2, (bar.top + bar.bottom) / 2) }
    return Point(columns[place.column], rows[place.row])
  }

  static func box(of phase: Phase) -> Box? {
    if phase == .closed { return bar }
    return center(of: phase).map {
      Box(left: $0.x - halfWidth, top: $0.y - halfHeight, right: $0.x + halfWidth, bottom: $0.y + halfHeight)
    }
  }

  static func box(of frame: LifecycleDiagram.Frame) -> Box? {
    let boxes = frame.phases.compactMap { box(of: $0) }
    guard boxes.count == frame.phases.count, let margin = margins[frame] else { return nil }
    return Box(
      left: boxes.map(\.left).min()! - margin.0, top: boxes.map(\.top).min()! - margin.1,
      right: boxes.map(\.right).max()! + margin.2, bottom: boxes.map(\.bottom).max()! + margin.3)
  }

  static func box(of place: LifecycleDiagram.Place) -> Box? {
    switch place {
    case .phase(let phase): box(of: phase)
    case .frame(let frame): box(of: frame)
    }
  }

  /// The position of a frame's name: the top left corner, unless an arrow enters there.
  static func title(of frame: LifecycleDiagram.Frame) -> Point? {
    guard let box = box(of: frame) else { return nil }
    let left = frame == .unacknowledged ? columns[3] + 10 : box.left + 12
    return Point(left, box.top + 19)
  }

  /// The key of an arrow in `routes`.
  static func key(of arrow: LifecycleDiagram.Arrow) -> String {
    "\(arrow.from) → \(arrow.to.name)" + (arrow.outcome.map { ": \($0)" } ?? "")
  }

  /// Returns the course of an arrow; a straight line if `routes` has none.
  static func route(of arrow: LifecycleDiagram.Arrow) -> Route? {
    if let route = routes[key(of: arrow)] { return route }
    guard let from = box(of: arrow.from), let to = box(of: arrow.to) else { return nil }
    let start = Point((from.left + from.right) / 2, from.bottom)
    let end = Point(min(max(start.x, to.left), to.right), to.top)
    return Route([start, end], label: Point((start.x + end.x) / 2 + 8, (start.y + end.y) / 2))
  }

  static let routes: [String: Route] = {
    let (c, r, w, h) = (columns, rows, halfWidth, halfHeight)
    let floor = bar.top
    func down(_ x: Double, from y: Double, label: Double = floor - 34, _ side: Route.Side = .right) -> Route {
      Route([Point(x, y), Point(x, floor)], label: Point(side == .left ? x - 8 : x + 8, label), side)
    }
    let conversation = box(of: .frame(.conversation))!
    let sends = box(of: .frame(.peerSends))!
    let unacknowledged = box(of: .frame(.unacknowledged))!
    let closing = box(of: .frame(.closing))!
    return [
      // Opening.
      "fresh → bound": Route(
        [Point(c[1] - w, r[0]), Point(c[0] + w, r[0])], label: Point((c[0] + c[1]) / 2, r[0] - 9), .middle),
      "fresh → connecting": Route(
        [Point(c[1] + 10, r[0] + h), Point(c[1] + 10, r[1] - h)], label: Point(c[1] + 18, (r[0] + r[1]) / 2 + 4)),
      "bound → connecting": Route(
        [
          Point(c[0] + 30, r[0] + h), Point(c[0] + 30, r[0] + 56), Point(c[1] - 34, r[0] + 56),
          Point(c[1] - 34, r[1] - h),
        ],
        label: Point((c[0] + c[1]) / 2, r[0] + 49), .middle),
      "fresh → connected": Route(
        [
          Point(c[1] + w, r[0]), Point(c[2] - 52, r[0]), Point(c[2] - 52, r[1]), Point(c[3] - w, r[1]),
        ], label: Point(c[2] - 8, r[1] - 10), .middle),
      "connecting → connected": Route(
        [Point(c[1] + w, r[1]), Point(c[3] - w, r[1])], label: Point(c[2] - 8, r[1] - 10), .middle),
      "connecting → closed: failure": down(c[1] - 36, from: r[1] + h, label: 540, .left),
      "connecting → closed: timedOut": down(c[1] + 36, from: r[1] + h, label: 540, .left),

      // Listening.
      "bound → listening": Route(
        [Point(c[0] - 20, r[0] + h), Point(c[0] - 20, r[1] - h)],
        label: Point(c[0] - 28, (r[0] + r[1]) / 2 + 4), .left),
      "listening → paused": Route(
        [Point(c[0] - 20, r[1] + h), Point(c[0] - 20, r[2] - h)], label: Point(c[0] - 12, r[1] + 52)),
      "paused → listening": Route(
        [Point(c[0] + 30, r[2] - h), Point(c[0] + 30, r[1] + h)], label: Point(c[0] + 38, r[1] + 76)),
      "listening → stopping": Route(
        [
          Point(c[0] - w, r[1]), Point(c[0] - w - 18, r[1]), Point(c[0] - w - 18, r[3]), Point(c[0] - w, r[3]),
        ], label: Point(c[0] - w - 10, r[2] + 78)),
      "paused → stopping": Route(
        [Point(c[0], r[2] + h), Point(c[0], r[3] - h)], label: Point(c[0] + 8, r[2] + 78)),
      "stopping → closed: released": down(c[0], from: r[3] + h, label: 596),

      // Conversation.
      "connected → sendFinished": Route(
        [Point(c[3], r[1] + h), Point(c[3], r[2] - h)], label: Point(c[3] + 8, (r[1] + r[2]) / 2 + 4), isNarrow: true),
      "peerFinished → bothFinished": Route(
        [Point(c[4], r[1] + h), Point(c[4], r[2] - h)], label: Point(c[4] + 8, (r[1] + r[2]) / 2 + 4), isNarrow: true),
      "connected → peerFinished": Route(
        [Point(c[3] + w, r[1]), Point(c[4] - w, r[1])], label: Point((c[3] + c[4]) / 2, r[1] - 10), .middle),
      "sendFinished → bothFinished": Route(
        [Point(c[3] + w, r[2]), Point(c[4] - w, r[2])], label: Point((c[3] + c[4]) / 2, r[2] - 10), .middle),
      "conversation → failed": Route(
        [Point(conversation.right, r[2]), Point(c[5] - w, r[2])],
        label: Point((conversation.right + c[5] - w) / 2, r[2] - 10), .middle),
      "failed → closed: failure": down(c[5], from: r[2] + h, label: 540),

      // Closing.
      "peerSends → lingering": Route(
        [Point(sends.left, r[2]), Point(c[2], r[2]), Point(c[2], r[3] - h)], label: Point(c[2] + 8, r[2] + 70)),
      "peerSends → confirming": Route(
        [Point(c[3], sends.bottom), Point(c[3], r[3] - h)], label: Point(c[3] + 8, r[2] + 70)),
      "peerHasFinished → confirmingLast": Route(
        [Point(c[4], sends.bottom), Point(c[4], r[3] - h)], label: Point(c[4] + 8, r[2] + 70)),
      "lingering → lingeringAcknowledged": Route(
        [Point(c[2], r[3] + h), Point(c[2], r[4] - h)], label: Point(c[2] + 8, r[4] - 32)),
      "lingering → confirmingLast": Route(
        [
          Point(c[2] + 36, r[3] + h), Point(c[2] + 36, r[3] + h + 22), Point(c[4] - 24, r[3] + h + 22),
          Point(c[4] - 24, r[3] + h),
        ], label: Point(c[2] + 62, r[3] + h + 14)),
      "confirming → confirmingLast": Route(
        [Point(c[3] + w, r[3]), Point(c[4] - w, r[3])], label: Point((c[3] + c[4]) / 2, r[3] - 9), .middle),
      "confirming → closed: acknowledged": down(c[3], from: r[3] + h),
      "confirmingLast → closed: peerFinished": down(c[4], from: r[3] + h, label: r[4]),
      "lingeringAcknowledged → closed: peerFinished": down(c[2] - 48, from: r[4] + h),
      "lingeringAcknowledged → closed: acknowledged": down(c[2] + 48, from: r[4] + h),
      "unacknowledged → closed: timedOut": down((c[3] + c[4]) / 2, from: unacknowledged.bottom),
      "closing → closed: failure": down(closing.right - 26, from: closing.bottom),
    ]
  }()
}
