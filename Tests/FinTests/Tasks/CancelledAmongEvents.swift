import Peers
import SystemPackage
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

/// A wait whose event is already there does not suspend, and an event may bring nothing: another task may have accepted
/// the client, bytes of another descriptor may have filled the room. An operation that finds one more event after each
/// attempt never suspends.
@Suite("Cancellation: an operation that always finds one more event is cancelled all the same", .onThreads)
struct CancelledAmongEvents {
  /// A connection with nothing to read. After each of its attempts an event makes it retry.
  private func restless(_ body: (SharedConnection, Script) throws -> Void) throws {
    let pair = try Connection.pair()
    let ours = pair.first.share()
    let core = ours.reference.core
    let script = Script(.every(.recv, .after { core.lazyRegistration.load()?.deliver(.input) }))
    try core.registration(.suspending).deliver(.input)
    try body(ours, script)
    ours.abort()
    pair.second.abort()
  }

  @Test("a receive that always finds one more event can be cancelled, and ends at its deadline")
  func receive() throws {
    let place = OwnThread()
    try restless { ours, script in
      let receiving = Seam.$script.withValue(script) { errand(on: place) { try await ours.receive(upTo: 1) } }
      try eventually("looks for nothing") { script.count(.recv) > 100 }
      receiving.cancel()
      #expect(try receiving.refusal().cause == .cancelled)
      let short = Seam.$script.withValue(script) {
        errand(on: place) { try await ours.receive(upTo: 1, within: .milliseconds(20)) }
      }
      #expect(try short.refusal().cause == .timedOut)
    }
  }

  @Test("withConnection too: a receive that always finds one more event can be cancelled")
  func scope() throws {
    let listener = try PlainSocket.listening()
    let endpoint = Endpoint(.loopback(port: listener.port))
    let looks = Tally()
    let place = OwnThread()
    let scope = errand(on: place) {
      try await withConnection(to: endpoint) { connection in
        let core = connection.reference.core
        let script = Script(
          .every(
            .recv,
            .after {
              looks.add()
              core.lazyRegistration.load()?.deliver(.input)
            }))
        try core.registration(.suspending).deliver(.input)
        return try await Seam.$script.withValue(script) { try await core.receiveOne() }
      }.end
    }
    let peer = try listener.accept()
    try eventually("looks for nothing") { looks.value > 100 }
    scope.cancel()
    #expect(try scope.refusal().cause == .cancelled)
    #expect(throws: RigError.self) { try peer.receive() }
  }

  @Test(
    "a cancelled close that waits for its peer, and always finds more to read, becomes an abort",
    arguments: [true, false])
  func close(_ isCancelled: Bool) throws {
    let pair = try Connection.pair()
    let ours = pair.first.share()
    // However much is read, there is more.
    let script = Script(.every(.recv, .value(1 << 16)))
    let closing = Seam.$script.withValue(script) {
      errand(on: OwnThread()) {
        await ours.close(.lingering(within: .seconds(60), idle: .seconds(60), discarding: .max))
      }
    }
    try eventually("reads") { script.count(.recv) > 1000 }
    if isCancelled { closing.cancel() } else { #expect(ours.abort().ending == .aborted) }
    #expect(try closing.join().ending == .aborted)
    pair.second.abort()
  }
}

extension Core {
  /// The same as `receive(upTo: 1)`, whose noncopyable owner cannot be captured by a closure.
  fileprivate nonisolated(nonsending) func receiveOne() async throws -> [UInt8]? {
    var timeout = LazyDeadline(.never)
    var progress = Stateless()
    return try await perform(.reading, .receive, &timeout, &progress) { _, world throws(SocketError) in
      try take(upTo: 1, world)
    }
  }
}
