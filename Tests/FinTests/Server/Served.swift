import Peers

@testable import Fin

/// In which kind of server a promise is tried.
enum ServingWorld: String, CaseIterable {
  case threads, tasks
}

/// A server of a listener that the test keeps: others may serve it too.
struct Served: Sendable {
  /// Waits for its report.
  let join: @Sendable (Duration) throws -> ServerReport
  let isFinished: @Sendable () -> Bool
  /// Cancels the task that serves; `nil` when it is a thread.
  let cancel: (@Sendable () -> Void)?

  /// Sends every line back, behind the server's name.
  ///
  /// - Parameter reactor: the loops of a server in tasks.
  init(
    _ owner: Keeper, in world: ServingWorld, on reactor: Reactor, limits: Limits = .default, script: Script? = nil,
    named name: String = ""
  ) {
    switch world {
    case .threads:
      let thread = onThread {
        Seam.$script.withValue(script) {
          owner.listener.serve(threads: min(limits.connections, 4), limits: limits) { connection in
            while let line = try connection.readLine() { try connection.send("\(name)\(line)\n") }
          }
        }
      }
      join = { try thread.join(within: $0) }
      isFinished = { thread.isFinished }
      cancel = nil
    case .tasks:
      let task = Working(on: reactor.executor) {
        await Seam.$script.withValue(script) {
          await owner.listener.serve(on: reactor, limits: limits) { connection in
            while let line = try await connection.readLine() { try await connection.send("\(name)\(line)\n") }
          }
        }
      }
      join = { try task.join(within: $0) }
      isFinished = { task.isFinished }
      cancel = { task.cancel() }
    }
  }
}

extension Visitor {
  /// Sends a line and reads one answer; the conversation goes on.
  func exchange(_ line: String) throws -> String {
    try socket.send(Array("\(line)\n".utf8))
    var answer: [UInt8] = []
    while answer.last != 10 {
      let more = try socket.receive()
      if more.isEmpty { break }
      answer += more
    }
    return String(decoding: answer, as: UTF8.self)
  }
}
