#if TLS
import Glibc
import Peers
import Synchronization
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

/// The storms of `Storm` and `TaskStorm` over secured connections. `FIN_STORM_ROUNDS` sets the number of streams (500).
@Suite("Secured: a storm of random operations", .needsProgram("openssl"))
struct SecuredStorm {
  @Test(
    "eight threads on secured connections, at random: every byte arrives or is reported, and nothing is left",
    .onThreads)
  func threads() async {
    await #expect(processExitsWith: .success) {
      let layer = try SecuredMedium.layer()
      guard Privileges.canMakeNamespaces else { return try Storm.blow(layer) }
      try NetworkNamespace().run { try Storm.blow(layer) }
    }
  }

  @Test("eight tasks, cancelled at random, on secured connections: every byte arrives or is reported", .onThreads)
  func tasks() async {
    await #expect(processExitsWith: .success) {
      try synchronously { try TaskStorm.blow(threads: 0, tasks: 8, SecuredMedium.layer()) }
    }
  }

  @Test(
    "four tasks and four threads on the same secured connections, at random: every byte is accounted for", .onThreads)
  func mixture() async {
    await #expect(processExitsWith: .success) {
      try synchronously { try TaskStorm.blow(threads: 4, tasks: 4, SecuredMedium.layer()) }
    }
  }
}

@Suite("Secured: a cancelled handshake, and a cancelled close", .needsProgram("openssl"), .onThreads)
struct SecuredCancelled {
  @Test(
    "a handshake that is cancelled while it waits throws .cancelled, and its peer gets a reset",
    arguments: Place.allCases)
  func handshake(_ place: Place) throws {
    let ledger = Ledger()
    try Ledger.$current.withValue(ledger) {
      let certificates = try Certificates()
      let server = try TLSServer(certificates.identity())
      let strangers = try Strangers.connected()
      // Half a hello: the server has begun, and waits for more.
      try strangers.plain.send([0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3])
      let plain = strangers.plain
      let core = strangers.ours.reference.core
      let box = Keep(strangers.ours)
      let securing = errand(on: place) {
        try await box.take().secured(as: .server(server), within: .seconds(120)).abort()
      }
      try eventually(within: .seconds(60), "a task that waits", equals: 1) {
        core.lazyRegistration.load()?.waiterCount ?? 0
      }
      securing.cancel()
      let error = try securing.refusal()
      #expect(error.cause == .cancelled && error.operation == .secure)
      let end = #expect(throws: RigError.self) { _ = try plain.receiveAll() }
      #expect(end?.code == ECONNRESET, "\(String(describing: end))")
    }
    #expect(ledger.counts.open == 0 && ledger.counts.leaked == 0, "\(ledger.counts)")
  }

  @Test("a handshake in a task that is cancelled already says nothing, and ends the connection")
  func cancelledBefore() throws {
    let client = try TLSClient(trust: .unverified(because: "no handshake is made"))
    let strangers = try Strangers.connected()
    let plain = strangers.plain
    let box = Keep(strangers.ours)
    let securing = errand {
      cancelThisTask()
      try await box.take().secured(as: .client(for: "localhost", client)).abort()
    }
    #expect(try securing.refusal().cause == .cancelled)
    let end = #expect(throws: RigError.self) { _ = try plain.receiveAll() }
    #expect(end?.code == ECONNRESET, "\(String(describing: end))")
  }

  @Test("a close of a secured connection that is cancelled while it waits becomes an abort", arguments: Place.allCases)
  func close(_ place: Place) throws {
    let pair = try SecuredMedium.pair()
    let ours = pair.first.share()
    let theirs = pair.second.share()
    // The peer reads nothing and ends nothing.
    let closing = errand(on: place) {
      await ours.close(.lingering(within: .seconds(120), idle: .seconds(120), discarding: 1 << 20))
    }
    try eventually("the close to wait for the peer", equals: .lingeringAcknowledged) { ours.phase }
    closing.cancel()
    let report = try closing.join()
    #expect(report.ending == .aborted && report.closeNotify == .init(sent: true, received: false), "\(report)")
    #expect(ours.close() == report)
    // close_notify came before the reset.
    try eventually("the peer's reset") { try theirs.failure() != nil }
    theirs.abort()
  }
}

/// A connection on its way into a task.
private final class Keep: Sendable {
  private let place: Mutex<Connection?>
  init(_ connection: consuming Connection) { place = Mutex(connection) }
  func take() throws -> Connection {
    let taken = place.withLock { $0.take() }
    guard let taken else { throw RigError("taken twice") }
    return taken
  }
}
#endif
