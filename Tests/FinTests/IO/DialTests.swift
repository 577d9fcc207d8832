import Glibc
import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Dialing: every address of a name has its turn, and one deadline holds for all", .onThreads, .needsNamespaces)
struct DialTests {
  private static let both = [false, true]

  @Test(
    "a silent first address: the next one is connected within 300 ms, and not before 250 ms", .needsIPv6,
    arguments: [("::1", "127.0.0.2"), ("127.0.0.1", "127.0.0.2"), ("127.0.0.1", "::1")], both)
  func silentFirst(addresses: (silent: String, live: String), inTask: Bool) throws {
    let network = try DialNetwork(silent: [addresses.silent], live: [addresses.live])
    let options = DialOptions(resolver: DialNetwork.resolver([addresses.silent, addresses.live]))
    var best = Duration.seconds(60)
    // On a busy machine a round may take longer.
    for _ in 0..<20 where best > .milliseconds(300) {
      let ledger = Ledger()
      let time = try elapsed {
        let shared = try Ledger.$current.withValue(ledger) { () throws in try network.dial(options, inTask: inTask) }
        #expect(shared.remoteAddress == DialNetwork.address(addresses.live))
        shared.abort()
      }
      #expect(time >= .milliseconds(250))
      #expect(ledger.counts.opened == 2 && ledger.counts.open == 0 && ledger.counts.leaked == 0)
      best = min(best, time)
    }
    #expect(best <= .milliseconds(300))
    #expect(try network.unanswered() == 0)
  }

  @Test("an address that refuses: the next one is tried at once", arguments: both)
  func refusedFirst(inTask: Bool) throws {
    let network = try DialNetwork(live: ["127.0.0.3"])
    // With this delay only the failures lead to the third address in time.
    var options = DialOptions(
      resolver: DialNetwork.resolver(["127.0.0.1", "127.0.0.2", "127.0.0.3"]), attemptDelay: .seconds(60))
    let failures = Mutex<[DialAttempt]>([])
    options.onFailure = { failure in failures.withLock { $0.append(failure) } }
    let shared = try network.dial(options, inTask: inTask)
    #expect(shared.remoteAddress == DialNetwork.address("127.0.0.3"))
    // The dial that succeeds has no error to carry them.
    #expect(failures.withLock { $0.map(\.address) } == ["127.0.0.1", "127.0.0.2"].map { DialNetwork.address($0) })
    #expect(failures.withLock { $0.allSatisfy { $0.cause == .system(.connectionRefused) } })
    shared.abort()
  }

  @Test("the first of two live addresses is the only one that is tried", arguments: both)
  func oneIsEnough(inTask: Bool) throws {
    let network = try DialNetwork(live: ["127.0.0.1", "127.0.0.2"])
    let options = DialOptions(resolver: DialNetwork.resolver(["127.0.0.2", "127.0.0.1"]), attemptDelay: .seconds(60))
    let ledger = Ledger()
    let shared = try Ledger.$current.withValue(ledger) { () throws in try network.dial(options, inTask: inTask) }
    #expect(shared.remoteAddress == DialNetwork.address("127.0.0.2"))
    #expect(ledger.counts.opened == 1)
    shared.abort()
  }

  @Test("a peer 400 ms away connects, although the next attempt began after 250 ms", .needsTUN, arguments: both)
  func farAway(inTask: Bool) throws {
    try withLossyLink(LinkFaults(delay: .milliseconds(200))) { link in
      try link.right.addAddress("10.7.0.3", prefix: 32, to: LossyLink.link)
      let port = DialNetwork.port
      let near = Plain(
        try link.right.run { () throws in try PlainSocket.listening(on: LossyLink.rightAddress, port: port) })
      let other = Plain(try link.right.run { () throws in try PlainSocket.listening(on: "10.7.0.3", port: port) })
      let options = DialOptions(resolver: DialNetwork.resolver([LossyLink.rightAddress, "10.7.0.3"]))
      let endpoint = Endpoint(host: "name.test", port: port)
      let ledger = Ledger()
      let reactor = try link.left.run { () throws in try Reactor(loops: 1) }
      let shared = try Ledger.$current.withValue(ledger) { () throws in
        inTask
          ? try errand(on: reactor.executor) { try await Connection.connect(to: endpoint, options: options).share() }
            .join(within: .seconds(20))
          : try link.left.run { () throws in try Connection.connect(to: endpoint, options: options).share() }
      }
      #expect(shared.remoteAddress == DialNetwork.address(LossyLink.rightAddress))
      #expect(ledger.counts.opened == 2 && ledger.counts.open == 1)
      shared.abort()
      near.close()
      other.close()
    }
  }

  @Test("two attempts connect before the dial looks: one is returned, and the other is reset", .needsTUN)
  func twoWinners() throws {
    try withLossyLink(LinkFaults(delay: .milliseconds(50))) { link in
      try link.right.addAddress("10.7.0.3", prefix: 32, to: LossyLink.link)
      let port = DialNetwork.port
      let addresses = [LossyLink.rightAddress, "10.7.0.3"]
      let listeners = try link.right.run { () throws in
        try addresses.map { Plain(try PlainSocket.listening(on: $0, port: port)) }
      }
      let options = DialOptions(resolver: DialNetwork.resolver(addresses), attemptDelay: .milliseconds(10))
      // The first wait ends at the timer; before the second one, both attempts are connected.
      let script = Script(
        .nth(
          2, .poll,
          .before {
            do {
              try eventually("two connections", equals: 2) {
                try KernelView.tcp(localPort: nil, remotePort: port).count { $0.state == .established }
              }
            } catch { Issue.record(error) }
          }))
      let ledger = Ledger()
      let connection: SharedConnection = try link.left.run { () throws in
        try Ledger.$current.withValue(ledger) { () throws in
          try Seam.$script.withValue(script) { () throws in
            try Connection.connect(to: Endpoint(host: "name.test", port: port), options: options).share()
          }
        }
      }
      #expect(ledger.counts.opened == 2 && ledger.counts.open == 1)
      #expect(connection.remoteAddress == DialNetwork.address(LossyLink.rightAddress))
      // The loser's peer learns of it: it reads a reset, and not an end of file.
      let loser = try PlainSocket(adopting: PlainSocket.accepted(by: listeners[1].descriptor))
      #expect(throws: RigError("recv", code: ECONNRESET)) { try loser.receive() }
      connection.abort()
      for listener in listeners { listener.close() }
    }
  }

  @Test("silent addresses only: the deadline ends all attempts, and the error has each of them", arguments: both)
  func allSilent(inTask: Bool) throws {
    let silent = ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    let network = try DialNetwork(silent: silent)
    let options = DialOptions(
      resolver: DialNetwork.resolver(["127.0.0.9"] + silent), attemptDelay: .milliseconds(20))
    let ledger = Ledger()
    var error: SocketError?
    let time = try elapsed {
      do {
        _ = try Ledger.$current.withValue(ledger) { () throws in
          try network.dial(options, within: .milliseconds(400), inTask: inTask)
        }
      } catch let refusal as SocketError { error = refusal }
    }
    let refusal = try #require(error)
    #expect(time >= .milliseconds(400))
    #expect(refusal.cause == .timedOut && refusal.operation == .connect)
    #expect(refusal.attempts.map(\.address) == (["127.0.0.9"] + silent).map { DialNetwork.address($0) })
    #expect(refusal.attempts.map(\.cause) == [.system(.connectionRefused), .timedOut, .timedOut, .timedOut])
    #expect(refusal.attempts.allSatisfy { $0.duration >= .zero && $0.duration < .seconds(20) })
    #expect(refusal.attempts[1].duration > refusal.attempts[3].duration)
    let text = "\(refusal)"
    #expect(text.contains("4 addresses were tried: 127.0.0.9:8099 connection refused (ECONNREFUSED) after"), "\(text)")
    #expect(text.contains("127.0.0.3:8099 timed out after"), "\(text)")
    #expect(ledger.counts.opened == 4 && ledger.counts.open == 0 && ledger.counts.leaked == 0)
    #expect(try network.unanswered() == 0)
  }

  @Test("every address refuses: the cause is the last one's, and nothing waits", arguments: both)
  func allRefuse(inTask: Bool) throws {
    let network = try DialNetwork()
    let options = DialOptions(resolver: DialNetwork.resolver(["127.0.0.1", "127.0.0.2"]), attemptDelay: .seconds(60))
    let time = elapsed {
      let error = #expect(throws: SocketError.self) { _ = try network.dial(options, inTask: inTask) }
      #expect(error?.cause == .system(.connectionRefused))
      #expect(error?.attempts.count == 2)
      #expect(error?.remoteAddress == DialNetwork.address("127.0.0.2"))
    }
    #expect(time < .seconds(20))
  }

  @Test("the time is over before every address had its turn: the error says how many had")
  func untried() throws {
    let network = try DialNetwork(silent: ["127.0.0.1"])
    let options = DialOptions(resolver: DialNetwork.resolver(["127.0.0.1", "127.0.0.2"]), attemptDelay: .seconds(60))
    let error = #expect(throws: SocketError.self) {
      _ = try network.dial(options, within: .milliseconds(50), inTask: false)
    }
    #expect("\(try #require(error))".contains("1 of 2 addresses were tried: 127.0.0.1:8099 timed out"))
  }

  @Test("cancelling the task ends all attempts, and leaves none in SYN-SENT", .faults(62))
  func cancelled() throws {
    let network = try DialNetwork(silent: ["127.0.0.1", "127.0.0.2"])
    let options = DialOptions(
      resolver: DialNetwork.resolver(["127.0.0.1", "127.0.0.2"]), attemptDelay: .milliseconds(10))
    let ledger = Ledger()
    let dialing = Ledger.$current.withValue(ledger) {
      errand(on: network.reactor.executor) {
        try await Connection.connect(to: Endpoint(host: "name.test", port: DialNetwork.port), options: options).share()
      }
    }
    try eventually("two attempts", equals: 2) { try network.unanswered() }
    dialing.cancel()
    let error = try dialing.refusal()
    #expect(error.cause == .cancelled)
    #expect(error.attempts.map(\.cause) == [.cancelled, .cancelled])
    #expect(ledger.counts.open == 0 && ledger.counts.leaked == 0)
    #expect(try network.unanswered() == 0)
  }

  @Test("a reactor that stops ends all attempts")
  func reactorStops() throws {
    let network = try DialNetwork(silent: ["127.0.0.1", "127.0.0.2"])
    let options = DialOptions(
      resolver: DialNetwork.resolver(["127.0.0.1", "127.0.0.2"]), attemptDelay: .milliseconds(10))
    let ledger = Ledger()
    let dialing = Ledger.$current.withValue(ledger) {
      errand(on: network.reactor.executor) {
        try await Connection.connect(to: Endpoint(host: "name.test", port: DialNetwork.port), options: options).share()
      }
    }
    try eventually("two attempts", equals: 2) { try network.unanswered() }
    network.reactor.stop()
    #expect(try dialing.refusal().cause == .reactorStopped)
    #expect(ledger.counts.open == 0 && ledger.counts.leaked == 0)
  }

  @Test("a thousand dials past a silent and a refusing address leave no descriptor", arguments: both)
  func thousand(inTask: Bool) async {
    if inTask {
      await #expect(processExitsWith: .success) { try DialTests.dialManyTimes(inTask: true) }
    } else {
      await #expect(processExitsWith: .success) { try DialTests.dialManyTimes(inTask: false) }
    }
  }

  private static func dialManyTimes(inTask: Bool) throws {
    let addresses = ["127.0.0.1", "127.0.0.9", "127.0.0.2"]
    let network = try DialNetwork(silent: ["127.0.0.1"], live: ["127.0.0.2"])
    let options = DialOptions(resolver: DialNetwork.resolver(addresses), attemptDelay: .milliseconds(10))
    func dial() throws {
      let shared = try network.dial(options, inTask: inTask)
      precondition(shared.remoteAddress == DialNetwork.address("127.0.0.2"))
      shared.abort()
    }
    // The first ones make what is kept: wakers, watches, the shared reactor.
    for _ in 0..<3 { try dial() }
    let before = try KernelView.lastingDescriptors()
    for _ in 0..<1000 { try dial() }
    let after = try KernelView.lastingDescriptors()
    precondition(before == after, "\(before) became \(after)")
    let unanswered = try network.unanswered()
    precondition(unanswered == 0)
  }
}

extension PlainSocket {
  /// The descriptor of the next client of a listener that other code owns.
  static func accepted(by listener: CInt) throws -> CInt {
    let number = Glibc.accept(listener, nil, nil)
    guard number >= 0 else { throw RigError("accept", code: errno) }
    return number
  }
}
