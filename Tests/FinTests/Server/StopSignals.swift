import Glibc
import Peers
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 2: a signal stops a server, and a second one ends the drain", .onThreads)
struct StopSignals {
  @Test("the first signal stops the listener and a conversation goes on; the second one aborts it")
  func twice() async {
    await #expect(processExitsWith: .success) { try synchronously { try StopSignals.run() } }
  }

  private static func run() throws {
    let server = try Running(threads: 2, echo)
    try server.handle.stop(on: [SIGUSR1, SIGTERM], within: .seconds(600))
    let visitor = try Visitor(server.port)
    check(try visitor.exchange("a") == "a\n", "no echo")
    kill(getpid(), SIGUSR1)
    try eventually("the stop") { server.handle.phase != .listening }
    check(try visitor.exchange("b") == "b\n", "the conversation has ended")
    // The other signal counts as the second one.
    kill(getpid(), SIGTERM)
    let report = try server.thread.join(within: .seconds(20))
    check(report.abortedAtStop == 1 && report.endings == [.aborted: 1], "\(report)")
    check(visitor.next == .reset, "no reset")
  }

  @Test("after the second signal, a third one has its default action: it ends the program")
  func thrice() async {
    await #expect(processExitsWith: .signal(SIGTERM)) {
      try synchronously {
        let listener = try Listener.bind(.loopback(port: 0))
        try listener.handle.stop(on: [SIGTERM])
        kill(getpid(), SIGTERM)
        try eventually("the stop") { listener.phase != .listening }
        // Until its default action ends the program: the hub restores it after the second one.
        try eventually("the end") {
          kill(getpid(), SIGTERM)
          return false
        }
      }
    }
  }

  @Test("a signal that cannot be caught is refused")
  func refused() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let error = try refusal { () throws(SocketError) in try listener.handle.stop(on: [SIGKILL]) }
    #expect(error.cause == .invalid("signal 9 cannot be caught"))
    listener.close()
  }
}
