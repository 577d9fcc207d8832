// NIOAsyncChannel, with one child task for each connection, after SwiftNIO's own TCP echo server.
@preconcurrency import Glibc
import NIOCore
import NIOPosix

@main
enum Server {
  static func main() async throws {
    guard CommandLine.arguments.count == 3 else {
      fputs("usage: nio-async echo|count BUFFER\n", stderr)
      exit(2)
    }
    let counting = CommandLine.arguments[1] == "count"
    let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup(numberOfThreads: 1))
      .serverChannelOption(.backlog, value: 4096)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.allowRemoteHalfClosure, value: true)
      .bind(host: "127.0.0.1", port: 0) { channel in
        channel.eventLoop.makeCompletedFuture {
          try NIOAsyncChannel<ByteBuffer, ByteBuffer>(wrappingChannelSynchronously: channel)
        }
      }
    print("port \(channel.channel.localAddress!.port!)")
    fflush(nil)

    try await withThrowingDiscardingTaskGroup { group in
      try await channel.executeThenClose { inbound in
        for try await connection in inbound {
          group.addTask { await serve(connection, counting: counting) }
        }
      }
    }
  }

  private static func serve(_ connection: NIOAsyncChannel<ByteBuffer, ByteBuffer>, counting: Bool) async {
    do {
      try await connection.executeThenClose { inbound, outbound in
        var total: UInt64 = 0
        for try await piece in inbound {
          if counting { total += UInt64(piece.readableBytes) } else { try await outbound.write(piece) }
        }
        if counting { try await outbound.write(ByteBuffer(integer: total)) }
      }
    } catch {
      fputs("\(error)\n", stderr)
    }
  }
}
