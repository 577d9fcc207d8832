import Peers
import SystemPackage
import Testing

@testable import Fin

/// A wait whose event is there already is no wait. An event may bring nothing: a client that another task was faster to take, room
/// that another descriptor's bytes filled. Where each look is followed by one more, an operation never sleeps.
@Suite("Cancellation: an operation that always finds one more event hears of it all the same")
struct CancelledAmongEvents {
  /// A connection with nothing to read; whenever it has looked, an event tells it to look again.
  private func restless(_ body: (SharedConnection, Script) throws -> Void) throws {
    let pair = try Connection.pair()
    let ours = pair.first.share()
    let core = ours.reference.core
    let script = Script(.every(.recv, .after { core.place.load()?.deliver(.input) }))
    try core.seat(.task).deliver(.input)
    try body(ours, script)
    ours.abort()
    pair.second.abort()
  }

  @Test("a receive is cancelled, and ends at its deadline")
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

  @Test("in the hands of withConnection too, which hears for it")
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
              core.place.load()?.deliver(.input)
            }))
        try core.seat(.task).deliver(.input)
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
    "a close that waits for its peer to finish, and reads what comes without end, becomes an abort",
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
  /// What `receive(upTo: 1)` does; its owner cannot be named in a closure.
  fileprivate nonisolated(nonsending) func receiveOne() async throws -> [UInt8]? {
    var patience = Patience(nil)
    var progress = NoProgress()
    return try await inside(.reading, .receive, &patience, &progress) { _, world throws(SocketError) in
      try take(upTo: 1, world)
    }
  }
}
