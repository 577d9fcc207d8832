import Dispatch
import Glibc
import Peers
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 2: a program that serves ends well on SIGTERM")
struct Terminating {
  @Test(
    "one SIGTERM: queued clients are served, a conversation runs to its own end, and the exit status is 0", .onThreads,
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
    "a second SIGTERM: the running conversation is aborted, its peer reads a reset, the exit status differs",
    .onThreads,
    .faults(30))
  func twice() async {
    await #expect(processExitsWith: .exitCode(Program.statusWhenAborted)) {
      try Program.serve { server in
        let talking = try Visitor(server.port)
        try Terminating.converse(talking)
        kill(getpid(), SIGTERM)
        // The listener is stopping and not yet released: the conversation occupies the only thread, so the queue cannot
        // be drained.
        try eventually(within: .seconds(20), "the stop") { server.handle.phase == .stopping }
        try Terminating.converse(talking)
        kill(getpid(), SIGTERM)
        let next = talking.next
        check(next == .reset, "the conversation ended with \(next)")
      }
    }
  }

  /// Exchanges one line, which leaves the conversation open.
  private static func converse(_ visitor: Visitor) throws {
    try visitor.socket.send(Array("x\n".utf8))
    let next = visitor.next
    check(next == .success(2), "in the middle of a conversation: \(next)")
  }
}

/// A program that serves like the example `echo`. Its clients run in the same process, which signals itself.
private enum Program {
  /// Exit status 1 means that a test failed, so this is another.
  static let statusWhenAborted: CInt = 3

  /// Serves, in one thread, until a signal stops it. The exit status says how the drain went.
  static func serve(_ clients: (Running) throws -> Void) throws -> Never {
    // The alarm ends this process before the test's own time limit.
    alarm(120)
    let server = try Running(threads: 1, echo)
    let signals = stopOnSignal(server.handle)
    try clients(server)
    let report = try server.thread.join(within: .seconds(30))
    signals.cancel()
    exit(report.abortedAtStop == 0 && report.failure == nil ? 0 : statusWhenAborted)
  }

  /// The first signal stops the listener; the second ends the drain at once.
  private static func stopOnSignal(_ listener: ListenerHandle) -> any DispatchSourceSignal {
    let source = DispatchSource.makeSignalSource(signal: SIGTERM, queue: DispatchQueue(label: "signals"))
    let isHeard = DispatchSemaphore(value: 0)
    source.setRegistrationHandler { isHeard.signal() }
    source.setEventHandler { listener.stop(within: listener.phase == .listening ? .seconds(60) : .zero) }
    source.resume()
    // Before the handler is installed, the signal would kill the program.
    isHeard.wait()
    return source
  }
}
