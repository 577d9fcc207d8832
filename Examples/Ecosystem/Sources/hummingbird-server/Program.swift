import Fin
import Glibc
import Hummingbird
import Logging
import ServiceLifecycle

/// Hummingbird on a listener of Fin's: `hummingbird-server localhost:8080 /run/user/1000/handover`.
///
/// The listener is the first of these that there is: one that a service manager passed under the name `web`, that of a
/// server which offers it at the path, or a new one. SIGTERM stops the server when its requests are answered. If it
/// cannot start, the exit status is 2.
@main
enum Program {
  static func main() async {
    let words = Array(CommandLine.arguments.dropFirst())
    guard (1...2).contains(words.count) else {
      print("usage: hummingbird-server host:port [path of a handover]")
      exit(64)
    }
    do {
      let listener = try await findListener(words[0], words.dropFirst().first)
      fflush(nil)

      let router = Router()
      router.get("/") { _, _ in "hummingbird\n" }
      router.post("/echo") { request, _ in Response(status: .ok, body: ResponseBody(asyncSequence: request.body)) }
      let server = HummingbirdOnFin(router, on: listener)
      try await ServiceGroup(services: [server], gracefulShutdownSignals: [.sigterm, .sigint], logger: server.logger)
        .run()
    } catch {
      print(error)
      exit(2)
    }
  }

  private static func findListener(_ place: String, _ path: String?) async throws -> Listener {
    if let inherited = try Listener.inherited(named: "web", unsettingEnvironment: true) {
      print("inherited \(inherited.localAddress)")
      return inherited
    }
    if let path, var takeover = try await Handover.take(from: .unix(path)) {
      if let taken = try takeover.takeListener(named: "web") {
        // From here on the predecessor accepts no client, and answers those that it has.
        try await takeover.finish()
        print("took over \(taken.localAddress)")
        return taken
      }
    }
    let bound = try await Listener.bind(Endpoint(parsing: place))
    print("bound \(bound.localAddress)")
    return bound
  }
}
