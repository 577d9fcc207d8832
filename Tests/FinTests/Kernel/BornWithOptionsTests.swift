import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 8: born safe: with the options that end waits", .onThreads)
struct BornWithOptions {
  private let times = Timeouts(
    send: .seconds(7), keepAlive: KeepAlive(idle: .seconds(21), interval: .seconds(5), count: 3))

  private func check(_ connection: borrowing Connection) throws {
    #expect(try connection.option(.noDelay))
    #expect(try connection.option(.userTimeout) == .seconds(7))
    #expect(try connection.option(.keepAlive))
    #expect(try connection.option(.keepAliveIdle) == .seconds(21))
    #expect(try connection.option(.keepAliveInterval) == .seconds(5))
    #expect(try connection.option(.keepAliveCount) == 3)
  }

  @Test(
    "keepalive, user timeout and no-delay, on the side that connects and on the one that accepts",
    arguments: StreamKind.tcp)
  func bothSides(kind: StreamKind) throws {
    let pair = try kind.connected(timeouts: times)
    try check(pair.first)
    try check(pair.second)
    pair.first.abort()
    pair.second.abort()
  }

  @Test("keepalive, user timeout and no-delay, after bind, listen and connect in steps, and through an endpoint")
  func inSteps() throws {
    let bound = try Socket(.ipv4, timeouts: times)
    try bound.bind(to: .loopback(port: 0))
    let listener = try bound.listen()
    let socket = try Socket(.ipv4, timeouts: times)
    let first = try socket.connect(to: listener.localAddress)
    let second = try Connection.connect(to: Endpoint(listener.localAddress), timeouts: times)
    let shared = try SharedConnection(unconnected: .ipv4, timeouts: times)
    try shared.connect(to: listener.localAddress)
    try check(first)
    try check(second)
    #expect(try shared.option(.userTimeout) == .seconds(7))
    for _ in 0..<3 {
      let accepted = try listener.accept(within: .seconds(10))
      try check(accepted)
      accepted.abort()
    }
    first.abort()
    second.abort()
    shared.abort()
    listener.close()
  }

  @Test("without a send timeout and keepalive times, neither option is set", arguments: StreamKind.tcp)
  func none(kind: StreamKind) throws {
    let pair = try kind.connected(timeouts: Timeouts(send: .never, keepAlive: nil))
    #expect(try pair.first.option(.userTimeout) == .zero)
    #expect(try pair.second.option(.userTimeout) == .zero)
    #expect(try !pair.first.option(.keepAlive))
    #expect(try !pair.second.option(.keepAlive))
    pair.first.abort()
    pair.second.abort()
  }

  @Test("SO_REUSEADDR on every stream listener", arguments: StreamKind.tcp)
  func reuseAddress(kind: StreamKind) throws {
    let listener = try Listener.bind(try kind.freshAddress)
    #expect(try listener.option(.reuseAddress))
    #expect(try !listener.option(.reusePort))
    listener.close()
    let socket = try Socket(kind == .ipv4 ? .ipv4 : .ipv6)
    try socket.bind(to: try kind.freshAddress)
    let second = try socket.listen()
    #expect(try second.option(.reuseAddress))
    second.close()
  }

  @Test("no socket is born with SO_LINGER", arguments: StreamKind.all)
  func noLinger(kind: StreamKind) throws {
    let pair = try kind.connected()
    let linger = SocketOption.raw("SO_LINGER", level: SOL_SOCKET, name: SO_LINGER, size: 8)
    #expect(try pair.first.option(linger) == [0, 0, 0, 0, 0, 0, 0, 0])
    #expect(try pair.second.option(linger) == [0, 0, 0, 0, 0, 0, 0, 0])
    pair.first.abort()
    pair.second.abort()
  }

  @Test("times longer than the kernel can count do not prevent a connection")
  func hugeTimes() throws {
    let pair = try StreamKind.ipv4.connected(timeouts: .all(.seconds(Int64.max)))
    #expect(try pair.first.option(.userTimeout) == .milliseconds(CInt.max))
    try pair.first.send("hello")
    #expect(try pair.second.receive(exactly: 5) == Array("hello".utf8))
    pair.first.abort()
    pair.second.abort()
  }

  @Test("keepalive times that the kernel refuses are an error that names the option")
  func refusedTimes() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let address = listener.localAddress
    let error = try refusal { () throws(SocketError) in
      try Connection.connect(to: address, timeouts: Timeouts(keepAlive: KeepAlive(idle: .seconds(100_000))))
    }
    #expect("\(error)".contains("out of the range of TCP_KEEPIDLE"), "\(error)")
    let count = try refusal { () throws(SocketError) in
      try Listener.bind(.loopback(port: 0), timeouts: Timeouts(keepAlive: KeepAlive(count: .max)))
    }
    #expect("\(count)".contains("TCP_KEEPCNT"), "\(count)")
    listener.close()
  }
}
