// Channel handlers on one event loop behind NIOSSLServerHandler, after the TLS echo server of SwiftNIO SSL.
@preconcurrency import Glibc
import NIOCore
import NIOPosix
import NIOSSL

private final class EchoHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias OutboundOut = ByteBuffer

  func channelRead(context: ChannelHandlerContext, data: NIOAny) { context.write(data, promise: nil) }

  func channelReadComplete(context: ChannelHandlerContext) { context.flush() }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    // An idle client that is killed ends without close_notify, which is no fault of the server.
    if !(error is NIOSSLError && "\(error)".contains("uncleanShutdown")) { fputs("\(error)\n", stderr) }
    context.close(promise: nil)
  }
}

@main
enum Server {
  static func main() async throws {
    let words = CommandLine.arguments
    guard words.count == 4, words[2] == "echo" else {
      fputs("usage: nio-secured FOLDER echo BUFFER\n", stderr)
      exit(2)
    }
    let chain = try NIOSSLCertificate.fromPEMFile(words[1] + "/cert.pem").map(NIOSSLCertificateSource.certificate)
    let key = try NIOSSLPrivateKey(file: words[1] + "/key.pem", format: .pem)
    var settings = TLSConfiguration.makeServerConfiguration(certificateChain: chain, privateKey: .privateKey(key))
    settings.minimumTLSVersion = .tlsv12
    let tls = try NIOSSLContext(configuration: settings)
    let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    let channel = try await ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 4096)
      .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.addHandlers(
            NIOSSLServerHandler(context: tls), BackPressureHandler(), EchoHandler())
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    print("port \(channel.localAddress!.port!)")
    fflush(nil)
    try await channel.closeFuture.get()
  }
}
