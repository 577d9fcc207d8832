@testable import Fin
import Glibc
import Peers
import SystemPackage
import Testing

@Suite("Promise 9: what accept says, and whose failure it is")
struct AcceptFailures {
  static let ofOneClient: [Errno] = [
    .connectionAbort, .interrupted, .connectionReset, .timedOut, .networkDown, .networkUnreachable, .hostIsDown,
    .noRouteToHost, .socketTypeNotSupported, .protocolNotSupported, .protocolError, .protocolNotAvailable,
    .notPermitted, Errno(rawValue: ENONET), Errno(rawValue: ENOSR),
  ]
  static let ofCapacity: [Errno] = [.tooManyOpenFiles, .tooManyOpenFilesInSystem, .noBufferSpace, .noMemory]
  static let ofTheListener: [Errno] = [.badFileDescriptor, .notSocket, .badAddress, .notSupportedOnSocket]

  @Test("what is wrong with one client is passed over: the next is taken", .faults(36), arguments: ofOneClient)
  func client(_ code: Errno) throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let visitor = try Visitor(listener.address.port!)
    let script = Script(.first(.accept, .fail(code)), .nth(2, .accept, .fail(code)))
    var served: Connection?
    try Seam.$script.withValue(script) { served = try listener.accept(within: .seconds(10)) }
    #expect(served?.peerAddress?.port == visitor.socket.port)
    #expect(script.count(.accept) == 3)
    served.take()?.close(.abort)
    listener.close()
  }

  @Test("no room for a client that waits: said at once, and the client stays in the queue", .faults(35), arguments: ofCapacity)
  func capacity(_ code: Errno) throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let visitor = try Visitor(listener.address.port!)
    let script = Script(.first(.accept, .fail(code)))
    var served: Connection?
    var error: SocketError?
    Seam.$script.withValue(script) {
      do throws(SocketError) { served = try listener.accept(within: .seconds(10)) } catch let failure { error = failure }
    }
    #expect(error?.cause == .system(code))
    served = try listener.accept(within: .seconds(10))
    #expect(served?.peerAddress?.port == visitor.socket.port)
    served.take()?.close(.abort)
    listener.close()
  }

  @Test("no room, but no client either: accept waits as if nothing were amiss", .faults(35), arguments: ofCapacity)
  func capacityWithoutClient(_ code: Errno) throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let script = Script(.every(.accept, .fail(code)))
    var error: SocketError?
    Seam.$script.withValue(script) {
      do throws(SocketError) { try listener.accept(within: .milliseconds(30)).abort() } catch let failure {
        error = failure
      }
    }
    #expect(error?.cause == .timedOut)
    #expect(script.count(.accept) < 10)
    listener.close()
  }

  @Test("what is wrong with the listener is told by accept, and ends serve with its report", arguments: ofTheListener)
  func listener(_ code: Errno) throws {
    let listener = try Listener.bind(.loopback(port: 0))
    var error: SocketError?
    Seam.$script.withValue(Script(.first(.accept, .fail(code)))) {
      do throws(SocketError) { try listener.accept(within: .seconds(10)).abort() } catch let failure { error = failure }
    }
    #expect(error?.cause == .system(code) && error?.operation == .accept)
    let visitor = try Visitor(listener.address.port!)
    // The second call: the first client is served to its end all the same.
    let server = Running(listener, threads: 2, script: Script(.nth(2, .accept, .fail(code))), echo)
    #expect(try visitor.ask("x") == "x\n")
    let report = try server.thread.join(within: .seconds(20))
    #expect(report.failure?.cause == .system(code) && report.endings == [.peerFinished: 1], "\(report)")
    #expect("\(report)".contains("ended by: accept"))
    #expect(server.handle.phase == .closed)
  }

  @Test("a listener that somebody else shut down is a failure, not a loop", .faults(41))
  func shutDownByStranger() throws {
    let server = try Running(threads: 2, echo)
    _ = try Visitor(server.port).ask("x")
    shutdown(server.handle.core.number, CInt(SHUT_RD))
    let report = try server.thread.join(within: .seconds(20))
    #expect(report.failure?.cause == .system(.invalidArgument) && report.served == 1, "\(report)")
  }

  @Test("serve lives through a want of room: it is counted, and the client is served", .faults(35), arguments: ofCapacity)
  func serveThroughCapacity(_ code: Errno) throws {
    let script = Script(.first(.accept, .fail(code)), .nth(2, .accept, .fail(code)))
    let listener = try Listener.bind(.loopback(port: 0))
    let visitor = try Visitor(listener.address.port!)
    let server = Running(listener, threads: 2, script: script, echo)
    #expect(try visitor.ask("x") == "x\n")
    let report = try server.stop()
    #expect(report.endings == [.peerFinished: 1] && report.timesOutOfDescriptors == 1, "\(report)")
  }

  @Test("a want of room that lasts beyond the drain does not hold up its end", .faults(35))
  func stopWithoutRoom() throws {
    let script = Script(.every(.accept, .fail(.tooManyOpenFiles)))
    let listener = try Listener.bind(.loopback(port: 0))
    let visitor = try Visitor(listener.address.port!)
    let server = Running(listener, threads: 2, script: script, echo)
    try eventually("a refused accept") { script.count(.accept) > 0 }
    let report = try server.stop(within: .milliseconds(100))
    #expect(report.clientsReset == 1 && report.served == 0, "\(report)")
    #expect(visitor.next == .reset)
  }
}
