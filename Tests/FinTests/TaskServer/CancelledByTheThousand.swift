import Glibc
import Peers
import Synchronization
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

/// `FIN_THOUSAND` sets the number of operations (default 1,000).
@Suite("Promise 5: nothing waits forever: a thousand cancelled operations", .onThreads)
struct CancelledByTheThousand {
  @Test(
    "a thousand receives are cancelled while they wait: each says so, and later data is still received",
    .faults(46, 62))
  func receiving() async {
    await #expect(processExitsWith: .success) { try synchronously { try Thousand.run(Thousand.receive) } }
  }

  @Test(
    "a thousand sends are cancelled while they wait for room: each reports the bytes accepted, and those arrive",
    .faults(46, 62))
  func sending() async {
    await #expect(processExitsWith: .success) { try synchronously { try Thousand.run(Thousand.send) } }
  }

  @Test(
    "a thousand connects are cancelled while they wait for an answer: no socket and no SYN-SENT is left",
    .faults(46, 62))
  func connecting() async {
    await #expect(processExitsWith: .success) { try synchronously { try Thousand.run(Thousand.connect) } }
  }

  @Test(
    "a thousand accepts are cancelled, without and with clients: every client is accepted or still queued",
    .faults(46, 62))
  func accepting() async {
    await #expect(processExitsWith: .success) { try synchronously { try Thousand.run(Thousand.accept) } }
  }

  @Test(
    "a thousand closes are cancelled while they wait for their peers: each becomes an abort, with its report",
    .faults(46, 62))
  func closing() async {
    await #expect(processExitsWith: .success) { try synchronously { try Thousand.run(Thousand.close) } }
  }

  @Test("a connect in a task that is already cancelled throws .cancelled, and leaves nothing open", .faults(62))
  func connectingCancelled() throws {
    let ledger = Ledger()
    try Ledger.$current.withValue(ledger) {
      let listener = try Listener.bind(.loopback(port: 0))
      let address = listener.localAddress
      let reactor = try Reactor(loops: 1)
      func heard(_ body: @escaping @Sendable () async throws(SocketError) -> Void) throws -> SocketError.Cause? {
        try Working(on: reactor.executor) {
          unsafe withUnsafeCurrentTask { unsafe $0?.cancel() }
          return await cause(body)
        }.join()
      }
      #expect(
        try heard { () async throws(SocketError) in try await Connection.connect(to: address).abort() } == .cancelled)
      #expect(
        try heard { () async throws(SocketError) in try await Connection.connect(to: Endpoint(address)).abort() }
          == .cancelled)
      #expect(
        try heard { () async throws(SocketError) in try await Socket(.ipv4).connect(to: address).abort() }
          == .cancelled)
      let shared = try SharedConnection(unconnected: .ipv4)
      #expect(try heard { () async throws(SocketError) in try await shared.connect(to: address) } == .cancelled)
      // The phase is the same as after any failed attempt.
      #expect(shared.phase == .closed)
      listener.close()
    }
    #expect(ledger.counts.open == 0 && ledger.counts.leaked == 0, "\(ledger.counts)")
  }
}

private enum Thousand {
  static let count = stormNumber("FIN_THOUSAND", 1000)
  typealias Pair = (near: SharedConnection, far: SharedConnection)

  /// In a network namespace of its own, where the machine allows one, and with descriptors and sockets counted before
  /// and after.
  static func run(_ body: (Reactor) throws -> Void) throws {
    guard Privileges.canMakeNamespaces else { return try runHere(body) }
    try NetworkNamespace().run { try runHere(body) }
  }

  private static func runHere(_ body: (Reactor) throws -> Void) throws {
    let reactor = try Reactor(loops: 2)
    _ = try Reactor.shared
    let (first, second) = try Medium.tcp.open()
    first.abort()
    second.abort()
    let before = try stormCensus()
    let ledger = Ledger()
    try Ledger.$current.withValue(ledger) { try body(reactor) }
    check(ledger.counts.open == 0 && ledger.counts.leaked == 0, "\(ledger.counts)")
    try eventually(within: .seconds(20), "descriptors", equals: before) { try stormCensus() }
  }

  private static func pairs(_ medium: Medium) throws -> [Pair] {
    try (0..<count).map { _ in
      let pair = try medium.open()
      return (pair.0, pair.1)
    }
  }

  /// Starts one task per index, waits until all of them wait, cancels them in random order, and returns the result
  /// of each.
  private static func cancelled<Value: Sendable>(
    _ reactor: Reactor, _ areWaiting: () throws -> Bool, _ body: @escaping @Sendable (Int) async throws -> Value
  ) throws -> [Value] {
    let tasks = (0..<count).map { index in Working(on: reactor.executor) { try await body(index) } }
    try eventually(within: .seconds(60), "all of them waiting", areWaiting)
    for task in tasks.shuffled() { task.cancel() }
    return try tasks.map { try $0.join(within: .seconds(60)) }
  }

  private static func haveWaited(_ pairs: [Pair]) -> Bool {
    pairs.allSatisfy { $0.near.reference.core.lazyRegistration.load() != nil }
  }

  static func receive(_ reactor: Reactor) throws {
    let pairs = try pairs(.pair)
    let heard = try cancelled(reactor, { haveWaited(pairs) }) { index in
      await cause { () async throws(SocketError) in
        _ = try await pairs[index].near.receive(upTo: 10, within: .seconds(120))
      }
    }
    check(heard.allSatisfy { $0 == .cancelled }, "\(Set(heard.map { "\(String(describing: $0))" }))")
    for (near, far) in pairs {
      try far.send("later")
      let bytes = try near.receive(exactly: 5)
      check(bytes == Array("later".utf8), "\(String(describing: bytes))")
      near.abort()
      far.abort()
    }
  }

  static func send(_ reactor: Reactor) throws {
    let pairs = try pairs(.pair)
    let bytes = Pattern.bytes(from: 0, count: 1 << 20)
    let heard = try cancelled(reactor, { haveWaited(pairs) }) { index -> SocketError? in
      do throws(SocketError) {
        try await pairs[index].near.send(bytes, within: .seconds(120))
        return nil
      } catch { return error }
    }
    for (pair, error) in zip(pairs, heard) {
      check(error?.cause == .cancelled, "\(String(describing: error))")
      let accepted = error?.bytesAccepted ?? 0
      check((1..<bytes.count).contains(accepted), "\(accepted) accepted")
      pair.near.close(.background)
      let arrived = try pair.far.receiveAll()
      check(arrived.count == accepted && arrived.last == bytes[accepted - 1], "\(arrived.count) of \(accepted)")
      pair.far.abort()
    }
  }

  static func connect(_ reactor: Reactor) throws {
    let owner = Keeper(try Listener.bind(.loopback(port: 0), backlog: 1))
    let address = owner.listener.localAddress
    // The listener's queue is full, so no SYN is answered.
    let visitors = try (0..<2).map { _ in try Visitor(address.port!) }
    try eventually(within: .seconds(20), "queued clients", equals: 2) { try listeningQueue(address.port!) }
    let ledger = Ledger.current
    let heard = try cancelled(
      reactor, { ledger.openSockets().count { $0.phase == .connecting } == count },
      { _ in
        await cause { () async throws(SocketError) in
          try await Connection.connect(to: address, within: .seconds(120)).abort()
        }
      })
    check(heard.allSatisfy { $0 == .cancelled }, "\(Set(heard.map { "\(String(describing: $0))" }))")
    let left = try KernelView.tcp(localPort: nil, remotePort: address.port!).count { $0.state == .synSent }
    check(left == 0, "\(left) still in SYN-SENT")
    withExtendedLifetime(visitors) { _ = owner.listener.reference.core.closeListener() }
  }

  static func accept(_ reactor: Reactor) throws {
    let owner = Keeper(try Listener.bind(.loopback(port: 0)))
    let core = owner.listener.reference.core
    let port = owner.listener.localAddress.port!
    let take: @Sendable (Int) async -> SocketError.Cause? = { _ in
      await cause { () async throws(SocketError) in
        try await owner.listener.accept(within: .seconds(120)).abort()
      }
    }
    let peaceful = try cancelled(reactor, { core.gate.snapshot.references == count }, take)
    check(peaceful.allSatisfy { $0 == .cancelled }, "\(Set(peaceful.map { "\(String(describing: $0))" }))")

    let clients = onThread {
      try (0..<count / 2).map { index in
        if index == count / 8 { usleep(1000) }
        return try Visitor(port)
      }
    }
    // This does not wait until all tasks wait: some are cancelled before they begin.
    let heard = try cancelled(reactor, { core.gate.snapshot.references > count / 4 }, take)
    let visitors = try clients.join(within: .seconds(60))
    check(heard.allSatisfy { $0 == nil || $0 == .cancelled }, "\(Set(heard.map { "\(String(describing: $0))" }))")
    let taken = heard.count { $0 == nil }
    var queued = 0
    while (try? owner.listener.accept(within: .zero).abort()) != nil { queued += 1 }
    check(taken + queued == visitors.count, "\(taken) taken and \(queued) queued of \(visitors.count)")
    _ = core.closeListener()
  }

  static func close(_ reactor: Reactor) throws {
    let pairs = try pairs(.tcp)
    for (index, pair) in pairs.enumerated() {
      try pair.near.send("unread")
      guard index % 2 == 0 else { continue }
      // More than the peer's kernel accepts, so that it cannot be acknowledged.
      try pair.far.set(.receiveBuffer, to: 2048)
      try pair.near.set(.sendBuffer, to: 8192)
      _ = try pair.near.sendAllThatFits()
    }
    let closing: Set<Phase> = [.confirming, .lingering, .lingeringAcknowledged]
    let reports = try cancelled(
      reactor, { haveWaited(pairs) && pairs.allSatisfy { closing.contains($0.near.phase) } },
      { index in
        await pairs[index].near.close(
          index % 2 == 0
            ? .confirmed(within: .seconds(120))
            : .lingering(within: .seconds(120), idle: .seconds(120), discarding: 1 << 20))
      })
    for (index, report) in reports.enumerated() {
      check(report.ending == .aborted, "\(report)")
      check((report.bytesUnacknowledged > 0) == (index % 2 == 0), "\(report)")
      check(pairs[index].near.close() == report, "a second close says \(pairs[index].near.close())")
    }
    for pair in pairs {
      try eventually(within: .seconds(20), "the peer's reset") { try pair.far.failure() != nil }
      pair.far.abort()
    }
  }
}
