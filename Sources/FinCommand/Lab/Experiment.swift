/// One claim about sockets, and how to try it.
struct Experiment: Sendable {
  /// The articles that Fin began with, by what they are about.
  enum Article: String, Codable, Sendable {
    /// Closing and releasing.
    case a = "A"
    /// Managing state and lifecycle.
    case b = "B"
    /// Why `shutdown` before `close`.
    case c = "C"
  }

  let id: String
  let articles: [Article]
  /// What is said, in one line.
  let claim: String
  /// What Linux does.
  let truth: String
  /// The recipe as the articles have it, in plain system calls. Its expectations are what `truth` says.
  let naive: @Sendable (Notebook) throws -> Void
  /// The same with Fin. Its expectations are what Fin promises.
  let fin: @Sendable (Notebook) throws -> Void
}

/// Why an experiment cannot be made here.
struct Skip: Error {
  let reason: String
  init(_ reason: String) { self.reason = reason }
}

/// Something that an experiment needs did not work: the experiment, not the thing it tries.
struct Mishap: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
