/// The names that the gate and its model have in common.
enum ModelSteps {
  /// The steps of the model's table: `*  LEAVE   one CAS   …`.
  static func listed(in model: String) -> Set<String> {
    Set(model.matches(of: /(?m)^ \*  ([A-Z]+(?:_[A-Z]+)*) {2,}\S/).map { String($0.output.1) })
  }

  /// The steps that comments name where they begin: `/// LEAVE.`, `// QUEUE: why`.
  static func named(in text: String) -> Set<String> {
    Set(text.matches(of: /(?m)^\s*\/\/\/? ([A-Z]{2,}(?:_[A-Z]+)*)[.:,]/).map { String($0.output.1) })
      .subtracting(["MARK"])
  }
}
