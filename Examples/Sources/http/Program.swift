import Fin
import Glibc
import HTTPExample
import HTTPTypes

/// A server and a client of HTTP/1.1: `http serve localhost:8080`, then `http get localhost:8080 /` or
/// `curl localhost:8080/count`. Built with `--traits TLS`, `http serve localhost:8443 chain.pem key.pem` is secured.
///
/// SIGTERM or SIGINT stops the server: requests that have begun are answered, with `Connection: close`. The exit status
/// is 0; 1 when an answer was cut off, or none came; 2 when the server could not start.
@main
enum Program {
  static func main() async {
    let words = Array(CommandLine.arguments.dropFirst())
    do {
      switch (words.first, words.count) {
      case ("serve", 2), ("serve", 4): exit(try await serve(at: Endpoint(parsing: words[1]), words.dropFirst(2)))
      case ("get", 3): exit(try await get(words[2], from: words[1]))
      default:
        print("usage: http serve host:port [chain.pem key.pem] | http get host:port path")
        exit(64)
      }
    } catch {
      print(error)
      exit(2)
    }
  }

  private static func serve(at place: Endpoint, _ files: ArraySlice<String>) async throws -> CInt {
    let server = HTTPServer { request, body, connection in
      switch (request.method, request.path) {
      case (.get, "/"), (.head, "/"): return HTTPReply(.ok, fields: [.contentType: "text/plain"], .text("hello\n"))
      case (.get, "/count"):
        return HTTPReply(.ok, .stream { write in for number in 1...10 { try await write(Array("\(number)\n".utf8)) } })
      case (.post, "/echo"): return HTTPReply(.ok, .bytes(try await body.receiveAll(from: connection)))
      default: return HTTPReply(.notFound, .text("there is nothing here\n"))
      }
    }
    // A client that sends, or reads, less than this is one that holds a place.
    let limits = ServerLimits(conversation: ConversationLimits(firstByte: .seconds(10), leastRate: 100))
    let listener = try await Listener.bind(place)
    try listener.handle.stop(on: [SIGTERM, SIGINT], within: .seconds(10))
    print("listening at \(listener.localAddress)")
    let report: ServerReport
    if let chain = files.first, let key = files.last {
      #if TLS
      let settings = try TLSServer(TLSIdentity(certificates: chain, key: key))
      report = await listener.serve(securing: settings, limits: limits) { try await server.converse(over: $0) }
      #else
      print("\(chain) and \(key) are of no use: build with --traits TLS")
      return 64
      #endif
    } else {
      report = await listener.serve(limits: limits) { connection in try await server.converse(over: connection) }
    }
    print(report)
    return report.abortedAtStop == 0 && report.failure == nil ? 0 : 1
  }

  private static func get(_ path: String, from place: String) async throws -> CInt {
    let client = HTTPClient(over: ConnectionPool(to: try Endpoint(parsing: place)), host: place)
    do {
      // A GET may be executed twice.
      let (response, body) = try await client.fetch(.get, path, retrying: .repeatable)
      print("\(response.status)\n\(String(decoding: body, as: UTF8.self))", terminator: "")
      print(await client.pool.close())
      return 0
    } catch {
      print(error)
      return 1
    }
  }
}
