import Fin
import FinToNIO
import NIOCore
import NIOPosix
import Testing

/// Sends back what it receives, in capitals: a handler of SwiftNIO's that knows nothing of Fin.
private final class Capitals: ChannelInboundHandler, Sendable {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    let text = String(buffer: unwrapInboundIn(data)).uppercased()
    context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text)), promise: nil)
  }
}

private let group = MultiThreadedEventLoopGroup.singleton

@Suite("SwiftNIO takes sockets of Fin's as they are", .timeLimit(.minutes(2)))
struct ToNIO {
  @Test(
    "a listener: a client in its queue is served, the backlog stays, and its descriptor is closed once",
    .enabled(if: exists("ss")))
  func listener() async throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let (place, port) = (listener.localAddress, try #require(listener.localAddress.port))
    // It is accepted by nobody yet.
    let early = try await Connection.connect(to: place)
    try await early.send("early")
    let channels = try await ServerBootstrap(group: group).bind(listener) { channel in
      channel.pipeline.addHandler(Capitals()).map { channel }
    }
    #expect(channels.count == 1)
    #expect(try backlog(ofPort: port) == min(Listener.defaultBacklog, largestBacklog()))
    let serving = Task { try await channels[0].executeThenClose { clients in for try await _ in clients {} } }
    #expect(try await early.receive(exactly: 5) == Array("EARLY".utf8))
    let late = try await Connection.connect(to: place)
    try await late.send("late")
    #expect(try await late.receive(exactly: 4) == Array("LATE".utf8))
    let earlyEnd = await early.close().ending
    #expect(earlyEnd == .peerFinished)
    let lateEnd = await late.close().ending
    #expect(lateEnd == .peerFinished)
    try await channels[0].channel.close()
    _ = await serving.result
    await #expect { await (try await Connection.connect(to: place)).close() } throws: { error in
      (error as? SocketError)?.cause == .system(.connectionRefused)
    }
  }

  @Test("a listener with two addresses has a channel for each")
  func severalAddresses() async throws {
    let listener = try await Listener.bind("localhost:0")
    let places = listener.localAddresses
    let channels = try await ServerBootstrap(group: group).bind(listener) { channel in
      channel.pipeline.addHandler(Capitals()).map { channel }
    }
    #expect(channels.count == places.count)
    await withThrowingTaskGroup { tasks in
      for channel in channels {
        tasks.addTask { try await channel.executeThenClose { clients in for try await _ in clients {} } }
      }
      for place in places {
        do {
          let client = try await Connection.connect(to: place)
          try await client.send("hello")
          #expect(try await client.receive(exactly: 5) == Array("HELLO".utf8))
          let clientEnd = await client.close().ending
          #expect(clientEnd == .peerFinished)
        } catch { Issue.record(error) }
      }
      for channel in channels { try? await channel.channel.close() }
    }
  }

  @Test("a connection in the middle of a conversation: bytes that were received and not read come first, then the rest")
  func connection() async throws {
    let pair = try Connection.pair(over: .tcp)
    let client = pair.first.share()
    try await client.send("hello\nworld, ")
    let server = pair.second
    // This leaves "world, " in Fin's buffer.
    #expect(try await server.receiveLine() == "hello")
    let channel = try await ClientBootstrap(group: group).take(server) { channel in
      channel.pipeline.addHandler(Capitals()).map { channel }
    }
    try await client.send("here I am")
    #expect(try await client.receive(exactly: 16) == Array("WORLD, HERE I AM".utf8))
    try await client.finishSending()
    #expect(try await client.receive(upTo: 1) == nil)
    try await channel.closeFuture.get()
    let clientEnd = await client.close().ending
    #expect(clientEnd == .peerFinished)
  }

  @Test("serve gives each client to SwiftNIO: Fin's limits and stop count it as given away")
  func served() async throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let (place, handle) = (listener.localAddress, listener.handle)
    let clients = Task {
      defer { handle.stop(within: .seconds(60)) }
      for _ in 0..<3 {
        let client = try await Connection.connect(to: place)
        try await client.send("hello")
        #expect(try await client.receive(exactly: 5) == Array("HELLO".utf8))
        let clientEnd = await client.close().ending
        #expect(clientEnd == .peerFinished)
      }
    }
    let report = await listener.serve { connection in
      let channel = try await ClientBootstrap(group: group).take(connection) { channel in
        channel.pipeline.addHandler(Capitals()).map { channel }
      }
      try await channel.closeFuture.get()
    }
    try await clients.value
    #expect(report.endings == [.detached: 3] && report.handlersFailed == 0, "\(report)")
  }
}
