import FinDoctor

/// A table with headings. A column is as wide as its widest cell, as far as the page allows.
struct ListTable {
  private let fields: [ListField]
  private var pieces: [Cells] = []
  private var widths: [Int]

  init(_ fields: [ListField], headings: Bool) {
    self.fields = fields
    widths = fields.map { _ in 0 }
    if headings { take(Cells(headings: fields)) }
  }

  mutating func append(_ rows: [ListedSocket], of listing: Listing) {
    ParallelChunks.forEach(of: rows.count) { [fields] in
      Cells(fields, rows[$0], of: listing)
    } use: {
      take($0)
    }
  }

  private mutating func take(_ piece: Cells) {
    for column in fields.indices { widths[column] = max(widths[column], piece.widths[column]) }
    pieces.append(piece)
  }

  /// Writes the table piece by piece, so that a hundred thousand lines need no second buffer of their size.
  /// - Parameter page: The width that a line may have; nil for no limit.
  func write(page: Int?, to output: ([UInt8]) -> Void) {
    let widths =
      page.map { ColumnWidths.fitted(self.widths, least: fields.map(\.least), gap: 1, to: $0) } ?? self.widths
    ParallelChunks.forEach(of: pieces.count, each: 1) { [fields, pieces] in
      pieces[$0.lowerBound].lines(fields, widths)
    } use: {
      output($0)
    }
  }
}

/// The cells of some lines, one after another in one buffer, so that no cell needs a `String` of its own.
private struct Cells: Sendable {
  private var bytes = TextBuffer()
  /// The offset at which each cell ends.
  private var ends: ContiguousArray<UInt32> = []
  private(set) var widths: [Int]

  init(headings fields: [ListField]) {
    widths = fields.map { _ in 0 }
    for (column, field) in fields.enumerated() {
      let start = bytes.count
      bytes.write(field.heading)
      end(column, start)
    }
  }

  init(_ fields: [ListField], _ rows: ArraySlice<ListedSocket>, of listing: Listing) {
    widths = fields.map { _ in 0 }
    ends.reserveCapacity(rows.count * fields.count)
    for row in rows { append(row, fields, of: listing) }
  }

  private mutating func append(_ row: ListedSocket, _ fields: [ListField], of listing: borrowing Listing) {
    if case .inet(let index) = row {
      // Its row is fetched once for all columns: there may be a hundred thousand rows of 400 bytes.
      let socket = listing.census.sockets[index]
      for column in fields.indices {
        let start = bytes.count
        fields[column].write(socket, at: index, of: listing, to: &bytes)
        end(column, start)
      }
      return
    }
    for column in fields.indices {
      let start = bytes.count
      fields[column].write(row, of: listing, to: &bytes)
      end(column, start)
    }
  }

  private mutating func end(_ column: Int, _ start: Int) {
    ends.append(UInt32(bytes.count))
    // Characters are counted only if the byte count exceeds the width: nearly all cells are ASCII.
    if bytes.count - start > widths[column] {
      widths[column] = max(widths[column], Self.width(bytes.bytes[start...]))
    }
  }

  /// The number of characters, on a terminal that shows one per column: all bytes except UTF-8 continuation bytes.
  private static func width(_ bytes: some Sequence<UInt8>) -> Int {
    bytes.reduce(0) { $0 + ($1 & 0xc0 == 0x80 ? 0 : 1) }
  }

  /// The lines, in columns of these widths.
  func lines(_ fields: [ListField], _ widths: [Int]) -> [UInt8] {
    let areNumbers = fields.map(\.isNumber)
    let last = fields.count - 1
    var text = TextBuffer()
    text.bytes.reserveCapacity(ends.count / fields.count * (widths.reduce(fields.count, +)))
    var start = 0
    var column = 0
    unsafe bytes.bytes.withUnsafeBufferPointer { bytes in
      for end in ends {
        let cell = unsafe UnsafeBufferPointer(rebasing: bytes[start..<Int(end)])
        let width = widths[column]
        let isNumber = areNumbers[column]
        // More bytes than columns: the cell is too wide, or not only ASCII.
        let used = cell.count > width ? unsafe Self.width(cell) : cell.count
        if isNumber { text.write(spaces: width - used) }
        if used > width {
          unsafe Self.write(cell, cutTo: width, inside: fields[column].isCutInside, to: &text)
        } else {
          unsafe text.bytes.append(contentsOf: cell)
        }
        start = Int(end)
        if column < last {
          text.write(spaces: isNumber ? 1 : width - used + 1)
          column += 1
        } else {
          text.write(ascii: "\n")
          column = 0
        }
      }
    }
    return text.bytes
  }

  /// Writes a cell with an ellipsis, one column wide, in place of the characters that do not fit.
  private static func write(
    _ cell: UnsafeBufferPointer<UInt8>, cutTo width: Int, inside: Bool, to text: inout TextBuffer
  ) {
    let characters = unsafe String(decoding: cell, as: UTF8.self).unicodeScalars
    let tail = inside ? (width - 1) / 2 : 0
    text.write(String(String.UnicodeScalarView(characters.prefix(width - 1 - tail))) + "…")
    text.write(String(String.UnicodeScalarView(characters.suffix(tail))))
  }
}
