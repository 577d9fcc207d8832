import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("A received array has the capacity of the bytes that arrived, not of the limit", .onThreads)
struct RoomOfArrays {
  private static let counts = [1, 100, 5000, 60_000, 150_000]

  private func isTight(_ bytes: [UInt8], _ count: Int) {
    #expect(bytes.count == count)
    #expect(bytes.capacity <= 2 * count + 64, "\(count) bytes keep \(bytes.capacity)")
  }

  @Test("receive(upTo:) with a limit above what arrived: the capacity fits", arguments: counts)
  func upTo(count: Int) throws {
    let pair = try Connection.pair()
    for option in [SocketOption.sendBuffer, .receiveBuffer] { _ = try pair.first.set(option, to: 1 << 20) }
    try pair.first.send(pattern(count))
    isTight(try #require(try pair.second.receive(upTo: 1 << 20)), count)
    pair.first.abort()
    pair.second.abort()
  }

  @Test("bytes that were peeked or read ahead: the capacity fits")
  func buffered() throws {
    let pair = try Connection.pair()
    try pair.first.send("x")
    #expect(try pair.second.peek(upTo: 10)?.count == 1)
    isTight(try #require(try pair.second.receive(upTo: 1 << 20)), 1)
    try pair.first.send("line\nrest")
    #expect(try pair.second.receiveLine() == "line")
    isTight(try #require(try pair.second.receive(upTo: 1 << 20)), 4)
    try pair.first.send("ab;cd")
    isTight(try #require(try pair.second.receive(until: [UInt8(ascii: ";")], limit: 100)), 2)
    isTight(try #require(try pair.second.receive(upTo: 2)), 2)
    pair.first.abort()
    pair.second.abort()
  }

  @Test("receive(exactly:), in a task too, and datagrams: the capacity fits")
  func others() throws {
    let pair = try Connection.pair()
    let second = pair.second.share()
    try pair.first.send("abc")
    isTight(try #require(try second.receive(exactly: 3)), 3)
    try pair.first.send("d")
    isTight(try #require(try inTask { try await second.receive(upTo: 1 << 20) }), 1)
    second.abort()
    pair.first.abort()
    let ends = try DatagramSocket.pair()
    try ends.first.send("x")
    isTight(try ends.second.receive().bytes, 1)
    ends.first.close()
    ends.second.close()
  }
}
