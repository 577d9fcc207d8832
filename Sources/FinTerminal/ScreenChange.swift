/// The control sequences that change what a terminal shows from one screen to another (ECMA-48).
package enum ScreenChange {
  /// Takes over the terminal: another buffer than that of the shell, no cursor, no wrapping at the right edge.
  package static let beginning = "\u{1B}[?1049h\u{1B}[?25l\u{1B}[?7l\u{1B}[0m\u{1B}[2J"
  /// Gives the terminal back as it was, with what the shell had written on it.
  package static let end = "\u{1B}[0m\u{1B}[?2026l\u{1B}[?7h\u{1B}[?25h\u{1B}[?1049l"

  /// Returns the bytes that turn the first screen into the second one; none if they are equal.
  /// - Parameters:
  ///   - before: The screen that the terminal shows; nil if that is not known, and everything is written.
  ///   - after: The screen that it shall show.
  ///   - hasColour: Whether colours are used. Bold, faint and reversed text is used in any case.
  package static func bytes(from before: Screen?, to after: Screen, hasColour: Bool) -> [UInt8] {
    let known = before.flatMap { $0.columns == after.columns && $0.rows == after.rows ? $0 : nil }
    if known == after { return [] }
    // A terminal that knows mode 2026 shows all of it at once; the others ignore it.
    var text = "\u{1B}[?2026h"
    if known == nil { text += "\u{1B}[0m\u{1B}[2J" }
    var style = Screen.Style.plain
    // The place of the cursor; nil after a character whose width terminals disagree about.
    var cursor: (row: Int, column: Int)?
    if known != nil { text += "\u{1B}[0m" }
    for row in 0..<after.rows {
      for column in 0..<after.columns {
        let cell = after[row, column]
        if let known, known[row, column] == cell { continue }
        if known == nil, cell == Screen.Cell() { continue }
        // It is written with its left half, which has changed too.
        if cell.isRightHalf { continue }
        if cursor?.row != row || cursor?.column != column { text += "\u{1B}[\(row + 1);\(column + 1)H" }
        if cell.style != style {
          text += sequence(cell.style, hasColour: hasColour)
          style = cell.style
        }
        text += cell.text
        let isCertain = cell.text.unicodeScalars.count == 1 && cell.text.unicodeScalars.allSatisfy(CellWidth.isCertain)
        // Behind the last column, a terminal waits with the cursor where it is.
        cursor = isCertain && column + 1 < after.columns ? (row, column + 1) : nil
      }
    }
    text += "\u{1B}[0m\u{1B}[?2026l"
    return Array(text.utf8)
  }

  /// Selects a style, whatever style there was before.
  private static func sequence(_ style: Screen.Style, hasColour: Bool) -> String {
    var codes = ["0"]
    if style.isBold { codes.append("1") }
    if style.isQuiet { codes.append("2") }
    if style.isReversed { codes.append("7") }
    if let colour = style.colour, hasColour { codes.append("\(colour.rawValue)") }
    return "\u{1B}[\(codes.joined(separator: ";"))m"
  }
}
