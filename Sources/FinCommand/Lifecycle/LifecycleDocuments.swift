import ArgumentParser
import FoundationEssentials

/// The drawings in the documentation, and the means to keep them in step with the table.
enum LifecycleDocuments {
  static let drawing = "Sources/Fin/Fin.docc/Resources/lifecycle.svg"
  static let article = "Sources/Fin/Fin.docc/LifeOfASocket.md"
  static let beginning = "<!-- fin lifecycle --write puts this block here -->\n"
  static let end = "<!-- to here -->\n"

  /// Returns the article with the block between its markers replaced; `nil` if it has no markers.
  static func updated(_ article: String) -> String? {
    guard let from = article.firstRange(of: beginning)?.upperBound,
      let to = article[from...].firstRange(of: end)?.lowerBound
    else { return nil }
    return "\(article[..<from])```mermaid\n\(LifecycleText.mermaid())```\n\(article[to...])"
  }

  /// Writes both files under a folder, the package's root.
  ///
  /// - Returns: The paths of the files written.
  static func write(in root: String = ".") throws -> [String] {
    guard let text = try? String(contentsOfFile: "\(root)/\(article)", encoding: .utf8) else {
      throw Failure("There is no \(article) here. Run this in the root folder of Fin's package.")
    }
    guard let updated = updated(text) else {
      throw Failure("\(article) lacks the two lines that enclose the diagram:\n\(beginning)\(end)")
    }
    do {
      try updated.write(toFile: "\(root)/\(article)", atomically: true, encoding: .utf8)
      try LifecycleDrawing().svg().write(toFile: "\(root)/\(drawing)", atomically: true, encoding: .utf8)
    } catch { throw Failure("The documents could not be written: \(error)") }
    return [article, drawing]
  }

  struct Failure: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }
}
