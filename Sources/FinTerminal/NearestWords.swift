/// The words that a misspelt one may stand for.
package enum NearestWords {
  /// Returns the words nearest to a misspelt one, the nearest first. A word that contains the other, or is contained in
  /// it, is nearest.
  package static func nearest(to typed: String, among words: [String], atMost count: Int = 3) -> [String] {
    let typed = typed.lowercased()
    func distance(_ word: String) -> Int {
      word.contains(typed) || typed.contains(word) ? 0 : edits(from: Array(typed), to: Array(word))
    }
    return words.map { ($0, distance($0)) }.sorted { $0.1 < $1.1 }.prefix(count).map(\.0)
  }

  /// The number of letters to change, add, remove or swap with their neighbour (edit distance).
  package static func edits(from: [Character], to: [Character]) -> Int {
    var rows = [Array(0...to.count)]
    for (i, letter) in from.enumerated() {
      var row = [i + 1]
      for (j, other) in to.enumerated() {
        var best = min(row[j] + 1, rows[i][j + 1] + 1, rows[i][j] + (letter == other ? 0 : 1))
        if i > 0 && j > 0 && letter == to[j - 1] && from[i - 1] == other { best = min(best, rows[i - 1][j - 1] + 1) }
        row.append(best)
      }
      rows.append(row)
    }
    return rows[from.count][to.count]
  }
}
