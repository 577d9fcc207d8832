// Channel handlers on one event loop, after SwiftNIO's own echo server.
@preconcurrency import Glibc
import NIOCore
import NIOPosix

private final class EchoHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.write(data, promise: nil) }

  func channelReadComplete(context: ChannelHandlerContext) { context.flush() }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    fputs("\(error)\n", stderr)
    context.close(promise: nil)
  }
}

private final class CountHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer
  private var total: UInt64 = 0

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    total += UInt64(unwrapInboundIn(data).readableBytes)
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard let event = event as? ChannelEvent, event == .inputClosed else { return }
    context.writeAndFlush(wrapOutboundOut(ByteBuffer(integer: total)), promise: nil)
    context.close(promise: nil)
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    fputs("\(error)\n", stderr)
    context.close(promise: nil)
  }
}

@main
enum Server {
  static func main() async throws {
    guard CommandLine.arguments.count == 3 else {
      fputs("usage: nio echo|count BUFFER\n", stderr)
      exit(2)
    }
    let counting = CommandLine.arguments[1] == "count"
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let channel = try await ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 4096)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelOption(.allowRemoteHalfClosure, value: counting)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          if counting {
            try channel.pipeline.syncOperations.addHandler(CountHandler())
          } else {
            try channel.pipeline.syncOperations.addHandlers(BackPressureHandler(), EchoHandler())
          }
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    print("port \(channel.localAddress!.port!)")
    fflush(nil)
    try await channel.closeFuture.get()
  }
}
