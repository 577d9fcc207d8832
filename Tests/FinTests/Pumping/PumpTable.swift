import Peers
import TestTraits
import Testing

@testable import Fin

@Suite("A pump is not there: each end is what a direct connection gives", .onThreads, .timeLimit(.minutes(30)))
struct PumpTable {
  /// The observations of both without anything between them.
  private func direct(_ scene: RelayScene) throws -> [String] {
    let pair = try DirectPair()
    return try scene.play(pair.client, pair.server)
  }

  @Test("over TCP, each scene", arguments: RelayScene.all, PumpPath.allCases)
  func overTCP(_ scene: RelayScene, _ path: PumpPath) throws {
    let expected = onThread { try direct(scene) }
    let pumped = try Pumped(path)
    let pump = pumped.pump
    let seen = try scene.play(pumped.client, pumped.server)
    #expect(try seen == expected.join())
    _ = try pump.join()
  }

  @Test(
    "with a Unix socket on either side, and on both: each scene without a reset", arguments: RelayScene.withoutReset,
    [(StreamKind.unix, StreamKind.ipv4), (.ipv4, .unix), (.unix, .unix)])
  func overUnix(_ scene: RelayScene, _ kinds: (StreamKind, StreamKind)) throws {
    let expected = onThread { try direct(scene) }
    let pumped = try Pumped(.inTask, client: kinds.0, server: kinds.1)
    let pump = pumped.pump
    let seen = try scene.play(pumped.client, pumped.server)
    #expect(try seen == expected.join())
    let report = try pump.join()
    #expect(report.isDelivered, "\(report)")
  }

  @Test("the report of a pump says what the scene did", arguments: PumpPath.allCases)
  func reports(_ path: PumpPath) throws {
    func report(_ scene: RelayScene) throws -> PumpReport {
      let pumped = try Pumped(path)
      let pump = pumped.pump
      _ = try scene.play(pumped.client, pumped.server)
      return try pump.join()
    }
    let whole = try report(.halfClose)
    #expect(whole.forward == PumpedStream(bytes: 100, ending: .finished))
    #expect(whole.backward == PumpedStream(bytes: 1_000_000, ending: .finished))
    #expect(whole.isDelivered && whole.first.ending == .peerFinished && whole.second.ending == .peerFinished)
    let reset = try report(.serverResets)
    #expect(reset.backward == PumpedStream(bytes: 10_000, ending: .reset))
    #expect(reset.forward == PumpedStream(bytes: 0, ending: .undeliverable))
    #expect(reset.first.ending == .aborted && reset.first.bytesUnacknowledged == 0, "\(reset.first)")
    #expect(reset.second.ending == .reset, "\(reset.second)")
    #expect(!reset.isDelivered)
    let client = try report(.clientResets)
    #expect(client.forward == PumpedStream(bytes: 10_000, ending: .reset) && client.backward.ending == .undeliverable)
    let late = try report(.resetAfterHalfClose)
    #expect(late.forward == PumpedStream(bytes: 100, ending: .finished) && late.backward.ending == .undeliverable)
  }
}
