import Glibc
import Peers
import Synchronization

/// Handovers under load: in each round 64 clients make 2,000 connections, and the server is replaced meanwhile.
struct Rounds {
  let count: Int
  private let clients = 64
  private let connections = 2000

  init(_ count: Int) { self.count = count }

  /// The outcome of the connections of one round.
  private final class Tally: Sendable {
    struct Counts {
      var begun = 0
      var byServer: [Substring: Int] = [:]
      var failures: [String] = []
    }
    private let counts = Mutex(Counts())

    /// Whether one more connection is to be made.
    func begin(_ most: Int) -> Bool {
      counts.withLock { counts in
        guard counts.begun < most else { return false }
        counts.begun += 1
        return true
      }
    }
    func note(_ server: Substring) { counts.withLock { $0.byServer[server, default: 0] += 1 } }
    func fail(_ text: String) { counts.withLock { $0.failures.append(text) } }
    var now: Counts { counts.withLock { $0 } }
    var served: Int { now.byServer.values.reduce(0, +) }
  }

  private func serve(_ path: String, _ index: Int) throws -> (Child, UInt16) {
    let program = unsafe String(cString: realpath("/proc/self/exe", nil)!)
    let child = try Child.spawn(program, ["serve", path, index % 2 == 0 ? "threads" : "tasks", "g\(index)"])
    guard let line = try child.readLine(),
      let port = line.split(separator: " ")[2].split(separator: ":").dropFirst().first,
      let number = UInt16(port)
    else { throw RigError("generation \(index) does not serve") }
    Succession.say("  \(line)")
    return (child, number)
  }

  func run() throws {
    let path = "/tmp/fin-succession.\(getpid())"
    let first = try serve(path, 0)
    var old = first.0
    let port = first.1
    var failed = 0
    for round in 1...count {
      let tally = Tally()
      let threads = (0..<clients).map { _ in
        onThread { while tally.begin(connections) { Rounds.visit(port, tally) } }
      }
      // A third of the connections is served before, and the rest while and after the server is replaced.
      try eventually(within: .seconds(120), "the first connections") {
        tally.served + tally.now.failures.count >= connections / 3
      }
      let (new, _) = try serve(path, round)
      let said = try old.readToEnd(within: .seconds(120))
      let exit = try old.wait()
      for thread in threads { _ = try thread.join(within: .seconds(240)) }
      let counts = tally.now
      let isClean = exit == .exited(0) && said.contains("0 reset, 0 aborted, failure none")
      failed += counts.failures.count + (isClean ? 0 : 1)
      let shares = counts.byServer.sorted { $0.key < $1.key }.map { "\($0.value) by \($0.key)" }
      Succession.say(
        "round \(round): \(shares.joined(separator: ", ")); \(counts.failures.count) failed; \(said.dropLast())")
      for failure in Set(counts.failures) { Succession.say("  \(failure)") }
      old = new
    }
    old.end()
    unsafe _ = unlink("\(path).handover")
    Succession.say("\(count) handovers, \(count * connections) connections of \(clients) clients, \(failed) failed")
    if failed > 0 { exit(1) }
  }

  /// One connection of a client: a line, its echo, and the end.
  private static func visit(_ port: UInt16, _ tally: Tally) {
    do {
      let socket = try PlainSocket.connected(to: "127.0.0.1", port: port, within: .seconds(120))
      // On a busy machine an answer may take longer than the five seconds of a plain socket.
      socket.setTimeouts(.seconds(120))
      try socket.send(Array("x\n".utf8))
      try socket.finishSending()
      let answer = String(decoding: try socket.receiveAll(), as: UTF8.self)
      guard answer.hasSuffix(" x\n"), let server = answer.split(separator: " ").first else {
        return tally.fail("answered \"\(answer)\"")
      }
      tally.note(server)
    } catch { tally.fail("\(error)") }
  }
}
