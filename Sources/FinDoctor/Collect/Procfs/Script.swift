/// The script or module that an interpreter runs, as far as its command line shows it.
enum Script {
  /// The options of an interpreter that matter here: those that precede the program and take the next word as a value,
  /// and those whose value is the program.
  private struct Grammar {
    var valued: Set<String> = []
    var naming: Set<String> = []
    /// Options that are followed by program text instead of a file.
    var inline: Set<String> = []
  }

  private static let grammars: [(stem: String, Grammar)] = [
    ("python", Grammar(valued: ["-W", "-X", "--check-hash-based-pycs"], naming: ["-m"], inline: ["-c"])),
    ("pypy", Grammar(valued: ["-W", "-X"], naming: ["-m"], inline: ["-c"])),
    (
      "node",
      Grammar(valued: ["-r", "--require", "--import", "--loader", "-C"], inline: ["-e", "--eval", "-p", "--print"])
    ),
    ("ruby", Grammar(valued: ["-I", "-r", "-C"], inline: ["-e"])),
    ("perl", Grammar(valued: ["-I"], inline: ["-e", "-E"])),
    ("php", Grammar(valued: ["-c", "-d"], naming: ["-f"], inline: ["-r"])),
    ("lua", Grammar(valued: ["-l"], inline: ["-e"])),
    (
      "java",
      Grammar(
        valued: ["-cp", "-classpath", "--class-path", "-p", "--module-path", "--add-modules"],
        naming: ["-jar", "-m", "--module"])
    ),
    ("bash", Grammar(valued: ["-o", "-O"], inline: ["-c"])), ("dash", Grammar(valued: ["-o"], inline: ["-c"])),
    ("sh", Grammar(valued: ["-o"], inline: ["-c"])),
  ]

  /// Finds the script in a command line.
  /// - Parameters:
  ///   - executable: The file name of the executable: `python3.11`.
  ///   - line: The command line as in `/proc`: each word is terminated by a zero. The last word may be truncated.
  /// - Returns: The file name of the script, or the name of the module or class; nil when the executable is no
  ///   interpreter, or its command line shows no script.
  static func name(executable: String, line: [UInt8]) -> [UInt8]? {
    let grammar = grammars.first { stem, _ in
      executable.hasPrefix(stem)
        && executable.dropFirst(stem.count).allSatisfy { $0.isNumber || $0 == "." || $0 == "-" }
    }?.1
    guard let grammar else { return nil }
    var words = line.split(separator: 0, omittingEmptySubsequences: false).dropFirst()
    while let word = words.popFirst() {
      if word.isEmpty { return nil }
      guard word.first == UInt8(ascii: "-") else { return Array(Program.fileName(Array(word))) }
      let option = String(decoding: word, as: UTF8.self)
      if grammar.inline.contains(option) { return nil }
      if grammar.naming.contains(option) {
        return words.popFirst().flatMap { $0.isEmpty ? nil : Array(Program.fileName(Array($0))) }
      }
      if grammar.valued.contains(option) { words = words.dropFirst() }
    }
    return nil
  }
}
