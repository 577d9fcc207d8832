/// The colours of a page, for light and for dark mode.
struct ReportPalette {
  var page: UInt32
  var card: UInt32
  var ink: UInt32
  var quiet: UInt32
  var line: UInt32
  var link: UInt32
  var critical: UInt32
  var warning: UInt32
  var info: UInt32
  var good: UInt32
  var criticalFill: UInt32
  var warningFill: UInt32
  var infoFill: UInt32
  /// The parts of a bar.
  var one: UInt32
  var two: UInt32
  var three: UInt32

  static let light = ReportPalette(
    page: 0xf4f6f8, card: 0xffffff, ink: 0x1a2230, quiet: 0x525d6d, line: 0xd3d9e1, link: 0x0a55ab,
    critical: 0xb01228, warning: 0x855000, info: 0x2a5a87, good: 0x1a6838, criticalFill: 0xfde9eb,
    warningFill: 0xfff2d9, infoFill: 0xe8f1fa, one: 0x2f6fb3, two: 0x7d6bb5, three: 0x5f6b7a)

  static let dark = ReportPalette(
    page: 0x11151b, card: 0x1a2029, ink: 0xe7ebf1, quiet: 0xa7b1bf, line: 0x3a4453, link: 0x8ab9ff,
    critical: 0xff9aa6, warning: 0xffc86f, info: 0x9fc9f2, good: 0x82d8a3, criticalFill: 0x40181f,
    warningFill: 0x3a2a0e, infoFill: 0x182c41, one: 0x5c9fe6, two: 0xb7a3f0, three: 0x99a4b3)

  /// Pairs of a colour of text and one behind it.
  var textPairs: [(front: UInt32, back: UInt32)] {
    let plain = [ink, quiet, link].flatMap { [($0, page), ($0, card)] }
    let signs = [critical, warning, info, good].flatMap { [($0, card), ($0, page)] }
    let fills = [(criticalFill, critical), (warningFill, warning), (infoFill, info)].flatMap { fill, sign in
      [(ink, fill), (quiet, fill), (link, fill), (sign, fill)]
    }
    return plain + signs + fills
  }

  /// Pairs of a colour of a shape and one behind it.
  var shapePairs: [(front: UInt32, back: UInt32)] {
    [one, two, three, critical, warning, info].flatMap { [($0, card), ($0, page)] }
  }

  /// The variables of the style sheet.
  var variables: Markup.Constant {
    let all: [(Markup.Constant, UInt32)] = [
      ("page", page), ("card", card), ("ink", ink), ("quiet", quiet), ("line", line), ("link", link),
      ("critical", critical), ("warning", warning), ("info", info), ("good", good), ("criticalFill", criticalFill),
      ("warningFill", warningFill), ("infoFill", infoFill), ("one", one), ("two", two), ("three", three),
    ]
    return all.reduce(Markup.Constant("")) { text, entry in
      text + "--" + entry.0 + ":" + Markup.Constant(colour: entry.1) + ";"
    }
  }
}
