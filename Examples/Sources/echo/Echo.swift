import Dispatch
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
    print("listening at \(listener.localAddress)")

    let stopping = stopOnSignals(listener.handle)
    let report = listener.serve(threads: 64) { connection in
      while let line = try connection.receiveLine() { try connection.send(line + "\n") }
    }
    stopping.forEach { $0.cancel() }

    print(report)
    exit(report.abortedAtStop == 0 && report.failure == nil ? 0 : 1)
  }

  /// Stops the listener at the first signal, and ends the drain at once at the second.
  private static func stopOnSignals(_ listener: ListenerHandle) -> [any DispatchSourceSignal] {
    let queue = DispatchQueue(label: "signals")
    return [SIGTERM, SIGINT].map { number in
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      source.setEventHandler {
        if listener.phase == .listening {
          print("stopping: 10 seconds for what runs; once more to abort it")
          listener.stop(within: .seconds(10))
        } else {
          listener.stop(within: .zero)
        }
      }
      let isHeard = DispatchSemaphore(value: 0)
      source.setRegistrationHandler { isHeard.signal() }
      source.resume()
      // Until the handler is registered, a signal ends the program. That is fine, because no client has been served
      // yet. If the signal were ignored meanwhile, it would be lost.
      isHeard.wait()
      return source
    }
  }
}
