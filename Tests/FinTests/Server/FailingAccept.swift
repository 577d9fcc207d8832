import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 9: a server whose accept fails", .onThreads)
struct FailingAccept {
  static let ofCapacity: [Errno] = [.tooManyOpenFiles, .tooManyOpenFilesInSystem, .noBufferSpace, .noMemory]
  static let ofTheListener: [Errno] = [.badFileDescriptor, .notSocket, .badAddress]

  @Test(
    "an error of accept about the listener ends serve: accepted clients are served, and the report says why",
    arguments: ofTheListener)
  func listener(_ code: Errno) throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let visitor = try Visitor(listener.localAddress.port!)
    // The second `accept` fails. The client that the first one took is served to its end all the same.
    let server = Running(listener, threads: 2, script: Script(.nth(2, .accept, .fail(code))), echo)
    #expect(try visitor.ask("x") == "x\n")
    let report = try server.thread.join(within: .seconds(20))
    #expect(report.failure?.cause == .system(code) && report.endings == [.peerFinished: 1], "\(report)")
    #expect("\(report)".contains("ended by: accept"))
    #expect(server.handle.phase == .closed)
  }

  @Test("a listener that other code shut down ends serve with a failure, and not with a busy loop", .faults(41))
  func shutDownByStranger() throws {
    let server = try Running(threads: 2, echo)
    _ = try Visitor(server.port).ask("x")
    shutdown(server.handle.core.number, CInt(SHUT_RD))
    let report = try server.thread.join(within: .seconds(20))
    #expect(report.failure?.cause == .system(.invalidArgument) && report.served == 1, "\(report)")
  }

  @Test(
    "serve survives a lack of descriptors or memory: it is counted, and the client is served", .faults(35),
    arguments: ofCapacity)
  func serveThroughCapacity(_ code: Errno) throws {
    let script = Script(.first(.accept, .fail(code)), .nth(2, .accept, .fail(code)))
    let listener = try Listener.bind(.loopback(port: 0))
    let visitor = try Visitor(listener.localAddress.port!)
    let server = Running(listener, threads: 2, script: script, echo)
    #expect(try visitor.ask("x") == "x\n")
    let report = try server.stop()
    #expect(report.endings == [.peerFinished: 1] && report.timesOutOfDescriptors == 1, "\(report)")
  }

  @Test("a lack of descriptors that outlasts the drain does not delay its end", .faults(35))
  func stopWithoutRoom() throws {
    let script = Script(.every(.accept, .fail(.tooManyOpenFiles)))
    let listener = try Listener.bind(.loopback(port: 0))
    let visitor = try Visitor(listener.localAddress.port!)
    let server = Running(listener, threads: 2, script: script, echo)
    try eventually("a refused accept") { script.count(.accept) > 0 }
    let report = try server.stop(within: .milliseconds(100))
    #expect(report.clientsReset == 1 && report.served == 0, "\(report)")
    #expect(visitor.next == .reset)
  }
}
