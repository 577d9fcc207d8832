import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Gathering: many pieces, one stream", .onThreads)
struct Gathering {
  private func pieces(_ count: Int, upTo most: Int, seed: UInt64) -> [[UInt8]] {
    var dice = Dice(seed: seed)
    return (0..<count).map { _ in pattern(Int.random(in: 0...most, using: &dice), seed: dice.next()) }
  }

  private func check(
    _ kind: StreamKind, _ pieces: [[UInt8]], script: Script = Script(), buffer: Int? = nil
  ) throws {
    let pair = try kind.connected()
    if let buffer { try pair.first.set(.sendBuffer, to: buffer) }
    let expected = joined(pieces)
    let sender = onThread(taking: pair.first) { first in
      try scripted(script) { () throws in try first.send(gathering: pieces, within: .seconds(30)) }
      return first.close()
    }
    let received = try pair.second.receive(exactly: expected.count, within: .seconds(30))
    #expect(received == expected)
    #expect(try pair.second.receive(upTo: 1) == nil)
    pair.second.close()
    #expect(try sender.join(within: .seconds(30)).isDelivered)
  }

  @Test("a gathered send skips empty pieces, wherever they are", arguments: StreamKind.all)
  func empty(kind: StreamKind) throws {
    try check(kind, [[], [1], [], [], [2, 3], []])
    try check(kind, [[], [], [4]])
    try check(kind, [[5], [], []])
  }

  @Test("a gathered send of more pieces than one system call takes", arguments: StreamKind.all)
  func many(kind: StreamKind) throws {
    for count in [255, 256, 257, 1023, 1024, 1025, 3000] {
      let script = Script()
      try check(kind, pieces(count, upTo: 20, seed: UInt64(count)), script: script)
      if count > 1024 { #expect(script.count(.sendmsg) > 1) }
    }
  }

  @Test("a gathered send of 200,000 pieces needs neither a deep stack nor quadratic time")
  func veryMany() throws {
    let many = [[UInt8]](repeating: [1, 2, 3], count: 200_000)
    let time = try elapsed { try check(.ipv4, many) }
    #expect(time < .seconds(30))
  }

  @Test(
    "a gathered send continues when the kernel stops in the middle of a piece, again and again", .faults(59),
    arguments: StreamKind.all)
  func short(kind: StreamKind) throws {
    // Pieces far larger than the kernel accepts at once, so that a call must end in the middle of one.
    let large = [pattern(1_500_001), [], pattern(7), pattern(2_000_003), pattern(1)]
    let script = Script()
    try check(kind, large, script: script, buffer: 32 << 10)
    #expect(script.count(.sendmsg) > 2)
    #expect(script.count(.poll) > 0)
  }

  @Test(
    "a gathered send continues when the kernel accepts 1 to 12 bytes per call, wherever that ends", .faults(59),
    arguments: 1...12)
  func everyCut(most: Int) throws {
    let pieces: [[UInt8]] = [[1, 2, 3], [4], [], [5, 6, 7, 8, 9, 10, 11], [12, 13]]
    let script = Script(.every(.sendmsg, .limit(most)))
    try check(.ipv4, pieces, script: script)
    #expect(script.count(.sendmsg) == (13 + most - 1) / most)
  }
}
