import Glibc
import Peers
import TestTraits
import Testing

@testable import FinCommand

@Suite(
  "fin relay and the PROXY protocol, version 2: it hears of clients, and tells of them", .onThreads,
  .timeLimit(.minutes(30)))
struct RelayProxies {
  private static let signature: [UInt8] = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]

  /// A header with a body of this family.
  private static func header(_ command: UInt8, _ family: UInt8, _ body: [UInt8]) -> [UInt8] {
    signature + [command, family, UInt8(body.count >> 8), UInt8(body.count & 0xff)] + body
  }

  /// 192.0.2.7, port 4433, to 10.0.0.1, port 80.
  private static let four: [UInt8] = [192, 0, 2, 7, 10, 0, 0, 1, 0x11, 0x51, 0, 80]
  /// 2001:db8::9, port 99, to ::1, port 80.
  private static let six: [UInt8] =
    [0x20, 0x01, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [9] + [UInt8](repeating: 0, count: 15) + [
      1, 0, 99, 0, 80,
    ]

  /// A header that comes in, and the client that the relay's line and its own header have to name; `nil` for the proxy
  /// itself.
  struct Incoming: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let bytes: [UInt8]
    let client: (name: String, bytes: [UInt8])?

    static let all = [
      Incoming(
        testDescription: "IPv4", bytes: header(0x21, 0x11, four),
        client: ("192.0.2.7:4433", [192, 0, 2, 7, 0x11, 0x51])
      ),
      Incoming(
        testDescription: "IPv6", bytes: header(0x21, 0x21, six),
        client: ("[2001:db8::9]:99", Array(six[..<16]) + [0, 99])),
      Incoming(
        testDescription: "IPv4 with a TLV behind the addresses",
        bytes: header(0x21, 0x11, four + [0x05, 0, 2, 65, 66]),
        client: ("192.0.2.7:4433", [192, 0, 2, 7, 0x11, 0x51])),
      Incoming(testDescription: "LOCAL: the proxy speaks for itself", bytes: header(0x20, 0x11, four), client: nil),
    ]
  }

  /// Receives exactly this many bytes.
  private static func take(_ count: Int, _ socket: borrowing PlainSocket) throws -> [UInt8] {
    var seen: [UInt8] = []
    while seen.count < count {
      let more = try socket.receive(upTo: count - seen.count)
      if more.isEmpty { throw RigError("the end after \(seen)") }
      seen += more
    }
    return seen
  }

  @Test("a header is read to its last byte, also when it comes byte by byte, and written anew", arguments: Incoming.all)
  func both(_ incoming: Incoming) throws {
    let relay = try Relaying("--proxy", "--trust", "127.0.0.1", "--send-proxy")
    let client = try relay.connect()
    client.setOption(CInt(IPPROTO_TCP), TCP_NODELAY, 1)
    for byte in incoming.bytes { try client.send([byte]) }
    try client.send(Array("hello".utf8))
    let server = try relay.target.awaitClient()
    let own = [UInt8(client.port >> 8), UInt8(client.port & 0xff)]
    let expected = incoming.client?.bytes ?? [127, 0, 0, 1] + own
    let isSix = expected.count == 18
    let head = try Self.take(isSix ? 52 : 28, server)
    #expect(Array(head[..<16]) == Self.signature + [0x21, isSix ? 0x21 : 0x11, 0, isSix ? 36 : 12])
    let addresses = Array(head[16...])
    let width = isSix ? 16 : 4
    #expect(Array(addresses[..<width]) + Array(addresses[(2 * width)...].prefix(2)) == expected, "\(addresses)")
    // The place at which the client came in.
    let mapped: [UInt8] = isSix ? [UInt8](repeating: 0, count: 10) + [0xff, 0xff] : []
    let port = [UInt8(relay.port >> 8), UInt8(relay.port & 0xff)]
    #expect(Array(addresses[width..<2 * width]) == mapped + [127, 0, 0, 1] && Array(addresses.suffix(2)) == port)
    try server.expect("hello")
    try client.finishSending()
    try server.finishSending()
    let line = try relay.line()
    let name = incoming.client.map { " for \($0.name)" } ?? ""
    #expect(line.hasPrefix("127.0.0.1:\(client.port)\(name) to 127.0.0.1:\(relay.target.port): "), "\(line)")
    #expect(line.contains(": both finished; 5 bytes there, 0 back"), "\(line)")
  }

  @Test("a header of an untrusted client, half a header and an end, and one of another version: the client is reset")
  func refused() throws {
    let relay = try Relaying("--proxy", "--trust", "192.0.2.0/24")
    let stranger = try relay.connect()
    try stranger.send(Self.header(0x21, 0x11, Self.four))
    #expect(stranger.awaitEnd() == ECONNRESET)
    #expect(try relay.line().contains("127.0.0.1:\(stranger.port): refused ("))
    let strict = try Relaying("--proxy", "--trust", "127.0.0.1", "--idle", "500ms")
    let bytes = Self.header(0x21, 0x11, Self.four)
    for part in [Array(bytes[..<20]), Self.header(0x31, 0x11, Self.four), Self.header(0x21, 0x11, [1, 2, 3])] {
      let client = try strict.connect()
      try client.send(part)
      #expect(client.awaitEnd() == ECONNRESET)
      #expect(try strict.line().contains("127.0.0.1:\(client.port): refused ("))
    }
    // None of them has reached the target.
    var waiting = pollfd(fd: strict.target.descriptor, events: Int16(POLLIN), revents: 0)
    #expect(unsafe poll(&waiting, 1, 0) == 0)
    let lines = try strict.stop().lines
    #expect(lines.last == "stopped: 3 served: 3 aborted; 3 without a proxy's header", "\(lines)")
  }

  @Test("a client of a Unix socket is announced as unknown")
  func unix() throws {
    let scratch = try Scratch()
    let target = try PlainSocket.listening()
    let relay = try Talker(["relay", scratch.path + "/relay", "127.0.0.1:\(target.port)", "--send-proxy"])
    _ = try relay.child.readLine(within: .seconds(60))
    let client = try PlainSocket.connected(toUnix: scratch.path + "/relay")
    try client.send(Array("hello".utf8))
    let server = try target.awaitClient()
    #expect(try Self.take(16, server) == Self.signature + [0x21, 0, 0, 0])
    try server.expect("hello")
  }

  // MARK: HAProxy as the peer

  /// Asks a server for the client's address, which has to be the client's own, and ends the connection.
  private static func expectItsName(_ client: borrowing PlainSocket) throws {
    try client.send(Array("GET / HTTP/1.0\r\n\r\n".utf8))
    let answer = String(decoding: try client.receiveAll(), as: UTF8.self)
    let isRight = answer.hasPrefix("HTTP/1.1 200 OK\r\n") && answer.hasSuffix("you are 127.0.0.1:\(client.port).")
    #expect(isRight, "\(answer)")
    try client.finishSending()
  }

  @Test("HAProxy with accept-proxy hears from the relay who the client is", .runs(.haproxyBehindAProxy))
  func outToHAProxy() throws {
    let scratch = try Scratch()
    let server = try RelayedProgram.haproxyBehindAProxy.start(in: scratch.path)
    defer { server.child.end() }
    let relay = try Talker(["relay", "127.0.0.1:0", "127.0.0.1:\(server.port)", "--send-proxy"])
    let client = try PlainSocket.connected(to: "127.0.0.1", port: try Relaying.port(of: relay))
    try Self.expectItsName(client)
    let line = try relay.child.readLine(within: .seconds(60)) ?? ""
    #expect(line.contains(": both finished; 18 bytes there"), "\(line)")
  }

  @Test(
    "HAProxy with send-proxy-v2 before the relay, and one with accept-proxy behind it: the client's own address",
    .runs(.haproxyBehindAProxy))
  func betweenHAProxies() throws {
    let scratch = try Scratch()
    let back = try RelayedProgram.haproxyBehindAProxy.start(in: scratch.path)
    defer { back.child.end() }
    let relay = try Talker([
      "relay", "127.0.0.1:0", "127.0.0.1:\(back.port)", "--proxy", "--trust", "127.0.0.1", "--send-proxy",
    ])
    let port = try Relaying.port(of: relay)
    let other = try Scratch()
    let front = try RelayedProgram.haproxy(before: port).start(in: other.path)
    defer { front.child.end() }
    let client = try PlainSocket.connected(to: "127.0.0.1", port: front.port)
    try Self.expectItsName(client)
    let line = try relay.child.readLine(within: .seconds(60)) ?? ""
    #expect(line.contains(" for 127.0.0.1:\(client.port) to 127.0.0.1:\(back.port): "), "\(line)")
  }
}
