import Glibc
import Peers
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 9: a server behind a proxy believes the proxies it names, and no other client", .onThreads)
struct BehindAProxy {
  private static let signature: [UInt8] = [0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a]
  private static let v4: [UInt8] = signature + [0x21, 0x11, 0, 12, 192, 0, 2, 7, 10, 0, 0, 1, 0x11, 0x51, 0, 80]

  private static func read(_ text: String) -> ProxyHeader { ProxyHeader(reading: Array(text.utf8)[...]) }
  private static func read(_ bytes: [UInt8]) -> ProxyHeader { ProxyHeader(reading: bytes[...]) }

  @Test("headers of version 1 that a proxy sends, with bytes of the client behind them")
  func lines() throws {
    let four = "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n"
    let six = "PROXY TCP6 2001:db8::1 ::1 1 65535\r\n"
    let client4 = try SocketAddress.ip(IPAddress(parsing: "192.0.2.1"), port: 56324)
    let client6 = try SocketAddress.ip(IPAddress(parsing: "2001:db8::1"), port: 1)
    for rest in ["", "GET / HTTP/1.1\r\n"] {
      #expect(Self.read(four + rest) == .header(length: four.utf8.count, client: client4))
      #expect(Self.read(six + rest) == .header(length: six.utf8.count, client: client6))
      #expect(Self.read("PROXY UNKNOWN\r\n" + rest) == .header(length: 15, client: nil))
      #expect(Self.read("PROXY UNKNOWN 192.0.2.1 x\r\n" + rest) == .header(length: 27, client: nil))
    }
    for count in 0..<four.utf8.count { #expect(Self.read(Array(four.utf8.prefix(count))) == .incomplete) }
  }

  @Test(
    "lines that are no header",
    arguments: [
      "GET / HTTP/1.1\r\n", "proxy TCP4 192.0.2.1 198.51.100.1 1 2\r\n", "PROXY TCP4 192.0.2.1 198.51.100.1 1 2\n",
      "PROXY TCP4 192.0.2.1 198.51.100.1 1 65536\r\n", "PROXY TCP4 192.0.2.1 198.51.100.1 01 2\r\n",
      "PROXY TCP4 192.0.2.1 198.51.100.1 +1 2\r\n", "PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
      "PROXY TCP6 192.0.2.1 198.51.100.1 1 2\r\n", "PROXY TCP4  192.0.2.1 198.51.100.1 1 2\r\n",
      "PROXY TCP4 192.0.2.1 198.51.100.1 1\r\n", "PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n",
      "PROXY TCP6 fe80::1%lo ::1 1 2\r\n", "PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n", "PROXY \u{0}\r\n",
      "PROXY TCP4 " + String(repeating: "1", count: 120), "\r\n\r\nGET",
    ])
  func malformedLines(line: String) {
    guard case .malformed = Self.read(line) else {
      Issue.record("\(line) was read as \(Self.read(line))")
      return
    }
  }

  @Test("headers of version 2: addresses, LOCAL without them, TLVs behind them, bounds")
  func binary() throws {
    let client = try SocketAddress.ip(IPAddress(parsing: "192.0.2.7"), port: 0x1151)
    #expect(Self.read(Self.v4) == .header(length: 28, client: client))
    for count in 0..<28 { #expect(Self.read(Array(Self.v4.prefix(count))) == .incomplete) }
    // LOCAL has addresses, which mean nothing.
    var local = Self.v4
    local[12] = 0x20
    #expect(Self.read(local) == .header(length: 28, client: nil))
    // A TLV of 5 bytes; the client's own bytes follow.
    var tagged = Self.v4 + [0x05, 0, 2, 65, 66] + [71, 69, 84]
    tagged[15] = 17
    #expect(Self.read(tagged) == .header(length: 33, client: client))
    var six = Self.signature + [0x21, 0x21, 0, 36]
    six += [0x20, 0x01, 0x0d, 0xb8] + [UInt8](repeating: 0, count: 11) + [9]
    six += [UInt8](repeating: 0, count: 16) + [0, 99, 0, 80]
    let client6 = try SocketAddress.ip(IPAddress(parsing: "2001:db8::9"), port: 99)
    #expect(Self.read(six) == .header(length: 52, client: client6))
    let wrong: [(Int, UInt8)] = [(12, 0x11), (12, 0x22), (13, 0x41), (15, 11), (14, 3)]
    for (index, byte) in wrong {
      var bytes = Self.v4
      bytes[index] = byte
      guard case .malformed = Self.read(bytes) else {
        Issue.record("byte \(index) as \(byte) was read as \(Self.read(bytes))")
        continue
      }
    }
  }

  @Test("random bytes are read without a trap, and are no whole header of more bytes than there are")
  func random() {
    var numbers = SystemRandomNumberGenerator()
    for round in 0..<20_000 {
      var bytes = round % 2 == 0 ? Self.signature : Array("PROXY TCP4 ".utf8)
      bytes += (0..<Int.random(in: 0..<80, using: &numbers)).map { _ in UInt8.random(in: 0...255, using: &numbers) }
      if case .header(let length, _) = Self.read(bytes) { #expect(length <= bytes.count) }
    }
  }

  @Test("blocks of addresses: parsing, refusals, and which addresses they contain")
  func prefixes() throws {
    let ten = try #require(AddressPrefix("10.0.0.0/8"))
    #expect(try ten.contains(IPAddress(parsing: "10.255.0.1")))
    #expect(try !ten.contains(IPAddress(parsing: "11.0.0.0")))
    #expect(try ten.contains(IPAddress(parsing: "::ffff:10.1.2.3")))
    let net = try #require(AddressPrefix("2001:db8::/33"))
    #expect(try net.contains(IPAddress(parsing: "2001:db8:7fff::1")))
    #expect(try !net.contains(IPAddress(parsing: "2001:db8:8000::1")))
    let one = try #require(AddressPrefix("127.0.0.1"))
    #expect(one.contains(.v4(.loopback)))
    #expect(try !one.contains(IPAddress(parsing: "127.0.0.2")))
    let all = try #require(AddressPrefix("0.0.0.0/0"))
    #expect(all.contains(.v4(.loopback)) && !all.contains(.v6(.loopback)))
    #expect("\(net)" == "2001:db8::/33")
    for text in ["", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "::/129", "10.0.0.0/", "x/8"] {
      #expect(AddressPrefix(text) == nil, "\(text)")
    }
  }

  /// A server that answers with the two addresses of its client.
  private static func server(
    _ world: ServingWorld, from proxies: [String], connectionsPerPeer: Int? = nil, within: Duration = .seconds(30)
  ) throws -> (port: UInt16, stop: () throws -> ServerReport) {
    let owner = Keeper(try Listener.bind(.loopback(port: 0)))
    let handle = owner.listener.handle
    let limits = ServerLimits(
      connectionsPerPeer: connectionsPerPeer, proxies: proxies.compactMap { AddressPrefix($0) },
      proxyHeaderTime: within)
    let join: () throws -> ServerReport
    switch world {
    case .threads:
      let thread = onThread {
        owner.listener.serve(threads: 4, limits: limits) { connection in
          while let line = try connection.receiveLine() {
            let original = connection.originalAddress.map { "\($0)" } ?? "none"
            try connection.send("\(line) \(original) \(connection.remoteAddress!.ip!)\n")
          }
        }
      }
      join = { try thread.join(within: .seconds(30)) }
    case .tasks:
      let reactor = try Reactor(loops: 2)
      let task = Working(on: reactor.executor) {
        await owner.listener.serve(on: reactor, limits: limits) { connection in
          while let line = try await connection.receiveLine() {
            let original = connection.originalAddress.map { "\($0)" } ?? "none"
            try await connection.send("\(line) \(original) \(connection.remoteAddress!.ip!)\n")
          }
        }
      }
      join = { try task.join(within: .seconds(30)) }
    }
    return (
      owner.listener.localAddress.port!,
      {
        handle.stop()
        return try join()
      }
    )
  }

  @Test("without named proxies no header is looked for: one that a client sends is its first line")
  func neverGuessed() throws {
    let server = try Running(threads: 1, echo)
    let line = "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443"
    #expect(try Visitor(server.port).ask(line) == line + "\n")
    let report = try server.stop()
    #expect(report.endings == [.peerFinished: 1] && report.proxiesRefused == 0, "\(report)")
  }

  @Test("the handler sees both addresses, and every byte behind the header", arguments: ServingWorld.allCases)
  func served(world: ServingWorld) throws {
    let server = try Self.server(world, from: ["127.0.0.0/8"])
    let first = try Visitor(server.port)
    try first.socket.send(Self.v4 + Array("a\n".utf8))
    #expect(try first.ask("b") == "a 192.0.2.7:4433 127.0.0.1\nb 192.0.2.7:4433 127.0.0.1\n")
    // In pieces of one byte.
    let second = try Visitor(server.port)
    for byte in "PROXY TCP6 2001:db8::1 ::1 1 2\r\n".utf8 { try second.socket.send([byte]) }
    #expect(try second.ask("c") == "c [2001:db8::1]:1 127.0.0.1\n")
    let local = try Visitor(server.port)
    try local.socket.send(Array("PROXY UNKNOWN\r\n".utf8))
    #expect(try local.ask("d") == "d none 127.0.0.1\n")
    let report = try server.stop()
    #expect(report.endings == [.peerFinished: 3] && report.proxiesRefused == 0, "\(report)")
  }

  @Test("a forged header, a missing one and one that is cut off end in a reset", arguments: ServingWorld.allCases)
  func refused(world: ServingWorld) throws {
    let server = try Self.server(world, from: ["127.0.0.1"])
    for bytes in ["GET / HTTP/1.1\r\n\r\n", "PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n"] {
      let visitor = try Visitor(server.port)
      try visitor.socket.send(Array(bytes.utf8))
      #expect(visitor.next == .reset)
    }
    let cut = try Visitor(server.port)
    try cut.socket.send(Array(Self.v4.prefix(20)))
    try cut.socket.finishSending()
    #expect(cut.next == .reset)
    let gone = try PlainSocket.connected(to: "127.0.0.1", port: server.port)
    try gone.send(Array(Self.v4.prefix(20)))
    gone.abort()
    let report = try server.stop()
    #expect(report.proxiesRefused == 4 && report.handlersFailed == 0, "\(report)")
    // A whole header, from an address that is no proxy.
    let other = try Self.server(world, from: ["10.0.0.0/8"])
    let visitor = try Visitor(other.port)
    try? visitor.socket.send(Self.v4 + Array("a\n".utf8))
    #expect(visitor.next == .reset)
    #expect(try other.stop().proxiesRefused == 1)
  }

  @Test(
    "a proxy that is silent, or sends its header byte by byte, is reset when the time for the whole header is over",
    arguments: ServingWorld.allCases)
  func silent(world: ServingWorld) throws {
    let limit = Duration.milliseconds(150)
    let server = try Self.server(world, from: ["127.0.0.1"], within: limit)
    var silent: Visitor?
    let time = try elapsed {
      let visitor = try Visitor(server.port)
      visitor.socket.setTimeouts(.seconds(60))
      #expect(visitor.next == .reset)
      silent = visitor
    }
    #expect(time >= limit && silent != nil)
    // 107 bytes are the longest header of version 1, and would take 2 s.
    let slow = try Visitor(server.port)
    slow.socket.setTimeouts(.milliseconds(20))
    var next = Result<Int, RigError>.failure(RigError("recv", code: EAGAIN))
    var sent = 0
    while next == .failure(RigError("recv", code: EAGAIN)), sent < 107 {
      try? slow.socket.send([UInt8(ascii: "P")])
      sent += 1
      next = slow.next
    }
    let quick = try Visitor(server.port)
    try quick.socket.send(Self.v4 + Array("a\n".utf8))
    #expect(try quick.ask("b") == "a 192.0.2.7:4433 127.0.0.1\nb 192.0.2.7:4433 127.0.0.1\n")
    let report = try server.stop()
    #expect(report.proxiesRefused == 2 && report.handlersFailed == 0, "\(report)")
    #expect(report.endings == [.aborted: 2, .peerFinished: 1], "\(report)")
    #expect("\(report)".contains("; 2 without a proxy's header"), "\(report)")
    #expect(next == .reset && sent > 1)
  }

  @Test("the limit of a peer counts by the address that the proxy tells", arguments: ServingWorld.allCases)
  func perPeer(world: ServingWorld) throws {
    let server = try Self.server(world, from: ["127.0.0.1"], connectionsPerPeer: 1)
    let first = try Visitor(server.port)
    try first.socket.send(Array("PROXY TCP6 2001:db8::1 ::1 1 2\r\na\n".utf8))
    #expect(first.next == .success("a [2001:db8::1]:1 127.0.0.1\n".utf8.count))
    // The same /64.
    let same = try Visitor(server.port)
    try same.socket.send(Array("PROXY TCP6 2001:db8::ffff ::1 1 2\r\na\n".utf8))
    #expect(same.next == .reset)
    let other = try Visitor(server.port)
    try other.socket.send(Array("PROXY TCP6 2001:db8:0:1::1 ::1 1 2\r\n".utf8))
    #expect(try other.ask("b") == "b [2001:db8:0:1::1]:1 127.0.0.1\n")
    try first.socket.finishSending()
    #expect(first.next == .success(0))
    try eventually("room for the peer again") {
      let again = try Visitor(server.port)
      try again.socket.send(Array("PROXY TCP6 2001:db8::2 ::1 1 2\r\n".utf8))
      return (try? again.ask("c")) == "c [2001:db8::2]:1 127.0.0.1\n"
    }
    let report = try server.stop()
    #expect(report.refused >= 1 && report.proxiesRefused == 0 && report.handlersFailed == 0, "\(report)")
  }
}
