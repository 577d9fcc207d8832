import Glibc
import Peers
import TestTraits
import Testing

@Suite("Rig: a link that delays, loses, duplicates and reorders packets", .onThreads)
struct RigLossyLink {
  @Test(
    "a stream arrives whole, whatever the link loses, duplicates or reorders", .needsTUN,
    arguments: [
      ("fair", LinkFaults()), ("slow", LinkFaults(delay: .milliseconds(10), jitter: .milliseconds(10))),
      ("lossy", LinkFaults(seed: 7, loss: 0.1, delay: .milliseconds(2))),
      ("foul", LinkFaults(seed: 7, loss: 0.2, duplication: 0.1, reordering: 0.2, delay: .milliseconds(2))),
    ] as [(String, LinkFaults)])
  func stream(name: String, weather: LinkFaults) throws {
    try withLossyLink(weather) { link in
      let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
      let listener = try link.right.run { try PlainSocket.listening(on: LossyLink.rightAddress) }
      let port = listener.port
      let server = onThread(taking: listener) { listener in try listener.accept().receiveAll() }
      let client = try link.left.run { try PlainSocket.connected(to: LossyLink.rightAddress, port: port) }
      try client.send(bytes)
      try client.finishSending()
      #expect(try server.join(within: .seconds(60)) == bytes)
      let counts = link.counts
      #expect((counts.lost > 0) == (weather.loss > 0), "\(name): \(counts)")
      #expect((counts.doubled > 0) == (weather.duplication > 0), "\(name): \(counts)")
    }
  }

  @Test("every packet takes the link's delay", .needsTUN)
  func delay() throws {
    try withLossyLink(LinkFaults(delay: .milliseconds(50))) { link in
      let start = Deadline.now
      #expect(throws: RigError("connect", code: ECONNREFUSED)) {
        _ = try link.left.run { try PlainSocket.connected(to: LossyLink.rightAddress, port: 9) }
      }
      #expect(Deadline.now - start >= .milliseconds(100))
    }
  }

  @Test("a link loses only what a rule names: three FINs, and no data", .needsTUN)
  func rule() throws {
    let losesFINs = LinkFaults(drops: { side, segment in side == .left && segment?.flags.contains(.fin) == true })
    try withLossyLink(losesFINs) { link in
      let listener = try link.right.run { try PlainSocket.listening(on: LossyLink.rightAddress) }
      let port = listener.port
      let client = try link.left.run { try PlainSocket.connected(to: LossyLink.rightAddress, port: port) }
      let accepted = try listener.accept()
      try client.send([1])
      #expect(try accepted.receive() == [1])
      try client.finishSending()
      try eventually("lost FINs") { link.counts.lost >= 3 }
      #expect(client.state == .finWait1 && client.outgoingQueue == 1)
      link.change(LinkFaults())
      #expect(try accepted.receive().isEmpty)
    }
  }

  @Test("a link that is cut is silent; when it recovers, the stream goes on", .needsTUN)
  func cut() throws {
    try withLossyLink { link in
      let listener = try link.right.run { try PlainSocket.listening(on: LossyLink.rightAddress) }
      let port = listener.port
      let client = try link.left.run { try PlainSocket.connected(to: LossyLink.rightAddress, port: port) }
      let accepted = try listener.accept()
      link.cut()
      try client.send([1, 2])
      try steadily(for: .milliseconds(100), "unacknowledged bytes", equals: 2) { client.outgoingQueue }
      link.heal()
      #expect(try accepted.receive() == [1, 2])
    }
  }

  @Test("the same seed gives the same decisions, another seed different ones")
  func seeds() {
    func draws(_ seed: UInt64) -> [UInt64] {
      var random = SeededRandom(seed: seed)
      return (0..<8).map { _ in random.next() }
    }
    #expect(draws(1) == draws(1))
    #expect(draws(1) != draws(2))
    // The published first value of SplitMix64 for seed 0.
    #expect(draws(0)[0] == 0xe220_a839_7b1d_cdaf)
    var random = SeededRandom(seed: 3)
    let lost = (0..<10_000).count { _ in random.share() < 0.3 }
    #expect((2800...3200).contains(lost))
  }
}
