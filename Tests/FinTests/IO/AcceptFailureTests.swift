import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Errors of accept: one client's failure is not the listener's", .onThreads)
struct AcceptFailures {
  @Test(
    "errors of accept about one client, or about the network, are skipped", .faults(36),
    arguments: [
      Errno.connectionAbort, .interrupted, .protocolError, .protocolNotAvailable, .networkDown, .hostIsDown,
      Errno(rawValue: ENONET), .noRouteToHost, .networkUnreachable, Errno(rawValue: ENOSR),
      .socketTypeNotSupported, .protocolNotSupported, .timedOut, .connectionReset,
    ])
  func passedOver(code: Errno) throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let client = try Connection.connect(to: listener.localAddress)
    let script = Script(.first(.accept, .fail(code)), .nth(2, .accept, .fail(code)))
    let server = try scripted(script) { () throws in try listener.accept(within: .seconds(10)) }
    #expect(script.count(.accept) == 3)
    #expect(server.remoteAddress == client.localAddress)
    server.abort()
    client.abort()
    listener.close()
  }

  @Test(
    "errors of accept that mean the socket is no listener are thrown at once",
    arguments: [Errno.badFileDescriptor, .notSocket, .badAddress])
  func fatal(code: Errno) throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let script = Script(.every(.accept, .fail(code)))
    let error = try scripted(script) { () throws in
      try refusal { () throws(SocketError) in try listener.accept(within: .seconds(10)) }
    }
    #expect(error.cause == .system(code))
    #expect(script.count(.accept) == 1)
    listener.close()
  }

  @Test(
    "accept without descriptors or memory, no client queued: it waits as usual, and accepts the next client",
    .faults(35, 36),
    arguments: [Errno.tooManyOpenFiles, .tooManyOpenFilesInSystem, .noBufferSpace, .noMemory])
  func noRoomNobody(code: Errno) throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let script = Script(.first(.accept, .fail(code)), .nth(2, .accept, .fail(code)))
    try scripted(script) { () throws in
      let error = try refusal { () throws(SocketError) in try listener.accept(within: .milliseconds(20)) }
      #expect(error.cause == .timedOut)
      // No busy loop: `accept` was called only once.
      #expect(script.count(.accept) == 1)
    }
    // `accept` fails again while no client is queued. The client connects while the listener waits.
    let address = listener.localAddress
    let comes = Script(
      .first(.accept, .fail(code)),
      .nth(2, .poll, .before { _ = try? PlainSocket.connected(to: "127.0.0.1", port: address.port ?? 0).detach() }))
    let server = try scripted(comes) { () throws in try listener.accept(within: .seconds(10)) }
    #expect(comes.count(.accept) == 2)
    server.abort()
    listener.close()
  }

  @Test(
    "accept without descriptors or memory, a client queued: it throws, and the client stays queued", .faults(35, 36),
    arguments: [Errno.tooManyOpenFiles, .tooManyOpenFilesInSystem, .noBufferSpace, .noMemory])
  func noRoomSomebody(code: Errno) throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let client = try Connection.connect(to: listener.localAddress)
    // Each call fails twice: it checks whether a client is queued, and retries `accept` if so.
    let script = Script(
      .first(.accept, .fail(code)), .nth(2, .accept, .fail(code)), .nth(3, .accept, .fail(code)),
      .nth(4, .accept, .fail(code)))
    try scripted(script) { () throws in
      for _ in 0..<2 {
        let error = try refusal { () throws(SocketError) in try listener.accept(within: .seconds(10)) }
        #expect(error.cause == .system(code))
        #expect(listener.phase == .listening)
      }
      let server = try listener.accept(within: .seconds(10))
      #expect(server.remoteAddress == client.localAddress)
      server.abort()
    }
    client.abort()
    listener.close()
  }

  @Test(
    "accept briefly without descriptors or memory: a client that connects afterwards is accepted", .faults(35, 36),
    arguments: [Errno.tooManyOpenFiles, .tooManyOpenFilesInSystem, .noBufferSpace, .noMemory])
  func roomAgain(code: Errno) throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let client = try Connection.connect(to: listener.localAddress)
    let script = Script(.first(.accept, .fail(code)))
    let server = try scripted(script) { () throws in try listener.accept(within: .seconds(10)) }
    #expect(script.count(.accept) == 2 && server.remoteAddress == client.localAddress)
    server.abort()
    client.abort()
    listener.close()
  }

  @Test(
    "a client that was reset in the queue is accepted as a connection whose first receive reports the reset",
    .faults(37))
  func resetInTheQueue() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let client = try PlainSocket.connected(to: "127.0.0.1", port: listener.localAddress.port ?? 0)
    let port = client.port
    try client.send([1, 2])
    client.abort()
    try eventually("the reset") { try KernelView.tcp(localPort: listener.localAddress.port, remotePort: port).isEmpty }
    let server = try listener.accept(within: .seconds(10))
    #expect(server.remoteAddress == .loopback(port: port))
    let error = try refusal { () throws(SocketError) in try server.receive(exactly: 3) }
    #expect(error.cause == .reset)
    #expect(error.remoteAddress == .loopback(port: port))
    // The listener goes on.
    let next = try Connection.connect(to: listener.localAddress)
    let good = try listener.accept(within: .seconds(10))
    #expect(good.remoteAddress == next.localAddress)
    good.abort()
    next.abort()
    server.abort()
    listener.close()
  }

  @Test("clients that were reset in the queue are counted by their ending, and the next one is served", .faults(37))
  func resetInTheQueueOfAServer() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let handle = listener.handle
    let port = listener.localAddress.port ?? 0
    for _ in 0..<3 { try PlainSocket.connected(to: "127.0.0.1", port: port).abort() }
    let good = try PlainSocket.connected(to: "127.0.0.1", port: port)
    try good.send(Array("hello\n".utf8))
    let client = onThread(taking: good) { good in
      let reply = try good.receive()
      good.close()
      handle.stop()
      return reply
    }
    let report = listener.serve(threads: 2) { connection throws in
      while let line = try connection.receiveLine() { try connection.send("\(line)!\n") }
    }
    #expect(try client.join() == Array("hello!\n".utf8))
    #expect(report.failure == nil)
    #expect(report.served == 4)
  }
}
