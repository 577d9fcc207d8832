/// A look of a history by its file and its number there. Unlike a moment, it is the same look also where the clock was
/// set back.
package struct HistoryPosition: Hashable, Sendable {
  package var file: Int
  package var look: Int64

  package init(file: Int, look: Int64) { (self.file, self.look) = (file, look) }
}

extension HistoryReader {
  /// The machine at a look.
  /// - Throws: If the look is not there any more, or its file cannot be read.
  package func answer(at position: HistoryPosition) throws(HistoryFault) -> HistoryAnswer {
    guard let file = file(of: position) else {
      throw HistoryFault(.unavailable, (["the file of this look was removed"] + problems).joined(separator: "; "))
    }
    let found = reading(file.file) { (open) throws(Database.Failure) -> HistoryAnswer? in
      guard let look = try open.look("WHERE id = ?", [position.look]) else { return nil }
      var place = HistoryPlace(
        file: open, look: look, next: try open.look("WHERE id > ? ORDER BY id LIMIT 1", [look.number]))
      if place.next == nil { place.next = try self.next(after: file.file)?.look("ORDER BY id LIMIT 1") }
      return try answer(open, place, look.at)
    }
    guard var answer = found else {
      throw HistoryFault(.unavailable, (["the look is not there"] + problems).joined(separator: "; "))
    }
    answer.problems += problems
    return answer
  }

  /// The look before one, also in another file; nil if it is the first.
  package func position(before position: HistoryPosition) -> HistoryPosition? {
    guard let file = file(of: position) else { return nil }
    if let look = look(in: file, "WHERE id < ? ORDER BY id DESC LIMIT 1", [position.look]) { return look }
    return previous(before: file.file).map { HistoryPosition(file: $0.file.number, look: $0.last.number) }
  }

  /// The look after one, also in another file; nil if it is the last.
  package func position(after position: HistoryPosition) -> HistoryPosition? {
    guard let file = file(of: position) else { return nil }
    if let look = look(in: file, "WHERE id > ? ORDER BY id LIMIT 1", [position.look]) { return look }
    return next(after: file.file).flatMap { look(in: $0, "ORDER BY id LIMIT 1", []) }
  }

  private func look(in file: OpenFile, _ rest: String, _ values: [Int64]) -> HistoryPosition? {
    reading(file.file) { (open) throws(Database.Failure) in try open.look(rest, values) }
      .map { HistoryPosition(file: file.file.number, look: $0.number) }
  }

  private func file(of position: HistoryPosition) -> OpenFile? {
    all.first { $0.number == position.file }.flatMap { reading($0) { $0 } }
  }
}
