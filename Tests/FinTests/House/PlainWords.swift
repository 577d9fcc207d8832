extension HouseRule {
  /// Comments, messages and test names are reference English: the actor has a name, and a sentence begins with
  /// its subject.
  ///
  /// These marks do not make a sentence bad on their own; nearly every sentence that has to be read twice has one.
  static let plainWords = HouseRule(
    name: "comments, messages and test names are plain English",
    covers: { isSwift($0) && !$0.hasSuffix("House/PlainWords.swift") },
    find: { source in
      let mayBeMarked = source.mentions(
        "whoever", "whomever", "somebody", "nobody", "everybody", "anybody", "for ever", "to be had", "what became of",
        "so many", " told")
      return source.lines.indices.filter { index in
        let comment = source.comments[index]
        if mayBeMarked, isMarked(comment) || isMarked(source.strings[index]) { return true }
        // Only the first line of a comment begins a sentence for certain.
        let continues = index > 0 && !source.comments[index - 1].isEmpty && !startsParagraph(source, index)
        guard !continues, openings.contains(where: words(of: comment).hasPrefix) else { return false }
        return comment.contains(/^\/\/\/?\s+(What|Who|Whom|Whose|Of|As what)\b/)
      }.map { Finding(line: $0 + 1, text: source.lines[$0]) }
    },
    broken: [
      Sample("Sources/Fin/A.swift", "/// What became of it.\n"),
      Sample("Sources/Fin/A.swift", "/// A place.\n///\n/// Of a listener that stops: when it is over.\n"),
      Sample("Sources/Fin/A.swift", "let a = 1  // told to whoever asks\n"),
      Sample("Sources/Fin/A.swift", "/// It stays so for ever.\n"),
      Sample("Sources/Fin/A.swift", "let note = \"nobody listens there\"\n"),
      Sample("Tests/FinTests/A.swift", "@Test(\"the last one out is told\")\n"),
      Sample("Tests/FinTests/A.swift", "let text = \"\"\"\n  Somebody must close it.\n  \"\"\"\n"),
    ],
    sound: [
      Sample("Sources/Fin/A.swift", "/// The result of one attempt.\n"),
      Sample("Sources/Fin/A.swift", "/// Returns the bytes and the address\n/// of the peer that sent them.\n"),
      Sample("Sources/Fin/A.swift", "case nobody\nlet whoever = 1\n"),
      Sample("Sources/Fin/A.swift", "/// Whether the peer has closed. Office, whatever, forever.\n"),
      Sample("Proof/gate.pml", "/* whoever */\n"),
    ])

  static let noEmptyDocs = HouseRule(
    name: "a doc comment says something",
    covers: isSwift,
    find: { source in
      source.lines.indices.filter { index in
        let isFirst = index == 0 || !source.comments[index - 1].hasPrefix("///")
        let isOnly = index + 1 == source.lines.count || !source.comments[index + 1].hasPrefix("///")
        guard isFirst, isOnly else { return false }
        guard source.comments[index].hasPrefix("///") else { return false }
        // One word and a full stop; a value with its unit ("Milliseconds; 0 means none.") is more than that.
        let words = words(of: source.comments[index])
        guard words.contains(" ") else { return words.isEmpty || words.contains(/^\w+\.?$/) }
        return words == "The same in a task." || words == "From its parts."
      }.map { Finding(line: $0 + 1, text: source.lines[$0]) }
    },
    broken: [
      Sample("Sources/Fin/A.swift", "/// Asks.\nfunc ask() {}\n"),
      Sample("Sources/Fin/A.swift", "  /// The same in a task.\n  func ask() async {}\n"),
      Sample("Sources/Fin/A.swift", "///\nfunc ask() {}\n"),
    ],
    sound: [
      Sample("Sources/Fin/A.swift", "/// Asks the kernel.\nfunc ask() {}\n"),
      Sample("Sources/Fin/A.swift", "/// Asks.\n///\n/// - Throws: `EBADF`.\nfunc ask() {}\n"),
      Sample("Sources/Fin/A.swift", "// Both.\nfunc ask() {}\n"),
    ])

  static let shortLines = HouseRule(
    name: "a line has 120 columns at most, comments included",
    // MisuseTests compares the compiler's text, which quotes the line.
    covers: { isSwift($0) && !$0.hasPrefix("Tests/Misuse/") },
    find: { source in
      source.lines.enumerated().filter { $0.element.count > 120 }
        .map { Finding(line: $0.offset + 1, text: "\($0.element.count) columns") }
    },
    broken: [
      Sample("Sources/Fin/A.swift", "/// " + String(repeating: "a", count: 117) + "\n"),
      Sample("Tests/FinTests/A.swift", "let a = \"" + String(repeating: "b", count: 120) + "\"\n"),
    ],
    sound: [
      Sample("Sources/Fin/A.swift", "/// " + String(repeating: "ä", count: 116) + "\n"),
      Sample("README.md", String(repeating: "a", count: 300) + "\n"),
    ])

  private static func isSwift(_ path: String) -> Bool {
    (path.hasPrefix("Sources/") || path.hasPrefix("Tests/")) && path.hasSuffix(".swift")
  }

  private static func startsParagraph(_ source: SwiftText, _ index: Int) -> Bool {
    words(of: source.comments[index - 1]).isEmpty
  }

  /// The comment without its slashes and the spaces after them.
  private static func words(of comment: String) -> Substring { comment.drop { $0 == "/" || $0 == " " } }

  private static let openings = ["What", "Who", "Of", "As what"]

  private static func isMarked(_ text: String) -> Bool {
    // Most lines have neither a comment nor a string.
    !text.isEmpty
      && text.contains(
        #/
        \b(whoever|whomever|somebody|nobody|everybody|anybody|for\ ever|to\ be\ had|what\ became\ of|so\ many
        |(is|are|was|were|be|been)\ told)\b
        /#.ignoresCase())
  }
}
