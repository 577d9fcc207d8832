import Fin
import FinToNIO
import Hummingbird
import HummingbirdCore
import Logging
import NIOCore
import NIOExtras
import NIOPosix
import ServiceLifecycle
import Synchronization

/// Hummingbird's routes on a listener of Fin's, as a service of swift-service-lifecycle.
///
/// `Application` of Hummingbird binds an address. This binds nothing: it gives the sockets of a listener to SwiftNIO and
/// runs Hummingbird's channels on them.
final class HummingbirdOnFin<Responder: HTTPResponder>: Service
where Responder.Context: InitializableFromSource<ApplicationRequestContextSource> {
  let logger = Logger(label: "hummingbird-server")
  private let responder: Responder
  private let listener: Mutex<Listener?>
  private let drains = Mutex<[ServerQuiescingHelper]>([])

  init<Builder: HTTPResponderBuilder>(_ router: Builder, on listener: consuming Listener)
  where Builder.Responder == Responder {
    responder = router.buildResponder()
    self.listener = Mutex(listener)
  }

  /// Serves until the shutdown begins; then accepts nobody, and returns when each request is answered.
  func run() async throws {
    guard let listener = listener.withLock({ $0.take() }) else { preconditionFailure("a service runs once") }
    let group = MultiThreadedEventLoopGroup.singleton
    let http = HTTP1Channel { [responder, logger] request, writer, channel in
      let context = Responder.Context(source: ApplicationRequestContextSource(channel: channel, logger: logger))
      let response = try await responder.respond(to: request, context: context)
      try await writer.write(response: response.head, body: response.body)
    }
    let bootstrap = ServerBootstrap(group: group)
      .serverChannelInitializer { channel in
        let drain = ServerQuiescingHelper(group: group)
        self.drains.withLock { $0.append(drain) }
        return channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandler(drain.makeServerChannelHandler(channel: channel))
        }
      }
      .childChannelOption(ChannelOptions.allowRemoteHalfClosure, value: true)
    let channels = try await bootstrap.bind(listener) { [logger] channel in http.setup(channel: channel, logger: logger)
    }
    await withGracefulShutdownHandler {
      await withDiscardingTaskGroup { tasks in
        for channel in channels {
          tasks.addTask { [logger] in
            try? await channel.executeThenClose { clients in
              await withDiscardingTaskGroup { tasks in
                do {
                  for try await client in clients { tasks.addTask { await http.handle(value: client, logger: logger) } }
                } catch { logger.error("accepting ended: \(error)") }
              }
            }
          }
        }
      }
    } onGracefulShutdown: {
      for drain in self.drains.withLock({ $0 }) { drain.initiateShutdown(promise: nil) }
    }
  }
}
