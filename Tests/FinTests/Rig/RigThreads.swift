import Peers
import TestTraits
import Testing

@Suite("Rig: threads and deadlines", .onThreads)
struct RigThreads {
  @Test("join returns the thread's value")
  func value() throws {
    #expect(try onThread { 6 * 7 }.join() == 42)
  }

  @Test("join throws what the thread throws")
  func failure() {
    #expect(throws: RigError("no")) { try onThread { () throws -> Int in throw RigError("no") }.join() }
  }

  @Test("joining a thread that does not end is an error, not a hang")
  func timeOut() throws {
    let listener = try PlainSocket.listening()
    let thread = onThread { () throws -> Int in
      _ = try listener.accept()
      return 0
    }
    let error = #expect(throws: TimedOut.self) { try thread.join(within: .milliseconds(100)) }
    #expect(error?.awaited.contains("RigThreads.swift") == true, "\(String(describing: error))")
    #expect(!thread.isFinished)
  }

  @Test("a noncopyable owner can be moved into a thread and back")
  func owners() throws {
    let listener = try PlainSocket.listening()
    let port = listener.port
    let thread = onThread(taking: listener) { listener in
      let accepted = try listener.accept()
      listener.close()
      return accepted
    }
    let client = try PlainSocket.connected(to: "127.0.0.1", port: port)
    let accepted = try thread.join()
    try client.send(Array("hello".utf8))
    client.close()
    #expect(try accepted.receiveAll() == Array("hello".utf8))
  }

  @Test("eventually waits for a condition that comes late, and names one that never comes")
  func eventual() throws {
    let deadline = Deadline.after(.milliseconds(20))
    try eventually("the deadline") { deadline.hasPassed }
    let error = #expect(throws: TimedOut.self) {
      try eventually(within: .milliseconds(20), "the answer", equals: 42) { 41 }
    }
    #expect(error?.awaited == "the answer is 42; it is 41")
  }

  @Test("two hundred threads can run at once")
  func many() throws {
    let threads = (0..<200).map { number in onThread { number } }
    #expect(try threads.map { try $0.join() } == Array(0..<200))
  }
}
