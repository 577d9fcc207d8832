import Fin
import Glibc

/// An echo server that ends well: `swift run --package-path Examples echo localhost:7777`, then `ncat localhost 7777`.
///
/// SIGTERM or SIGINT stops it: the clients in the accept queue are served, conversations may go on for 10 seconds, and
/// the exit status is 0. A second signal aborts the remaining connections, with exit status 1. If the server cannot
/// start, the exit status is 2.
@main
enum Echo {
  static func main() {
    let place = CommandLine.arguments.count > 1 ? CommandLine.arguments[1] : "localhost:7777"
    let listener: Listener
    do { listener = try Listener.bind(Endpoint(parsing: place)) } catch {
      print(error)
      exit(2)
    }
    do { try listener.handle.stop(on: [SIGTERM, SIGINT], within: .seconds(10)) } catch {
      print(error)
      exit(2)
    }
    print("listening at \(listener.localAddress)")
    let report = listener.serve(threads: 64) { connection in
      while let line = try connection.receiveLine() { try connection.send(line + "\n") }
    }
    print(report)
    exit(report.abortedAtStop == 0 && report.failure == nil ? 0 : 1)
  }
}
