import FinTerminal

/// The source of a manual page, as troff's macros of man(7) have it.
struct Roff {
  private(set) var source: String

  /// Begins a page of section 1.
  /// - Parameter description: One sentence.
  init(title: String, description: String) {
    let date = CommandVersion.released
    source = ".TH \(Self.escaped(title.uppercased())) 1 \(date) \"fin \(CommandVersion.current)\" \"User Commands\"\n"
    source += ".nh\n.ad l\n"
    section("Name")
    text("\(title) \u{2013} \(description)".replacing(" \u{2013} ", with: " \\- "), isEscaped: true)
  }

  /// A request, which is written as it is.
  mutating func line(_ request: String) { source += request + "\n" }

  mutating func section(_ title: String) { source += ".SH \(title.uppercased())\n" }

  /// Text that troff fills.
  mutating func text(_ text: String, isEscaped: Bool = false) {
    let written = isEscaped ? text : Self.escaped(text)
    // A period or an apostrophe in the first column is a request.
    source += (written.hasPrefix(".") || written.hasPrefix("'") ? "\\&" : "") + written + "\n"
  }

  /// Lines that keep their form.
  mutating func display(_ lines: String) {
    line(".EX")
    for line in lines.split(separator: "\n", omittingEmptySubsequences: false) { text("  " + line) }
    line(".EE")
  }

  /// A word or an option with its meaning.
  mutating func entry(_ label: String, _ meaning: String) {
    line(".TP")
    text("\\fB\(Self.escaped(label))\\fR", isEscaped: true)
    text(meaning)
  }

  /// Lines of a word, two spaces or more, and its meaning. A line without a gap belongs to the meaning before it.
  mutating func entries(_ lines: some StringProtocol) {
    for line in lines.split(separator: "\n") {
      let line = line.drop { $0 == " " }
      if let gap = line.firstRange(of: "  ") {
        entry(String(line[..<gap.lowerBound]), String(line[gap.upperBound...].drop { $0 == " " }))
      } else {
        text(String(line))
      }
    }
  }

  /// The details of a help page: paragraphs, and lines with a margin, which are a list or keep their form.
  mutating func blocks(_ details: String) {
    let lines = details.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
    var place = 0
    var isFirst = true
    while place < lines.count {
      let line = lines[place]
      if line.isEmpty {
        place += 1
      } else if line.hasPrefix(" ") {
        let block = lines[place...].prefix { $0.hasPrefix(" ") }
        place += block.count
        list(Array(block))
      } else {
        let title = line.dropLast()
        let isTitle = line.hasSuffix(":") && title.split(separator: " ").count <= 2 && title.first?.isUppercase == true
        if isTitle, place + 1 < lines.count, lines[place + 1].hasPrefix(" ") {
          source += ".SS \(Self.escaped(String(title)))\n"
        } else {
          if !isFirst { self.line(".PP") }
          text(line)
        }
        place += 1
      }
      isFirst = false
    }
  }

  /// Lines with a margin: words with their meanings in a second column or on the next line, else an example.
  private mutating func list(_ block: [String]) {
    let margin = block[0].prefix { $0 == " " }.count
    let bodies = block.map { $0.dropFirst(min(margin, $0.prefix { $0 == " " }.count)) }
    let isHanging = bodies.count > 1 && bodies[1].hasPrefix("  ") && !bodies[0].hasPrefix(" ")
    if isHanging {
      for body in bodies {
        if body.hasPrefix(" ") {
          text(String(body.drop { $0 == " " }))
        } else {
          line(".TP")
          text("\\fB\(Self.escaped(String(body)))\\fR", isEscaped: true)
        }
      }
    } else if bodies.count > 2, bodies.allSatisfy({ $0.contains("  ") || $0.hasPrefix(" ") }) {
      entries(bodies.joined(separator: "\n"))
    } else {
      display(bodies.joined(separator: "\n"))
    }
  }

  /// The last section.
  mutating func related(_ names: [String]) {
    section("See also")
    for (place, name) in names.enumerated() { line(".BR \(name) (1)" + (place + 1 < names.count ? " ," : "")) }
    line(".BR ss (8)".replacing(".BR", with: ".PP\n.BR"))
  }

  /// Text in which troff changes nothing: backslashes, and hyphens that are not to become typographic ones.
  static func escaped(_ text: String) -> String {
    text.replacing("\\", with: "\\e").replacing("-", with: "\\-")
  }
}
