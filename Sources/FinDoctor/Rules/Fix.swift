/// A remedy: in the program's own language where that is known, and with Fin.
public struct Fix: Hashable, Sendable {
  /// The change in the program, or in the system around it.
  public var code: String
  /// The way Fin avoids the problem.
  public var fin: String

  /// Creates a remedy from both texts.
  package init(code: String, fin: String) {
    self.code = code
    self.fin = fin
  }

  /// Creates the remedy for a finding.
  /// - Parameters:
  ///   - id: The finding.
  ///   - language: The language that the program is written in.
  ///   - program: The name of the program, for one whose users change its settings and not its code.
  public init(_ id: FindingID, in language: Language, program: String? = nil) {
    let remedies = id.rule.fix
    let code = program.flatMap { remedies.programs[$0] } ?? remedies.languages[language] ?? remedies.inC
    self.init(code: code, fin: remedies.withFin)
  }
}
