import FinDoctor
import FinTerminal

/// Phrases that the texts of several commands share.
enum Phrase {
  /// `12,400`, `12`, `3.2`, `0.25`, `0`
  static func rate(_ perSecond: Double) -> String {
    guard perSecond.isFinite, perSecond > 0 else { return "0" }
    if perSecond >= 10 { return number(Int(min(perSecond, 1e12).rounded())) }
    let digits = perSecond >= 1 ? 10 : 100
    let scaled = Int((perSecond * Double(digits)).rounded())
    if scaled == 0 { return "less than 0.01" }
    if scaled % digits == 0 { return "\(scaled / digits)" }
    let fraction = String(scaled % digits)
    let zeros = String(repeating: "0", count: (digits == 10 ? 1 : 2) - fraction.count)
    return "\(scaled / digits).\(zeros)\(fraction)"
  }

  /// `28,232`
  static func number(_ value: Int) -> String { NumberText.number(value) }

  /// `1 client`, `3 clients`
  static func noun(_ count: Int, _ one: String, _ many: String? = nil) -> String {
    NumberText.noun(count, one, many)
  }

  /// `0.4 ms`, `1.25 s`, `61 s`
  static func time(_ nanoseconds: Int64) -> String {
    let milliseconds = Double(max(0, nanoseconds)) / 1_000_000
    if milliseconds < 1000 { return "\(decimal(milliseconds, digits: 1)) ms" }
    return "\(decimal(milliseconds / 1000, digits: milliseconds < 60_000 ? 2 : 0)) s"
  }

  /// `512 bytes`, `1.5 MiB`, `12 GiB`
  static func size(_ bytes: Double) -> String {
    var value = min(max(0, bytes), 1e18)
    if value < 1024 { return noun(Int(value), "byte") }
    for unit in ["KiB", "MiB", "GiB"] {
      value /= 1024
      if value < 1024 || unit == "GiB" { return "\(decimal(value, digits: value < 10 ? 1 : 0)) \(unit)" }
    }
    return ""
  }

  /// The number rounded to a number of digits after the point, without zeros at the end.
  private static func decimal(_ value: Double, digits: Int) -> String {
    let scale = digits == 0 ? 1 : digits == 1 ? 10 : 100
    let rounded = Int((value * Double(scale)).rounded())
    if rounded % scale == 0 { return number(rounded / scale) }
    var fraction = String(rounded % scale)
    fraction = String(repeating: "0", count: digits - fraction.count) + fraction
    while fraction.hasSuffix("0") { fraction.removeLast() }
    return "\(number(rounded / scale)).\(fraction)"
  }

  /// The text in place of a program's name if the process ended between the reading of its descriptors and of its name.
  static let ended = "(ended)"

  /// `nginx[812]`; `(ended)[812]` for a process that ended during the census.
  static func program(_ pid: Int32, in census: Census) -> String {
    pid == 0 ? "unknown" : "\(census.programs[pid]?.name ?? ended)[\(pid)]"
  }

  /// Returns lines with a margin that are no wider than the terminal; a word that is too long is broken.
  static func lines(_ label: String, _ text: String, margin: Int = 2, labelWidth: Int = 10, on terminal: Terminal)
    -> [String]
  {
    let room = terminal.width - margin - labelWidth
    let pieces = Terminal.wrap(text, to: room).flatMap { line -> [String] in
      var pieces: [String] = []
      var rest = line[...]
      while rest.count > room {
        pieces.append(String(rest.prefix(room)))
        rest = rest.dropFirst(room)
      }
      return pieces + [String(rest)]
    }
    let blank = String(repeating: " ", count: labelWidth)
    return pieces.enumerated().map { place, piece in
      String(repeating: " ", count: margin)
        + (place == 0 ? terminal.ink(.quiet, Terminal.pad(label, to: labelWidth)) : blank) + piece
    }
  }
}
