import Peers

@testable import Fin

/// The kind of server that a promise is tested with.
enum ServingWorld: String, CaseIterable {
  case threads, tasks
}

/// A server of a listener that the test owns, so that other servers may serve it too.
struct Served: Sendable {
  /// Waits for the server's report.
  let join: @Sendable (Duration) throws -> ServerReport
  let isFinished: @Sendable () -> Bool
  /// Cancels the serving task; `nil` for a server in a thread.
  let cancel: (@Sendable () -> Void)?

  /// Echoes every line, prefixed with the server's name.
  ///
  /// - Parameter reactor: the event loops of a server in tasks.
  init(
    _ owner: Keeper, in world: ServingWorld, on reactor: Reactor, connections: Int = 65_536,
    script: Script? = nil,
    named name: String = ""
  ) {
    switch world {
    case .threads:
      let thread = onThread {
        Seam.$script.withValue(script) {
          owner.listener.serve(threads: min(connections, 4)) { connection in
            while let line = try connection.receiveLine() { try connection.send("\(name)\(line)\n") }
          }
        }
      }
      join = { try thread.join(within: $0) }
      isFinished = { thread.isFinished }
      cancel = nil
    case .tasks:
      let task = Working(on: reactor.executor) {
        await Seam.$script.withValue(script) {
          await owner.listener.serve(on: reactor, connections: connections) { connection in
            while let line = try await connection.receiveLine() { try await connection.send("\(name)\(line)\n") }
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
  /// Sends a line and reads one answer; the connection stays open.
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
