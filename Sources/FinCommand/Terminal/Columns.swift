/// A table with headings. A column is as wide as its widest cell; columns that allow it are narrowed until a line fits.
struct Columns {
  struct Column {
    var heading: String
    /// Whether the column is right-aligned.
    var isNumber = false
    /// The smallest width of the column; nil if it is not narrowed. A cell that is too long is cut in its middle.
    var least: Int?
  }

  let columns: [Column]
  private var rows: [[String]] = []

  init(_ columns: [Column]) { self.columns = columns }

  mutating func append(_ cells: [String]) { rows.append(cells) }

  /// The line of headings, and a line for each row.
  func lines(width: Int) -> [String] {
    let all = [columns.map(\.heading)] + rows
    let widths = ColumnWidths.fitted(
      columns.indices.map { column in all.map { $0[column].unicodeScalars.count }.max() ?? 0 },
      least: columns.map(\.least), gap: 2, to: width)
    return all.map { cells in
      var line = ""
      for column in columns.indices {
        let cell = Self.cut(cells[column], to: widths[column])
        let gap = String(repeating: " ", count: widths[column] - cell.unicodeScalars.count)
        line += columns[column].isNumber ? gap + cell : column == columns.count - 1 ? cell : cell + gap
        if column < columns.count - 1 { line += "  " }
      }
      return line
    }
  }

  private static func cut(_ cell: String, to width: Int) -> String {
    let scalars = cell.unicodeScalars
    guard scalars.count > width else { return cell }
    let tail = (width - 1) / 2
    return String(String.UnicodeScalarView(scalars.prefix(width - 1 - tail))) + "…"
      + String(String.UnicodeScalarView(scalars.suffix(tail)))
  }
}
