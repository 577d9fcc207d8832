import ArgumentParser
import FinTerminal

/// The error for a word that is none of these words: it names the nearest, and all of them.
func unknownWord(_ word: String, among words: [String], _ kind: String) -> ValidationError {
  let nearest = NearestWords.nearest(to: word, among: words)[0]
  return ValidationError("no such \(kind); did you mean \(nearest)? There are: \(words.joined(separator: ", ")).")
}
