/// One claim about sockets, and the code that tests it.
package struct Experiment: Sendable {
  /// The articles that Fin began with, by subject.
  enum Article: String, Codable, Sendable {
    /// Closing and releasing.
    case a = "A"
    /// Managing state and lifecycle.
    case b = "B"
    /// Why `shutdown` before `close`.
    case c = "C"
  }

  package let id: String
  /// The articles that make the claim; none for a claim about TLS, of which they do not speak.
  let articles: [Article]
  /// The claim, in one line.
  let claim: String
  /// The actual behaviour of Linux.
  let truth: String
  /// Whether a call of Fin in the experiment may wait, so that the experiment runs differently in a task.
  var waits = true
  /// The recipe of the articles, in plain system calls. It expects what `truth` says.
  let naive: @Sendable (Notebook) throws -> Void
  /// The same with Fin, in threads or in tasks. It expects what Fin promises, which is the same in both.
  let fin: @Sendable (Notebook, World) async throws -> Void

  /// The world in which Fin's half runs if `asked` was requested.
  func world(_ asked: World) -> World { waits ? asked : .threads }

  /// The word in the list when tasks are requested: the experiment has a twin there, or is the same.
  var wordOfTasks: String { waits ? "twin" : "same" }
}

/// The reason why an experiment cannot be done on this machine.
struct Skip: Error {
  let reason: String
  init(_ reason: String) { self.reason = reason }
}

/// A failure of something that the experiment needs, not of what it tests.
struct SetupError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
