import Dispatch
import Glibc
import Peers
import Testing

@testable import Fin

@Suite("Promise 2: a program that serves ends well when it is told to")
struct Terminating {
  @Test(
    "one SIGTERM: who is queued is served, a conversation goes on to its own end, and the exit status is 0",
    .faults(30))
  func once() async {
    await #expect(processExitsWith: .exitCode(0)) {
      try Program.serve { server in
        let talking = try Visitor(server.port)
        try Terminating.converse(talking)
        let queued = try (0..<3).map { _ in try Visitor(server.port) }
        try eventually("queued clients", equals: 3) { try listeningQueue(server.port) }
        kill(getpid(), SIGTERM)
        try eventually(within: .seconds(20), "the stop") { server.handle.phase == .stopping }
        try Terminating.converse(talking)
        let last = try talking.ask("farewell")
        check(last == "farewell\n", "in the middle of a conversation: \(last)")
        for visitor in queued {
          let answer = try visitor.ask("queued")
          check(answer == "queued\n", "queued: \(answer)")
        }
      }
    }
  }

  @Test(
    "a second SIGTERM: the conversation that runs is aborted, its peer hears a reset, and the exit status is another",
    .faults(30))
  func twice() async {
    await #expect(processExitsWith: .exitCode(Program.statusWhenAborted)) {
      try Program.serve { server in
        let talking = try Visitor(server.port)
        try Terminating.converse(talking)
        kill(getpid(), SIGTERM)
        // Stopping and not released: the conversation keeps the only thread, and with it the queue is not yet empty.
        try eventually(within: .seconds(20), "the stop") { server.handle.phase == .stopping }
        try Terminating.converse(talking)
        kill(getpid(), SIGTERM)
        let next = talking.next
        check(next == .reset, "the conversation ended with \(next)")
      }
    }
  }

  /// A line there and back; the conversation is in its middle then.
  private static func converse(_ visitor: Visitor) throws {
    try visitor.socket.send(Array("x\n".utf8))
    let next = visitor.next
    check(next == .success(2), "in the middle of a conversation: \(next)")
  }
}

/// A program that serves as the example `echo` does. Its clients are in the same process, which signals itself.
private enum Program {
  /// 1 is what a test that failed exits with.
  static let statusWhenAborted: CInt = 3

  /// Serves, in one thread, until it has been told to stop; exits with a status that says how that went.
  static func serve(_ clients: (Running) throws -> Void) throws -> Never {
    // Whatever happens, this is over before the test's own time is.
    alarm(120)
    let server = try Running(threads: 1, echo)
    let signals = stopOnSignal(server.handle)
    try clients(server)
    let report = try server.thread.join(within: .seconds(30))
    signals.cancel()
    exit(report.abortedAtStop == 0 && report.failure == nil ? 0 : statusWhenAborted)
  }

  /// The first signal stops, the next brings the end of the drain to now.
  private static func stopOnSignal(_ listener: ListenerHandle) -> any DispatchSourceSignal {
    let source = DispatchSource.makeSignalSource(signal: SIGTERM, queue: DispatchQueue(label: "signals"))
    let isHeard = DispatchSemaphore(value: 0)
    source.setRegistrationHandler { isHeard.signal() }
    source.setEventHandler { listener.stop(within: listener.phase == .listening ? .seconds(60) : .zero) }
    source.resume()
    // Until then the signal ends the program.
    isHeard.wait()
    return source
  }
}
