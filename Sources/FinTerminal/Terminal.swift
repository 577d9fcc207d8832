import Glibc

/// The medium of the output: a terminal with colour, or a plain pipe.
package struct Terminal: Sendable {
  package enum Style: String {
    case heading = "1"
    case quiet = "2"
    case good = "32"
    case bad = "1;31"
    case trap = "33"
    case fin = "36"
  }

  package let hasColour: Bool
  /// The width of tables.
  package let page: Int
  /// The width of sentences: that of the page, and at most 100.
  package var width: Int { min(page, 100) }

  /// - Parameter page: The width in columns. A page of fewer than 40 columns is taken for one of 40.
  package init(hasColour: Bool, page: Int = 100) {
    self.hasColour = hasColour
    self.page = min(max(page, 40), 1000)
  }

  /// The medium of standard output. Colour is used only on a terminal, and not if NO_COLOR is set
  /// (https://no-color.org).
  package static func standardOutput(noColor: Bool) -> Terminal {
    let refused = unsafe getenv("NO_COLOR").map { unsafe $0.pointee != 0 } ?? false
    let dumb = unsafe getenv("TERM").map { unsafe String(cString: $0) == "dumb" } ?? false
    return Terminal(
      hasColour: isatty(STDOUT_FILENO) == 1 && !refused && !dumb && !noColor,
      page: columns() ?? 100)
  }

  /// The columns of standard output: `COLUMNS`, else those of the terminal; nil if it is neither set nor a terminal.
  private static func columns() -> Int? {
    if let text = unsafe getenv("COLUMNS"), let number = unsafe Int(String(cString: text)), number > 0 { return number }
    var size = winsize()
    guard unsafe ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
    return Int(size.ws_col)
  }

  package func ink(_ ink: Style, _ text: String) -> String {
    hasColour ? "\u{1B}[\(ink.rawValue)m\(text)\u{1B}[0m" : text
  }

  /// Breaks text at its spaces into lines of at most `width` characters.
  package static func wrap(_ text: String, to width: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    for word in text.split(separator: " ") {
      if !line.isEmpty && line.count + 1 + word.count > width {
        lines.append(line)
        line = ""
      }
      line += line.isEmpty ? String(word) : " " + word
    }
    if !line.isEmpty || lines.isEmpty { lines.append(line) }
    return lines
  }

  /// The text without the spaces at its end.
  package static func trimmed(_ text: String) -> String {
    var text = text[...]
    while text.last == " " { text.removeLast() }
    return String(text)
  }

  /// Pads text with spaces to a width; a longer text is returned unchanged.
  package static func pad(_ text: String, to width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }
}
