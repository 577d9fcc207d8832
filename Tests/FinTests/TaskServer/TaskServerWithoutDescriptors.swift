import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 9: a server in tasks that is out of descriptors", .onThreads)
struct TaskServerWithoutDescriptors {
  @Test(
    "forty clients, 24 descriptors: spare descriptors are closed and reopened, all are served, nothing spins",
    .faults(35))
  func forty() async {
    await #expect(processExitsWith: .success) {
      try DescriptorTable.apart { try TaskServerWithoutDescriptors.serveForty($0) }
    }
  }

  @Test(
    "a lack of descriptors or memory in a server in tasks is counted, and the client is served", .faults(35),
    arguments: FailingAccept.ofCapacity.map(\.rawValue))
  func capacity(_ code: CInt) throws {
    let answer = ScriptedResult.fail(.init(rawValue: code))
    let script = Script(.first(.accept, answer), .nth(2, .accept, answer))
    let listener = try Listener.bind(.loopback(port: 0))
    let visitor = try Visitor(listener.localAddress.port!)
    let server = try ServingInTask(listener, script: script, echoInTask)
    #expect(try visitor.ask("x") == "x\n")
    let report = try server.stop()
    #expect(report.endings == [.peerFinished: 1] && report.timesOutOfDescriptors == 1, "\(report)")
  }

  @Test("a lack of descriptors that outlasts the drain does not delay the end of a server in tasks", .faults(35))
  func stopWithoutRoom() throws {
    for isCancelled in [false, true] {
      let script = Script(.every(.accept, .fail(.tooManyOpenFiles)))
      let listener = try Listener.bind(.loopback(port: 0))
      let visitor = try Visitor(listener.localAddress.port!)
      let server = try ServingInTask(listener, script: script, echoInTask)
      try eventually(within: .seconds(20), "a refused accept") { script.count(.accept) > 0 }
      if isCancelled { server.task.cancel() } else { server.handle.stop(within: .milliseconds(100)) }
      let report = try server.task.join()
      #expect(report.clientsReset == 1 && report.served == 0 && report.failure == nil, "\(report)")
      #expect(visitor.next == .reset)
    }
  }

  private static func serveForty(_ table: DescriptorTable) throws {
    let owner = Keeper(try Listener.bind(.loopback(port: 0)))
    let handle = owner.listener.handle
    let port = owner.listener.localAddress.port!
    let visitors = try (0..<40).map { _ in try Visitor(port) }
    for visitor in visitors { try visitor.socket.send([65]) }
    // The server's event loops open their descriptors beforehand.
    let reactor = try Reactor(loops: 2)
    let bells = try KernelView.openDescriptors().count { $0.target == "anon_inode:[eventfd]" }
    func reserve() -> Int? {
      (try? KernelView.openDescriptors())?.count { $0.target == "anon_inode:[eventfd]" }.advanced(by: -bells)
    }
    let arrived = Tally()
    try table.leaving(24) {
      let task = Working(on: reactor.executor) {
        await owner.listener.serve(on: reactor) { connection in
          _ = try await connection.receive(exactly: 1)
          arrived.add()
          _ = try await connection.receiveLine()
          try await connection.send("done")
        }
      }
      try eventually(within: .seconds(20), "handlers") { arrived.value >= 10 }
      // The server closes its spare descriptors while more clients are queued than descriptors are free.
      try eventually(within: .seconds(20), "an empty reserve", equals: 0) { reserve() }
      try steadily(for: .milliseconds(300), "clients wait", equals: true) {
        try TCPInfo.read(handle.core.number).segmentsUnacknowledged ?? 0 > 0
      }
      let before = processTime()
      try steadily(for: .milliseconds(500), "clients wait", equals: true) {
        try TCPInfo.read(handle.core.number).segmentsUnacknowledged ?? 0 > 0
      }
      // Half of what one spinning thread would use. The test itself polls a hundred times.
      check(processTime() - before < .milliseconds(250), "it used \(processTime() - before) of 500 ms")
      for (number, visitor) in visitors.enumerated() {
        let answer = try visitor.ask("\(number)")
        check(answer == "done", "visitor \(number) got \(answer)")
      }
      try eventually(within: .seconds(20), "the whole reserve", equals: 8) { reserve() }
      handle.stop()
      let report = try task.join(within: .seconds(30))
      check(report.endings == [.peerFinished: 40], "\(report)")
      check(report.handlersFailed == 0 && report.clientsReset == 0 && report.failure == nil, "\(report)")
      check((1...50).contains(report.timesOutOfDescriptors), "\(report)")
    }
  }
}

/// The processor time of this process.
private func processTime() -> Duration {
  var time = timespec()
  unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
}
