/// A terminal of the tests: what it shows after it has received bytes. It knows the control sequences that `fin watch`
/// may send, and keeps every other one as a surprise.
struct TestTerminal {
  struct Cell: Equatable {
    var text = " "
    var codes: Set<Int> = []
  }

  let columns: Int
  let rows: Int
  private(set) var cells: [[Cell]]
  /// The private modes that are set: 1049 is the other buffer, 25 the cursor, 7 wrapping, 2026 waiting for the end.
  private(set) var modes: Set<Int> = [25, 7]
  /// Sequences that it does not know, and control characters.
  private(set) var surprises: [String] = []
  private var (row, column) = (0, 0)
  private var codes: Set<Int> = []
  private var pending: [Unicode.Scalar] = []
  /// The place of the last character, which marks join.
  private var last: (row: Int, column: Int)?
  /// The shell's buffer, and its cursor.
  private var kept: (cells: [[Cell]], row: Int, column: Int)?

  /// The wide characters that the tests use.
  static let wide: Set<Unicode.Scalar> = ["世", "界", "接", "続", "😀", "한"]

  init(columns: Int, rows: Int) {
    (self.columns, self.rows) = (columns, rows)
    cells = Array(repeating: Array(repeating: Cell(), count: columns), count: rows)
  }

  /// The text of each row, without spaces at its end.
  var lines: [String] {
    cells.map { row in
      var text = row.map(\.text).joined()
      while text.last == " " { text.removeLast() }
      return text
    }
  }

  mutating func receive(_ bytes: some Sequence<UInt8>) {
    for scalar in String(decoding: Array(bytes), as: UTF8.self).unicodeScalars { receive(scalar) }
  }

  private mutating func receive(_ scalar: Unicode.Scalar) {
    if !pending.isEmpty {
      pending.append(scalar)
      if pending.count == 2 {
        if scalar != "[" { surprise() }
      } else if scalar.value >= 0x40 {
        obey(String(String.UnicodeScalarView(pending.dropFirst(2).dropLast())), scalar)
      }
      return
    }
    if scalar == "\u{1B}" { return pending = [scalar] }
    // The shell's lines; a picture has none.
    if scalar == "\r", !modes.contains(1049) { return column = 0 }
    if scalar == "\n", !modes.contains(1049) { return row = min(row + 1, rows - 1) }
    if scalar.value < 0x20 || (0x7f..<0xa0).contains(scalar.value) {
      pending = [scalar]
      return surprise()
    }
    show(scalar)
  }

  private mutating func surprise() {
    surprises.append(String(String.UnicodeScalarView(pending)).debugDescription)
    pending = []
  }

  private mutating func show(_ scalar: Unicode.Scalar) {
    if scalar.properties.generalCategory == .nonspacingMark {
      if let last { cells[last.row][last.column].text.unicodeScalars.append(scalar) }
      return
    }
    let width = Self.wide.contains(scalar) ? 2 : 1
    guard column + width <= columns else { return }
    clear(row, column)
    if width == 2 { clear(row, column + 1) }
    cells[row][column] = Cell(text: String(scalar), codes: codes)
    if width == 2 { cells[row][column + 1] = Cell(text: "", codes: codes) }
    last = (row, column)
    // Wrapping is off: the cursor stays at the edge.
    column = min(column + width, columns - (modes.contains(7) ? 0 : 1))
  }

  private mutating func changeBuffer() {
    if modes.contains(1049) {
      if kept == nil { kept = (cells, row, column) }
    } else if let kept {
      (cells, row, column) = kept
      self.kept = nil
    }
  }

  /// Half of a wide character does not stay.
  private mutating func clear(_ row: Int, _ column: Int) {
    if cells[row][column].text.isEmpty, column > 0 { cells[row][column - 1].text = " " }
    if column + 1 < columns, cells[row][column + 1].text.isEmpty { cells[row][column + 1].text = " " }
  }

  private mutating func obey(_ parameters: String, _ final: Unicode.Scalar) {
    defer { pending = [] }
    let numbers = parameters.split(separator: ";").compactMap { Int($0) }
    switch final {
    case "H": (row, column) = (max(1, numbers.first ?? 1) - 1, max(1, numbers.dropFirst().first ?? 1) - 1)
    case "J" where parameters == "2": cells = cells.map { $0.map { _ in Cell() } }
    case "m":
      for number in numbers { if number == 0 { codes = [] } else { codes.insert(number) } }
      return
    case "h", "l":
      guard parameters.hasPrefix("?"), let mode = Int(parameters.dropFirst()) else { return surprise() }
      if final == "h" { modes.insert(mode) } else { modes.remove(mode) }
      if mode == 1049 { changeBuffer() }
      return
    default: return surprise()
    }
    last = nil
    if row >= rows || column >= columns { surprises.append("the cursor is outside: \(parameters)") }
  }
}
