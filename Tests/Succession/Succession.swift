import Fin
import Glibc
import Peers
import SystemPackage

/// Programs that take listeners over from each other, for the tests.
///
///     Succession inherited NAME…       serves a client of each inherited listener, and notifies its manager
///     Succession serve PATH WORLD NAME takes over at PATH, or binds; serves until a successor has taken over
///     Succession die PATH STEP         is a successor that kills itself after this step
///     Succession rounds COUNT          hands over this many times under 64 clients, and counts failed connections
@main
enum Succession {
  static func main() async throws {
    let words = Array(CommandLine.arguments.dropFirst())
    switch (words.first, words.count) {
    case ("inherited"?, 2...): try Inheriting.run(Array(words.dropFirst()))
    case ("serve"?, 4): try await Serving.run(path: words[1], inTasks: words[2] == "tasks", name: words[3])
    case ("die"?, 3): try Dying.run(path: words[1], step: words[2])
    case ("rounds"?, 2):
      guard let count = Int(words[1]), count > 0 else { fallthrough }
      try Rounds(count).run()
    default:
      print("usage: Succession inherited NAME… | serve PATH WORLD NAME | die PATH STEP | rounds COUNT")
      exit(64)
    }
  }

  static func say(_ text: String) {
    print(text)
    fflush(nil)
  }
}

/// A server that a service manager starts.
enum Inheriting {
  static func run(_ names: [String]) throws {
    do throws(SocketError) {
      for (index, name) in names.enumerated() {
        let isLast = index == names.count - 1
        guard let listener = try Listener.inherited(named: name, unsettingEnvironment: isLast) else {
          Succession.say("\(name): nothing")
          continue
        }
        let safe = try listener.withDescriptor { fcntl($0.rawValue, F_GETFD) & FD_CLOEXEC != 0 }
        Succession.say("\(name): \(listener.localAddresses.count) at \(listener.localAddress), CLOEXEC \(safe)")
        try ServiceManager.notify(.ready, .status("serving \(name)"), within: .seconds(10))
        for _ in listener.localAddresses {
          let client = try listener.accept(within: .seconds(30))
          try client.send("\(name)\n")
          client.close()
        }
        listener.close()
      }
      Succession.say("environment \(unsafe getenv("LISTEN_FDS") == nil ? "unset" : "kept")")
      try ServiceManager.notify(.stopping, within: .seconds(10))
      let isManaged = try ServiceManager.awaitBarrier(within: .seconds(10))
      Succession.say("barrier \(isManaged)")
    } catch { Succession.say("error: \(error)") }
  }
}

/// One generation of a server.
enum Serving {
  static func run(path: String, inTasks: Bool, name: String) async throws {
    let address = try SocketAddress.unix("\(path).handover")
    var origin = "first"
    let listener: Listener
    if var takeover = try await Handover.take(from: address, within: .seconds(30)) {
      guard let taken = try takeover.takeListener(named: "web") else { fatalError("web is not offered") }
      origin = "\(try await takeover.finish(within: .seconds(30)))"
      listener = taken
    } else {
      listener = try Listener.bind(.loopback(port: 0))
    }
    let handover = try Handover(offering: ["web": listener.handle], at: address)
    Succession.say("\(name) serves \(listener.localAddress): \(origin)")
    let succession = Task.detached { () -> HandoverReport in try await handover.awaitSuccessor(draining: .seconds(30)) }
    let report: ServerReport
    if inTasks {
      report = await listener.serve { connection in
        while let line = try await connection.receiveLine() { try await connection.send("\(name) \(line)\n") }
      }
    } else {
      report = await inThread(listener, name)
    }
    let end = try await succession.value
    Succession.say(
      "\(name) is done: \(end.attemptsFailed) attempts failed; \(report.clientsReset) reset, "
        + "\(report.abortedAtStop) aborted, failure \(report.failure.map { "\($0)" } ?? "none")")
  }

  private static func inThread(_ listener: consuming Listener, _ name: String) async -> ServerReport {
    let serving = onThread(taking: listener) { listener in
      listener.serve(threads: 80) { connection in
        while let line = try connection.receiveLine() { try connection.send("\(name) \(line)\n") }
      }
    }
    return await withCheckedContinuation { continuation in
      _ = onThread {
        guard let report = try? serving.join(within: .seconds(300)) else { fatalError("the server did not end") }
        continuation.resume(returning: report)
      }
    }
  }
}

/// A successor that speaks the protocol by hand, and dies after a step.
enum Dying {
  static func run(path: String, step: String) throws {
    func end(after name: String) { if name == step { kill(getpid(), SIGKILL) } }
    let connection = try PacketConnection.connect(to: try .unix("\(path).handover"), within: .seconds(30))
    end(after: "connect")
    try connection.send(Array("fin-handover 1\nhello".utf8))
    end(after: "hello")
    guard var offer = try connection.receive(descriptors: 253, within: .seconds(30)) else { fatalError("no offer") }
    guard let descriptor = offer.descriptors.takeFirst() else { fatalError("no descriptor") }
    let listener = try Listener.adopt(descriptor.detach())
    end(after: "offer")
    try connection.send(Array("fin-handover 1\nserving".utf8))
    end(after: "serving")
    guard let yours = try connection.receive(within: .seconds(30)) else { fatalError("no answer") }
    Succession.say(String(decoding: yours.bytes, as: UTF8.self))
    end(after: "yours")
    listener.close()
    connection.close()
  }
}
