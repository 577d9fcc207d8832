import FinDoctor

/// Text of several sources that a terminal shows and does not act on.
enum EscapedText {
  /// The text without characters that a terminal would act on, except line ends. Backslashes stay, because parts of
  /// the text are escaped already.
  static func lines(_ text: String) -> String {
    text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      line.split(separator: "\\", omittingEmptySubsequences: false).map { visible(String($0)) }.joined(separator: "\\")
    }.joined(separator: "\n")
  }
}
