import Fin
import Glibc

/// A program that leaks sockets, or appears to: it keeps connections that their peers have closed.
///
///     Leaking PURPOSE COUNT
///
/// Prints `ready` and the line that opened the sockets, and exits at EOF of its input. The intent is `none`, `code`
/// (none; the program publishes its ledger itself), `half-closed`, `late` (declared half closed, for a time that is
/// over), `waiting` (half closed by the program, which receives with a deadline) or `reset` (by the peer). With the
/// purpose `serving` it leaks nothing: it prints `ready` and its port, and serves that number of clients, each for
/// very long.
@main
enum Leaking {
  static func main() throws {
    let words = CommandLine.arguments
    guard words.count == 3, let count = Int(words[2]) else { return print("usage: Leaking PURPOSE COUNT") }
    if words.count > 1, words[1] == "code" { try Ledger.current.publish() }
    let listener = try Listener.bind(.loopback(port: 0))
    if words[1] == "serving" {
      print("ready \(listener.localAddress.port ?? 0)")
      fflush(nil)
      try Threads.begin {
        while getchar() != EOF {}
        exit(0)
      }
      listener.serve(threads: count) { connection in _ = try connection.receive(upTo: 1, within: .seconds(3600)) }
      return
    }
    var kept: [SharedConnection] = []
    var peers: [SharedConnection] = []
    for _ in 0..<count {
      let client = try Connection.connect(to: listener.localAddress)
      let served = try listener.accept().share()
      kept.append(served)
      switch words[1] {
      case "waiting":
        peers.append(client.share())
        try served.finishSending()
        try Threads.begin { _ = try? served.receive(upTo: 1, within: .seconds(600)) }
      case "reset":
        client.abort()
        _ = try? served.receive(upTo: 1)
      default:
        client.close(.background)
        while try served.receive(upTo: 1) != nil {}
        if words[1] == "half-closed" { served.declare(.halfClosed, for: .seconds(600)) }
        if words[1] == "late" { served.declare(.halfClosed, for: .milliseconds(1)) }
      }
    }
    print("ready \(#line - 17)")
    fflush(nil)
    while getchar() != EOF {}
    listener.close()
    withExtendedLifetime((kept, peers)) { exit(0) }
  }
}

private enum Threads {
  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  static func begin(_ run: @escaping @Sendable () -> Void) throws {
    var thread = pthread_t()
    unsafe pthread_create(
      &thread, nil,
      { argument in
        unsafe Unmanaged<Body>.fromOpaque(argument!).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(Body(run)).toOpaque())
  }
}
