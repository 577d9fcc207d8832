import CPeers
import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite(
  "Promise 2: a pause keeps the clients in the queue of a TCP listener, unless it is asked to reset them", .onThreads)
struct PausingWithQueue {
  @Test("paused with a client in the queue: it stays, a later one waits in connect, and both are served afterwards")
  func keepsQueue() throws {
    let server = try Running(threads: 2, echo)
    let before = try Visitor(server.port)
    #expect(try before.exchange("a") == "a\n")
    try server.handle.pause()
    #expect(server.handle.phase == .paused)
    let address = server.address
    let late = onThread { try Connection.connect(to: address, within: .seconds(30)) }
    try steadily(for: .milliseconds(100), "connected", equals: false) { late.isFinished }
    #expect(try listeningQueue(server.port) == 0)
    // A conversation that is under way goes on.
    #expect(try before.exchange("b") == "b\n")
    try server.handle.resume()
    // Its kernel sends the lost segment again, after a second.
    let connection = try late.join(within: .seconds(30))
    try connection.send("c\n")
    #expect(try connection.receiveLine() == "c")
    connection.abort()
    let report = try server.stop()
    #expect(report.clientsReset == 0, "\(report)")
  }

  @Test("a client that is queued at the pause is accepted after the resumption")
  func queued() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let port = listener.localAddress.port!
    let visitor = try Visitor(port)
    try eventually("queued clients", equals: 1) { try listeningQueue(port) }
    try listener.pause()
    #expect(try refusal { () throws(SocketError) in try listener.accept(within: .seconds(5)) }.cause == .paused)
    #expect(try listeningQueue(port) == 1)
    try listener.resume()
    let connection = try listener.accept(within: .seconds(10))
    #expect(connection.remoteAddress?.port == visitor.socket.port)
    connection.abort()
    listener.close()
  }

  @Test("a listener that is stopped while it is paused serves its queue; one that is given away takes clients again")
  func stoppedAndGivenAway() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let port = listener.localAddress.port!
    let visitor = try Visitor(port)
    try eventually("queued clients", equals: 1) { try listeningQueue(port) }
    try listener.pause()
    listener.stop()
    let connection = try listener.accept(within: .seconds(10))
    #expect(connection.remoteAddress?.port == visitor.socket.port)
    connection.abort()
    #expect(try refusal { () throws(SocketError) in try listener.accept(within: .seconds(10)) }.cause == .closed)

    let other = try Listener.bind(.loopback(port: 0))
    let address = other.localAddress
    try other.pause()
    let descriptor = try other.detach()
    let adopted = try Listener.adopt(descriptor)
    let client = try Connection.connect(to: address, within: .milliseconds(900))
    let served = try adopted.accept(within: .seconds(10))
    #expect(served.remoteAddress == client.localAddress)
    client.abort()
    served.abort()
    adopted.close()
  }

  @Test("a filter that the program has attached stays: a pause refuses, and a stop takes another way")
  func foreignFilter() throws {
    try Self.expectToKeep(attach: { peers_attach_filter($0) }) { number in
      var length: socklen_t = 0
      _ = unsafe getsockopt(number, SOL_SOCKET, SO_ATTACH_FILTER, nil, &length)
      return length == 1
    }
  }

  @Test(
    "a filter of eBPF stays as well, although the kernel does not show it",
    .enabled(if: PausingWithQueue.mayLoadFilters, "needs the right to load an eBPF program: run as root"))
  func foreignExtendedFilter() throws {
    try Self.expectToKeep(attach: { peers_attach_extended_filter($0) }) { number in
      var length: socklen_t = 0
      return unsafe getsockopt(number, SOL_SOCKET, SO_ATTACH_FILTER, nil, &length) != 0 && errno == EACCES
    }
  }

  private static var mayLoadFilters: Bool {
    guard let socket = try? PlainSocket.listening() else { return false }
    return peers_attach_extended_filter(socket.descriptor) == 0
  }

  /// Attaches a filter that takes every packet to a listener, pauses and stops it.
  private static func expectToKeep(attach: (CInt) -> CInt, isAttached: (CInt) -> Bool) throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let port = listener.localAddress.port!
    let number = listener.handle.core.number(.blocking)
    #expect(attach(number) == 0)
    #expect(isAttached(number))
    do throws(SocketError) {
      try listener.pause()
      Issue.record("a pause replaced the program's filter")
    } catch { #expect(error.cause == .system(.fileExists)) }
    #expect(isAttached(number) && listener.phase == .listening)
    try listener.pause(resettingQueue: true)
    try listener.resume()
    #expect(isAttached(number))
    let visitors = try (0..<3).map { _ in try Visitor(port) }
    try eventually("queued clients", equals: 3) { try listeningQueue(port) }
    listener.stop()
    #expect(isAttached(number))
    for _ in visitors { try listener.accept(within: .seconds(20)).close(.background) }
    for visitor in visitors { #expect(visitor.next == .success(0)) }
    listener.close()
  }
}
