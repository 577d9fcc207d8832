import Dispatch
import Fin
import Glibc

/// A chat room in tasks: `talk serve localhost:7777`, then `talk join localhost:7777 Ada` twice or more, and type.
///
/// Every client has a task, and all tasks share a few threads. SIGTERM or SIGINT stops the server: it sends a notice to
/// all members, who may go on for 10 seconds, and the exit status is 0. A second signal aborts the remaining
/// connections, with exit status 1.
@main
enum Talk {
  static func main() async {
    let words = CommandLine.arguments.dropFirst()
    do {
      switch (words.first, words.count) {
      case ("serve", 2): exit(try await serve(at: Endpoint(parsing: words[2])))
      case ("join", 3): exit(try await join(Endpoint(parsing: words[2]), as: words[3]))
      default:
        print("usage: talk serve host:port | talk join host:port name")
        exit(64)
      }
    } catch {
      print(error)
      exit(2)
    }
  }

  private static func serve(at place: Endpoint) async throws -> CInt {
    let listener = try await Listener.bind(place)
    print("listening at \(listener.localAddress)")
    let room = Room()
    let handle = listener.handle
    let stopping = onSignals { isFirst in
      handle.stop(within: isFirst ? .seconds(10) : .zero)
      if isFirst { Task { await room.say("the server stops in 10 seconds") } }
    }
    let report = await listener.serve { connection in
      guard let name = try await connection.receiveLine(limit: 100) else { return }
      // The room keeps this reference, and sends to the member while this task receives.
      let member = connection.share()
      let number = await room.enter(member, name)
      do {
        while let line = try await member.receiveLine(limit: 4096) {
          await room.say("\(name): \(line)", except: number)
        }
      } catch {
        await room.leave(number)
        throw error
      }
      await room.leave(number)
    }
    stopping.forEach { $0.cancel() }
    print(report)
    return report.abortedAtStop == 0 && report.failure == nil ? 0 : 1
  }

  /// Sends the typed lines and prints the received ones, until either end has finished.
  private static func join(_ server: Endpoint, as name: String) async throws -> CInt {
    let (_, end) = try await withConnection(to: server, within: .seconds(5)) { connection in
      // A silent hour is not an error.
      var connection = connection
      connection.timeouts.receive = .seconds(3600)
      _ = try await connection.duplex { receiver in
        while let line = try await receiver.receiveLine(limit: 8192) { print(line) }
      } send: { sender in
        try await sender.send("\(name)\n")
        for await line in typed() { try await sender.send("\(line)\n") }
        sender.finishSending()
      }
    }
    print(end)
    return end.isDelivered ? 0 : 1
  }

  /// The lines of the input, read on a thread of their own, because reading blocks.
  private static func typed() -> AsyncStream<String> {
    AsyncStream { lines in
      DispatchQueue(label: "input").async {
        while let line = readLine() { lines.yield(line) }
        lines.finish()
      }
    }
  }

  private static func onSignals(_ body: @escaping @Sendable (_ isFirst: Bool) -> Void) -> [any DispatchSourceSignal] {
    let queue = DispatchQueue(label: "signals")
    nonisolated(unsafe) var isFirst = true
    return [SIGTERM, SIGINT].map { number in
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      source.setEventHandler {
        body(isFirst)
        isFirst = false
      }
      let isHeard = DispatchSemaphore(value: 0)
      source.setRegistrationHandler { isHeard.signal() }
      source.resume()
      isHeard.wait()
      return source
    }
  }
}
