import Fin
import Glibc
import NIOCore
import NIOPosix

extension ServerBootstrap {
  /// Gives a listener of Fin's to SwiftNIO, with the clients in its queue. NIO owns its sockets then, and closes them.
  ///
  /// - Parameters:
  ///   - listener: a listener that was bound, inherited from a service manager, or taken over from a predecessor.
  ///   - backlog: the backlog of the sockets. NIO's own would be 128, also for a queue that others share.
  ///   - initializer: prepares the channel of each client.
  /// - Returns: a channel for each socket of the listener: `localhost` has two.
  public func bind<Output: Sendable>(
    _ listener: consuming Listener, backlog: CInt = CInt(Listener.defaultBacklog),
    initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Output>
  ) async throws -> [NIOAsyncChannel<Output, Never>] {
    var channels: [NIOAsyncChannel<Output, Never>] = []
    for descriptor in try listener.detachAll() {
      channels.append(try await bind(descriptor.rawValue, childChannelInitializer: initializer))
      // The channel has just been made: nothing can have closed its descriptor.
      _ = listen(descriptor.rawValue, backlog)
    }
    return channels
  }
}

extension ClientBootstrap {
  /// Gives a connection of Fin's to SwiftNIO, with the bytes that were received and not read. NIO owns it then.
  ///
  /// - Throws: `.closed` when a stop has closed it meanwhile; `.invalid` for a secured connection, whose keys belong to
  ///   its descriptor, and which is aborted; the errors of NIO.
  public func take<Output: Sendable>(
    _ connection: consuming Connection,
    initializer: @escaping @Sendable (any Channel) -> EventLoopFuture<Output>
  ) async throws -> Output {
    let detached = try connection.detach()
    return try await withConnectedSocket(detached.descriptor.rawValue) { channel in
      initializer(channel).flatMapThrowing { output in
        if !detached.unread.isEmpty {
          try channel.pipeline.syncOperations.addHandler(Unread(bytes: detached.unread), position: .first)
        }
        return output
      }
    }
  }
}

/// Passes the bytes that Fin had received, before those that the channel reads itself.
private final class Unread: ChannelInboundHandler, RemovableChannelHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer

  private let bytes: [UInt8]

  init(bytes: [UInt8]) { self.bytes = bytes }

  func channelActive(context: ChannelHandlerContext) {
    context.fireChannelActive()
    context.fireChannelRead(wrapInboundOut(ByteBuffer(bytes: bytes)))
    context.fireChannelReadComplete()
    context.pipeline.syncOperations.removeHandler(context: context, promise: nil)
  }
}
