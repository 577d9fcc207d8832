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
  /// Whether what is tried with Fin has to wait, and so is done otherwise in a task.
  var waits = true
  /// The recipe as the articles have it, in plain system calls. Its expectations are what `truth` says.
  let naive: @Sendable (Notebook) throws -> Void
  /// The same with Fin, in threads or in tasks. Its expectations are what Fin promises, and are the same in both.
  let fin: @Sendable (Notebook, World) async throws -> Void

  /// Where Fin's half runs when it was asked for in `asked`.
  func world(_ asked: World) -> World { waits ? asked : .threads }

  /// What the list says of it where tasks are asked for: it has a twin there, or is the same.
  var wordOfTasks: String { waits ? "twin" : "same" }
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
