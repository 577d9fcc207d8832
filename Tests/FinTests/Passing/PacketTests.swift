import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

/// A message, or the end, as a test compares it.
private func next(_ packets: borrowing PacketConnection, upTo most: Int = 4096, descriptors: Int = 0) throws -> [UInt8]?
{
  try packets.receive(upTo: most, descriptors: descriptors, within: .seconds(10))?.bytes
}

@Suite("Sequenced packets: bounds are kept, a message is whole or refused, and the end is the end", .onThreads)
struct Packets {
  @Test("messages keep their bounds; empty ones are messages, and the end comes once they are read")
  func bounds() throws {
    let pair = try PacketConnection.pair()
    let messages: [[UInt8]] = [[], [1], [2, 3], [], [], [UInt8](repeating: 4, count: 100_000), []]
    for message in messages { try pair.first.send(message) }
    pair.first.finishSending()
    for message in messages { #expect(try next(pair.second, upTo: 100_000) == message) }
    #expect(try next(pair.second) == nil)
    #expect(try next(pair.second) == nil)
    // Only one direction has ended.
    try pair.second.send([9])
    #expect(try next(pair.first) == [9])
    #expect(try socketError { try pair.first.send([1]) }.cause == .finished)
    pair.first.abort()
    pair.second.abort()
  }

  @Test("messages that wait before the receiver is marked are distinguished from the end, too")
  func adopted() throws {
    let numbers = try Syscalls.socketpair(CInt(SOCK_SEQPACKET.rawValue))
    let peer = PlainSocket(adopting: numbers.0)
    try peer.send([])
    #expect(unsafe send(numbers.0, "", 0, 0) == 0)
    let packets = try PacketConnection.adopt(FileDescriptor(rawValue: numbers.1))
    #expect(try next(packets) == [])
    peer.close()
    #expect(try next(packets) == nil)
    packets.abort()
  }

  @Test("a message that is longer than allowed is an error, stays whole, and blocks no other error")
  func truncation() throws {
    let pair = try PacketConnection.pair()
    try pair.first.send([1, 2, 3, 4, 5])
    try pair.first.send([6])
    for _ in 0..<2 {
      #expect(try socketError { _ = try next(pair.second, upTo: 4) }.cause == .limit("message limit", 4))
    }
    #expect(try next(pair.second, upTo: 5) == [1, 2, 3, 4, 5])
    #expect(try next(pair.second, upTo: 1) == [6])
    try pair.first.send([])
    #expect(try next(pair.second, upTo: 0) == [])
    let error = try socketError { try pair.first.send([UInt8](repeating: 0, count: 16 << 20)) }
    #expect(error.cause == .system(.messageTooLong) && "\(error)".contains("sendBuffer"))
    pair.first.abort()
    pair.second.abort()
  }

  @Test("another holder of the socket takes the message that was measured: the longer one is not cut in silence")
  func race() throws {
    let pair = try PacketConnection.pair()
    try pair.first.send([1])
    try pair.first.send([1, 2, 3])
    let number = try pair.second.withDescriptor { $0.rawValue }
    let script = Script(
      .first(
        .recvmsg,
        .before {
          var byte: UInt8 = 0
          unsafe _ = recv(number, &byte, 1, 0)
        }))
    let error = try Seam.$script.withValue(script) { try socketError { _ = try next(pair.second) } }
    #expect(error.cause == .limit("message limit", 1))
    pair.first.abort()
    pair.second.abort()
  }

  @Test(
    "connect, accept, descriptors and credentials over a path, in threads and in tasks",
    arguments: ServingWorld.allCases)
  func path(_ world: ServingWorld) throws {
    let folder = try TemporaryFolder()
    let address = try SocketAddress.unix("\(folder.path)/s")
    let pipe = try PassedPipe()
    switch world {
    case .threads:
      let listener = try PacketListener.bind(address)
      let client = try PacketConnection.connect(to: address, within: .seconds(10))
      let served = try listener.accept(within: .seconds(10))
      try client.send([], passing: [FileDescriptor(rawValue: pipe.writing)])
      guard let message = try served.receive(descriptors: 1, within: .seconds(10)) else { throw RigError("the end") }
      let arrived = Arrived(message)
      #expect(arrived.bytes == [] && arrived.numbers.count == 1, "descriptors with 0 bytes are a message here")
      arrived.close()
      #expect(try served.peerCredentials().pid == getpid())
      let report = client.close(.confirmed(within: .seconds(10)))
      #expect(report.ending == .acknowledged || report.ending == .peerFinished)
      #expect(try next(served) == nil)
      served.close()
      listener.close()
    case .tasks:
      try inTask {
        let listener = try PacketListener.bind(address)
        let client = try await PacketConnection.connect(to: address, within: .seconds(10))
        let served = try await listener.accept(within: .seconds(10))
        try await client.send([], passing: [FileDescriptor(rawValue: pipe.writing)])
        guard let message = try await served.receive(descriptors: 1, within: .seconds(10)) else {
          throw RigError("the end")
        }
        let arrived = Arrived(message)
        #expect(arrived.bytes == [] && arrived.numbers.count == 1)
        arrived.close()
        await client.close(.confirmed(within: .seconds(10)))
        let isEnd = try await served.receive(within: .seconds(10)) == nil
        #expect(isEnd)
        await served.close()
        listener.close()
      }
    }
    #expect(pipe.hasEnded())
    #expect(folder.entries == [])
  }

  @Test("a peer that closes with a message unread: a reset, and not an end")
  func reset() throws {
    let pair = try PacketConnection.pair()
    let ours = pair.first
    try ours.send([1])
    pair.second.abort()
    #expect(try socketError { _ = try next(ours) }.cause == .reset)
    #expect(try socketError { _ = try next(ours) }.cause == .reset)
    let report = ours.close()
    #expect(report.ending == .discardedByPeer)
  }

  @Test("a lingering close discards messages, empty ones too, until the end")
  func lingering() throws {
    let pair = try PacketConnection.pair()
    for message in [[], [1, 2], [], [3]] as [[UInt8]] { try pair.first.send(message) }
    pair.first.finishSending()
    let report = pair.second.close(.lingering(within: .seconds(10), idle: .seconds(5), discarding: 1 << 20))
    #expect(report.ending == .peerFinished && report.bytesDiscarded == 3, "\(report)")
    let other = pair.first.close()
    #expect(other.ending == .peerFinished)
  }

  @Test("a receive waits and times out; a cancelled one loses no message")
  func waits() throws {
    let pair = try PacketConnection.pair()
    let ours = Holding(pair.second)
    #expect(try socketError { _ = try ours.packets.receive(within: .milliseconds(20)) }.cause == .timedOut)
    let receiving = errand { _ = try await ours.packets.receive() }
    try ours.packets.awaitParked()
    receiving.cancel()
    #expect(try receiving.refusal().cause == .cancelled)
    try pair.first.send([1])
    #expect(try next(ours.packets) == [1])
    pair.first.abort()
    ours.packets.reference.core.end()
  }

  @Test("1,000 descriptors, and more than allowed: refused, and closed")
  func descriptors() throws {
    let pair = try PacketConnection.pair()
    let pipe = try PassedPipe()
    let all = [FileDescriptor](repeating: FileDescriptor(rawValue: pipe.writing), count: 1000)
    #expect(
      try socketError { try pair.first.send([1], passing: all) }.cause
        == .invalid("1000 descriptors in one message; Linux accepts 253"))
    try pair.first.send([1], passing: Array(all.prefix(253)))
    #expect(
      try socketError { _ = try next(pair.second, descriptors: 252) }.cause
        == .limit("number of descriptors", 252))
    #expect(pipe.hasEnded())
    pair.first.abort()
    pair.second.abort()
  }
}

/// A packet connection for closures.
private final class Holding: Sendable {
  let packets: PacketConnection
  init(_ packets: consuming PacketConnection) { self.packets = packets }
}
