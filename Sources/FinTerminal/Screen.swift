/// A grid of cells, as a terminal shows it. It is a value: drawing changes it, and ``ScreenChange`` writes the
/// difference between two of them.
///
/// No character that a terminal would act on gets into a cell, whatever text is put.
package struct Screen: Hashable, Sendable {
  /// The look of a cell.
  package struct Style: Hashable, Sendable {
    /// The colour of the text, one of the terminal's sixteen; nil for its usual one.
    package var colour: Colour?
    package var isBold = false
    package var isQuiet = false
    package var isReversed = false

    package init(_ colour: Colour? = nil, isBold: Bool = false, isQuiet: Bool = false, isReversed: Bool = false) {
      self.colour = colour
      self.isBold = isBold
      self.isQuiet = isQuiet
      self.isReversed = isReversed
    }

    package static let plain = Style()
    package static let heading = Style(isBold: true)
    package static let quiet = Style(isQuiet: true)
    package static let bad = Style(.red, isBold: true)
    package static let trap = Style(.yellow)
    package static let good = Style(.green)
    package static let fin = Style(.cyan)

    /// The same with text and background exchanged, as a chosen line is shown.
    package var reversed: Style {
      var style = self
      (style.isReversed, style.isQuiet) = (true, false)
      return style
    }
  }

  /// Eight of the sixteen colours, by their numbers in the control sequences (ECMA-48, SGR).
  package enum Colour: UInt8, Sendable { case red = 31, green, yellow, blue, magenta, cyan, white }

  /// One place of the grid.
  package struct Cell: Hashable, Sendable {
    /// The character; a space for an empty cell, and nothing for the right half of a wide character.
    package var text = " "
    package var style = Style.plain

    package init() {}

    /// Whether it is the right half of the wide character to the left.
    package var isRightHalf: Bool { text.isEmpty }
  }

  package let columns: Int
  package let rows: Int
  package private(set) var cells: [Cell]

  /// Creates an empty screen. A side below 1 is taken for 1, and one above 1,000 for 1,000.
  package init(columns: Int, rows: Int) {
    self.columns = min(max(columns, 1), 1000)
    self.rows = min(max(rows, 1), 1000)
    cells = Array(repeating: Cell(), count: self.columns * self.rows)
  }

  package subscript(row: Int, column: Int) -> Cell { cells[row * columns + column] }

  /// The most marks that one character may carry: a name may have thousands.
  private static let mostMarks = 2

  /// Puts a text into a row. What does not fit between `column` and `end` is left out, with `…` in its place.
  /// - Parameters:
  ///   - text: Any text. A character that a terminal would act on is shown as `?`.
  ///   - row: The row, from 0; outside of the screen, nothing is put.
  ///   - column: The first column.
  ///   - end: The column behind the last; nil for the end of the row.
  /// - Returns: The column behind the text.
  @discardableResult
  package mutating func put(
    _ text: some StringProtocol, _ row: Int, _ column: Int, to end: Int? = nil, _ style: Style = .plain
  ) -> Int {
    let end = min(end ?? columns, columns)
    guard (0..<rows).contains(row), column >= 0, column < end else { return column }
    let isCut = CellWidth.columns(of: text) > end - column
    let last = isCut ? end - 1 : end
    var place = column
    var marks = 0
    var previous: Int?
    for scalar in text.unicodeScalars {
      let shown = Self.isSafe(scalar) ? scalar : "?"
      let width = CellWidth.columns(of: shown)
      if width == 0 {
        if let previous, marks < Self.mostMarks {
          cells[row * columns + previous].text.unicodeScalars.append(shown)
          marks += 1
        }
        continue
      }
      if place + width > last { break }
      set(String(shown), row, place, style)
      if width == 2 { setRightHalf(row, place + 1, style) }
      (previous, marks) = (place, 0)
      place += width
    }
    if isCut {
      while place < last {
        set(" ", row, place, style)
        place += 1
      }
      set("…", row, place, style)
      place += 1
    }
    return place
  }

  /// Puts a text so that it ends before a column.
  package mutating func put(
    _ text: some StringProtocol, _ row: Int, endingAt end: Int, from start: Int = 0, _ style: Style = .plain
  ) {
    put(text, row, max(start, end - CellWidth.columns(of: text)), to: end, style)
  }

  /// Gives a part of a row this style, and leaves its text.
  package mutating func restyle(_ row: Int, _ range: Range<Int>, _ change: (Style) -> Style) {
    guard (0..<rows).contains(row) else { return }
    for column in range.clamped(to: 0..<columns) {
      cells[row * columns + column].style = change(cells[row * columns + column].style)
    }
  }

  private mutating func set(_ text: String, _ row: Int, _ column: Int, _ style: Style) {
    let place = row * columns + column
    // Half of a wide character cannot stay.
    if cells[place].isRightHalf, column > 0 { cells[place - 1].text = " " }
    if column + 1 < columns, cells[place + 1].isRightHalf { cells[place + 1].text = " " }
    cells[place].text = text
    cells[place].style = style
  }

  private mutating func setRightHalf(_ row: Int, _ column: Int, _ style: Style) {
    let place = row * columns + column
    if column + 1 < columns, cells[place + 1].isRightHalf { cells[place + 1].text = " " }
    cells[place].text = ""
    cells[place].style = style
  }

  /// Whether a terminal shows the character and does nothing else with it.
  private static func isSafe(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII { return scalar.value >= 0x20 && scalar.value != 0x7f }
    switch scalar.properties.generalCategory {
    case .control, .format, .lineSeparator, .paragraphSeparator, .surrogate, .privateUse, .unassigned: return false
    default: return true
    }
  }

  /// The text of each row, without spaces at its end.
  package var lines: [String] {
    (0..<rows).map { row in
      Terminal.trimmed(cells[row * columns..<(row + 1) * columns].map(\.text).joined())
    }
  }
}
