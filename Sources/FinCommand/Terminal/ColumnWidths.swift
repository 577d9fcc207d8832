/// The widths of a table's columns.
enum ColumnWidths {
  /// Narrows the widest column again and again until a line fits: first the columns that may be narrowed, as far as
  /// their least width, then all columns that are cut well, then any.
  /// - Parameters:
  ///   - least: The least width of each column; nil for one that is narrowed only if nothing else helps.
  ///   - gap: The width between two columns.
  static func fitted(_ widths: [Int], least: [Int?], gap: Int, to page: Int) -> [Int] {
    var widths = widths
    var over = widths.reduce(gap * (widths.count - 1), +) - page
    for bounds in [least.map { $0 ?? .max }, least.map { $0 == nil ? .max : 8 }, least.map { _ in 4 }] {
      while over > 0 {
        let candidates = widths.indices.filter { widths[$0] > bounds[$0] }
        guard let widest = candidates.max(by: { widths[$0] < widths[$1] }) else { break }
        widths[widest] -= 1
        over -= 1
      }
    }
    return widths
  }
}
