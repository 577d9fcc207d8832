import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Another holder may make a shared open file description blocking: every timeout still holds", .onThreads)
struct BlockingDescriptions {
  private static let limit = Timeout.milliseconds(100)

  /// Runs `body` in a task on a thread of its own, which a blocking call would hold.
  private func inATask(_ body: @escaping @Sendable () async throws -> Void) throws -> SocketError {
    try errand(on: OwnThread(), body).refusal(within: .seconds(8))
  }

  private func inAThread(_ body: @escaping @Sendable () throws(SocketError) -> Void) throws -> SocketError {
    try onThread { try refusal(body) }.join(within: .seconds(8))
  }

  @Test("a receive on a blocking description keeps its timeout, on every kind of stream", arguments: StreamKind.all)
  func receiving(kind: StreamKind) throws {
    let pair = try kind.connected()
    let first = pair.first.share()
    let second = pair.second.share()
    OtherHolder.makeBlocking(try first.lent())
    #expect(
      try inAThread { () throws(SocketError) in _ = try first.receive(upTo: 1, within: BlockingDescriptions.limit) }
        .cause == .timedOut)
    #expect(
      try inAThread { () throws(SocketError) in _ = try first.receiveLine(within: BlockingDescriptions.limit) }.cause
        == .timedOut)
    #expect(try inATask { _ = try await first.receive(upTo: 1, within: BlockingDescriptions.limit) }.cause == .timedOut)
    second.abort()
    first.abort()
  }

  @Test(
    "a send on a blocking description keeps its timeout when the peer does not read, on every kind of stream",
    arguments: StreamKind.all)
  func sending(kind: StreamKind) throws {
    let pair = try kind.connected()
    let first = pair.first.share()
    let second = pair.second.share()
    OtherHolder.makeBlocking(try first.lent())
    let plenty = [UInt8](repeating: 7, count: 16 << 20)
    #expect(
      try inAThread { () throws(SocketError) in try first.send(plenty, within: BlockingDescriptions.limit) }.cause
        == .timedOut)
    #expect(
      try inAThread { () throws(SocketError) in
        try first.send(gathering: [plenty, plenty], within: BlockingDescriptions.limit)
      }
      .cause == .timedOut)
    #expect(try inATask { try await first.send(plenty, within: BlockingDescriptions.limit) }.cause == .timedOut)
    second.abort()
    first.abort()
  }

  @Test("datagrams on a blocking description keep their timeouts, both ways", arguments: [AddressFamily.ipv4, .unix])
  func datagrams(family: AddressFamily) throws {
    let home: SocketAddress = family == .unix ? try StreamKind.unix.freshAddress : .loopback(port: 0)
    let socket = try DatagramSocket.bind(home).share()
    OtherHolder.makeBlocking(try socket.lent())
    #expect(
      try inAThread { () throws(SocketError) in _ = try socket.receive(within: BlockingDescriptions.limit) }.cause
        == .timedOut)
    #expect(try inATask { _ = try await socket.receive(within: BlockingDescriptions.limit) }.cause == .timedOut)
    if family == .unix {
      let sender = try DatagramSocket(.unix).share()
      OtherHolder.makeBlocking(try sender.lent())
      let error = try inAThread { () throws(SocketError) in
        while true { try sender.send([1], to: home, within: BlockingDescriptions.limit) }
      }
      #expect(error.cause == .timedOut)
      sender.close()
    }
    socket.close()
  }

  @Test(
    "accept on a blocking description keeps its timeout, without a client and with one",
    arguments: StreamKind.all.filter { $0 != .pair })
  func accepting(kind: StreamKind) throws {
    let keeper = Keeper(try Listener.bind(try kind.freshAddress))
    OtherHolder.makeBlocking(try keeper.listener.lent())
    #expect(
      try inAThread { () throws(SocketError) in
        try keeper.listener.accept(within: BlockingDescriptions.limit).abort()
      }.cause == .timedOut)
    #expect(
      try inATask { try await keeper.listener.accept(within: BlockingDescriptions.limit).abort() }.cause == .timedOut)
    let client = try Connection.connect(to: keeper.listener.localAddress, within: .seconds(10))
    let server = try keeper.listener.accept(within: .seconds(10))
    server.abort()
    client.abort()
    keeper.end()
  }

  @Test("connect on a blocking description does not wait inside the kernel, in a thread and in a task")
  func connecting() throws {
    let keeper = Keeper(try Listener.bind(try StreamKind.unix.freshAddress, backlog: 0))
    let address = keeper.listener.localAddress
    var queued: [SharedConnection] = []
    while let one = try? Connection.connect(to: address, within: .zero) { queued.append(one.share()) }
    for isInTask in [false, true] {
      let shared = try SharedConnection(unconnected: .unix)
      OtherHolder.makeBlocking(try shared.lent())
      let error =
        isInTask
        ? try inATask { try await shared.connect(to: address, within: BlockingDescriptions.limit) }
        : try inAThread { () throws(SocketError) in try shared.connect(to: address, within: BlockingDescriptions.limit)
        }
      #expect(error.cause == .timedOut)
    }
    for connection in queued { connection.abort() }
    keeper.end()
  }

  @Test("a close on a blocking description reads what a Unix peer still sends without waiting for it")
  func closing() throws {
    let pair = try Connection.pair()
    let first = pair.first.share()
    let second = pair.second.share()
    try first.send("x")
    OtherHolder.makeBlocking(try first.lent())
    let report = try onThread { first.close(.confirmed(within: .milliseconds(100))) }.join(within: .seconds(8))
    #expect(report.ending == .timedOut(.confirming), "\(report)")
    second.abort()
  }
}
