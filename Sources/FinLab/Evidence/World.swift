/// The way in which Fin's half of an experiment waits: its operations block a thread, or they suspend a task.
///
/// A half is written once, with `await` at every operation that may wait, and runs in both. Only the code here and in
/// ``AnySocket`` differs.
package enum World: String, Codable, Sendable {
  case threads
  case tasks

  /// The word for what waits: a thread or a task.
  var worker: String {
    switch self {
    case .threads: "thread"
    case .tasks: "task"
    }
  }

  /// The call that serves `most` clients at a time, as a program would write it.
  func serve(_ most: Int) -> String {
    switch self {
    case .threads: "listener.serve(threads: \(most))"
    case .tasks: "listener.serve(connections: \(most))"
    }
  }
}
