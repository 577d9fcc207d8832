import Fin
import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@Suite("Datagrams: each arrives whole, or says that it was truncated", .onThreads)
struct Datagrams {
  static let homes: [SocketAddress] = [.loopback(port: 0), .loopback6(port: 0)]

  @Test("a datagram arrives with its sender's address, and can be answered", arguments: homes)
  func answer(home: SocketAddress) throws {
    let server = try DatagramSocket.bind(home)
    let client = try DatagramSocket(home.family)
    try client.send("ping", to: server.localAddress!)
    let question = try server.receive(within: .seconds(10))
    #expect(question.bytes == Array("ping".utf8))
    #expect(question.sender?.port == client.localAddress?.port)
    try server.send("pong", to: question.sender!)
    let answer = try client.receive(within: .seconds(10))
    #expect(answer.bytes == Array("pong".utf8))
    #expect(answer.sender == server.localAddress)
    #expect(client.phase == .bound, "sending gave it a port")
    client.close()
    server.close()
  }

  @Test(
    "datagrams of 0, 1 and 65,507 bytes arrive as they are, and 0 bytes are no EOF", .faults(59),
    arguments: [0, 1, 65_507])
  func sizes(count: Int) throws {
    let server = try DatagramSocket.bind(.loopback(port: 0))
    let client = try DatagramSocket(.ipv4)
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    try client.send(bytes, to: server.localAddress!)
    try client.send("next", to: server.localAddress!)
    let datagram = try server.receive(within: .seconds(10))
    #expect(datagram.bytes == bytes)
    #expect(datagram.length == count)
    #expect(!datagram.isTruncated)
    #expect(datagram.sender?.port == client.localAddress?.port)
    #expect(try server.receive(within: .seconds(10)).bytes == Array("next".utf8))
    client.close()
    server.close()
  }

  @Test("a datagram of 65,508 bytes is refused with the limit in the message, and the socket still works", .faults(59))
  func tooLong() throws {
    let server = try DatagramSocket.bind(.loopback(port: 0))
    let client = try DatagramSocket(.ipv4)
    let error = #expect(throws: SocketError.self) {
      try client.send([UInt8](repeating: 7, count: 65_508), to: server.localAddress!)
    }
    #expect(error?.cause == .system(.messageTooLong))
    #expect(error?.description.contains("65508 bytes; UDP over IPv4 carries 65,507 at most") == true, "\(error!)")
    let six = try DatagramSocket(.ipv6)
    let other = #expect(throws: SocketError.self) {
      try six.send([UInt8](repeating: 7, count: 65_528), to: .loopback6(port: 9))
    }
    #expect(other?.description.contains("UDP over IPv6 carries 65,527 at most") == true, "\(other!)")
    try client.send("small", to: server.localAddress!)
    #expect(try server.receive(within: .seconds(10)).bytes == Array("small".utf8))
    six.close()
    client.close()
    server.close()
  }

  @Test("a truncated datagram says so, and how long it was; its rest is not the next datagram", .faults(59))
  func truncated() throws {
    let folder = try TemporaryFolder()
    for home: SocketAddress in [.loopback(port: 0), .loopback6(port: 0), try .unix("\(folder.path)/s")] {
      let server = try DatagramSocket.bind(home)
      let client = try DatagramSocket(home.family)
      let address = server.localAddress!
      for _ in 0..<3 { try client.send([UInt8](0..<100), to: address) }
      try client.send([1, 2], to: address)
      let cut = try server.receive(upTo: 10, within: .seconds(10))
      #expect(cut.bytes == [UInt8](0..<10))
      #expect(cut.isTruncated)
      #expect(cut.length == 100)
      let none = try server.receive(upTo: 0, within: .seconds(10))
      #expect(none.bytes == [] && none.length == 100 && none.isTruncated)
      let exact = try server.receive(upTo: 100, within: .seconds(10))
      #expect(exact.bytes.count == 100 && !exact.isTruncated)
      #expect(try server.receive(within: .seconds(10)).bytes == [1, 2])
      client.close()
      server.close()
    }
  }

  @Test("a datagram received into the caller's memory is appended to its content, and has its envelope", .faults(59))
  func intoSpan() throws {
    let pair = try DatagramSocket.pair()
    try pair.first.send([1, 2, 3])
    try pair.first.send([4, 5, 6])
    let received = try [UInt8](capacity: 5) { output throws(SocketError) in
      output.append(9)
      var first: Datagram.Envelope?
      var second: Datagram.Envelope?
      try unsafe output.withUnsafeMutableBufferPointer { buffer, count throws(SocketError) in
        var room = unsafe OutputRawSpan(buffer: UnsafeMutableRawBufferPointer(buffer), initializedCount: count)
        first = try pair.second.receive(into: &room, within: .seconds(10))
        second = try pair.second.receive(into: &room, within: .seconds(10))
        count = unsafe room.finalize(for: UnsafeMutableRawBufferPointer(buffer))
      }
      #expect(first?.received == 3 && first?.isTruncated == false)
      #expect(second?.received == 1 && second?.length == 3 && second?.isTruncated == true)
    }
    #expect(received == [9, 1, 2, 3, 4])
    pair.first.close()
    pair.second.close()
  }

  @Test("a datagram pair is connected, keeps datagrams apart, and its sender has no name")
  func pair() throws {
    let pair = try DatagramSocket.pair()
    try pair.first.send([])
    try pair.first.send("a")
    let empty = try pair.second.receive(within: .seconds(10))
    #expect(empty.bytes == [] && empty.length == 0 && empty.sender == nil)
    #expect(try pair.second.receive(within: .seconds(10)).bytes == Array("a".utf8))
    pair.first.close()
    pair.second.close()
  }

  @Test("a connected datagram socket receives from its peer alone, and may be connected to another")
  func connected() throws {
    let first = try DatagramSocket.bind(.loopback(port: 0))
    let second = try DatagramSocket.bind(.loopback(port: 0))
    let client = try DatagramSocket(.ipv4)
    try client.connect(to: first.localAddress!)
    #expect(client.remoteAddress == first.localAddress)
    #expect(client.localAddress?.ip == .v4(.loopback), "connecting gave it an address")
    try client.send("hello")
    let address = try first.receive(within: .seconds(10)).sender!
    #expect(address == client.localAddress)
    // The other sender's datagram is dropped; the peer's datagram after it is delivered.
    try second.send("stranger", to: address)
    try first.send("peer", to: address)
    #expect(try client.receive(within: .seconds(10)).bytes == Array("peer".utf8))
    try client.connect(to: second.localAddress!)
    try client.send("you now")
    #expect(try second.receive(within: .seconds(10)).bytes == Array("you now".utf8))
    client.close()
    first.close()
    second.close()
  }

  @Test("sending a datagram without an address is an error that says what to do", .faults(64))
  func unconnected() throws {
    let socket = try DatagramSocket(.ipv4)
    let error = #expect(throws: SocketError.self) { try socket.send("to whom?") }
    #expect(error?.cause == .system(.addressRequired))
    #expect(error?.description.contains("send(_:to:)") == true, "\(error!)")
    let unix = try DatagramSocket(.unix)
    let other = #expect(throws: SocketError.self) { try unix.send("to whom?") }
    #expect(other?.cause == .system(.socketNotConnected))
    #expect(other?.description.contains("send(_:to:)") == true, "\(other!)")
    unix.close()
    socket.close()
  }

  @Test("connecting a bound datagram socket changes its local address to the one that the peer sees", arguments: homes)
  func connectedLocally(home: SocketAddress) throws {
    let server = try DatagramSocket.bind(home)
    let wildcard: SocketAddress = home.family == .ipv4 ? .any(port: 0) : .any6(port: 0)
    let client = try DatagramSocket.bind(wildcard)
    let port = try #require(client.localAddress?.port)
    #expect(client.localAddress?.ip == wildcard.ip)
    try client.connect(to: server.localAddress!)
    try client.send("x")
    let sender = try server.receive(within: .seconds(10)).sender
    #expect(sender?.port == port && sender == client.localAddress)
    client.close()
    server.close()
  }

  @Test("a connect that is refused leaves a datagram socket with the peer that it had")
  func connectRefused() throws {
    let server = try DatagramSocket.bind(.loopback(port: 0))
    let client = try DatagramSocket(.ipv4)
    try client.connect(to: server.localAddress!)
    // The kernel refuses a broadcast address without the option.
    let broadcast = SocketAddress.v4(IPv4Address(127, 255, 255, 255), port: 9)
    let error = #expect(throws: SocketError.self) { try client.connect(to: broadcast) }
    #expect(error?.cause == .system(.permissionDenied) && error?.remoteAddress == broadcast)
    #expect(client.remoteAddress == server.localAddress)
    try client.send("still yours")
    #expect(try server.receive(within: .seconds(10)).bytes == Array("still yours".utf8))
    client.close()
    server.close()
  }

  @Test("the error of a datagram from a connected socket to another address names that address")
  func errorNamesAddress() throws {
    let server = try DatagramSocket.bind(.loopback(port: 0))
    let client = try DatagramSocket(.ipv4)
    try client.connect(to: server.localAddress!)
    let broadcast = SocketAddress.v4(IPv4Address(127, 255, 255, 255), port: 9)
    let error = #expect(throws: SocketError.self) { try client.send("all", to: broadcast) }
    #expect(error?.cause == .system(.permissionDenied) && error?.remoteAddress == broadcast)
    let long = #expect(throws: SocketError.self) { try client.send([UInt8](repeating: 7, count: 65_508)) }
    #expect(long?.cause == .system(.messageTooLong) && long?.remoteAddress == server.localAddress)
    client.close()
    server.close()
  }

  @Test("a broadcast address without the option is refused, and the error names the option", .faults(64))
  func broadcast() throws {
    let receiver = try DatagramSocket.bind(.any(port: 0))
    let port = receiver.localAddress!.port!
    let everybody = SocketAddress.v4(IPv4Address(127, 255, 255, 255), port: port)
    let sender = try DatagramSocket(.ipv4)
    let error = #expect(throws: SocketError.self) { try sender.send("all", to: everybody) }
    #expect(error?.cause == .system(.permissionDenied))
    #expect(error?.remoteAddress == everybody)
    #expect(error?.description.contains("set(.broadcast, to: true)") == true, "\(error!)")
    #expect(try sender.set(.broadcast, to: true))
    try sender.send("all", to: everybody)
    #expect(try receiver.receive(within: .seconds(10)).bytes == Array("all".utf8))
    sender.close()
    receiver.close()
  }

  @Test("a datagram to a port without a socket is reported as refused once, and the sender still works")
  func unreachable() throws {
    // Not a port from the ephemeral range: between close and send the kernel could give it to a concurrent test.
    let address = SocketAddress.v4(IPv4Address(127, 9, 8, 7), port: quietPort(1))
    let client = try DatagramSocket(.ipv4)
    try client.connect(to: address)
    for _ in 0..<3 {
      try client.send("hello?")
      let error = #expect(throws: SocketError.self) { try client.receive(within: .seconds(10)) }
      #expect(error?.cause == .system(.connectionRefused))
      #expect(error?.description.contains("this socket is still usable") == true, "\(error!)")
      let silence = #expect(throws: SocketError.self) { try client.receive(within: .zero) }
      #expect(silence?.cause == .timedOut, "told once")
    }
    let again = try DatagramSocket.bind(address)
    try client.send("hello?")
    let question = try again.receive(within: .seconds(10))
    try again.send("me", to: question.sender!)
    #expect(try client.receive(within: .seconds(10)).bytes == Array("me".utf8))
    #expect(client.phase == .bound)
    again.close()
    client.close()
  }

  @Test("a datagram receive without data ends at its deadline; one already past allows one attempt", .faults(61))
  func deadlines() throws {
    let server = try DatagramSocket.bind(.loopback(port: 0), timeouts: .all(.milliseconds(30)))
    let clock = ContinuousClock()
    let start = clock.now
    let error = #expect(throws: SocketError.self) { try server.receive() }
    #expect(error?.cause == .timedOut)
    #expect(clock.now - start >= .milliseconds(30))
    try server.send("here", to: server.localAddress!)
    #expect(try server.receive(within: .seconds(-1)).bytes == Array("here".utf8))
    server.close()
  }

  @Test("a datagram to a Unix receiver with a full queue waits until the sender's deadline")
  func fullQueue() throws {
    let folder = try TemporaryFolder()
    let address = try SocketAddress.unix("\(folder.path)/full")
    let server = try DatagramSocket.bind(address)
    let client = try DatagramSocket(.unix)
    var sent = 0
    let error = #expect(throws: SocketError.self) {
      while sent < 100_000 {
        try client.send([1], to: address, within: .milliseconds(200))
        sent += 1
      }
    }
    #expect(error?.cause == .timedOut)
    #expect(sent > 0)
    // The queue has room again, so a sender that waits continues.
    let waiting = onThread(taking: client) { client in
      try client.send([2], to: address, within: .seconds(10))
      client.close()
      return true
    }
    for _ in 0..<sent { #expect(try server.receive(within: .seconds(10)).bytes == [1]) }
    #expect(try server.receive(within: .seconds(10)).bytes == [2])
    #expect(try waiting.join())
    server.close()
  }

  @Test("a datagram to a peer that reads no more is an error and no signal", .faults(57))
  func noSignal() async {
    await #expect(processExitsWith: .success) {
      try synchronously {
        signal(SIGPIPE, SIG_DFL)
        let pair = try DatagramSocket.pair()
        try pair.first.withDescriptor { _ = shutdown($0.rawValue, CInt(SHUT_WR)) }
        do throws(SocketError) {
          try pair.first.send("x")
          fatalError("sent")
        } catch {
          precondition(error.cause == .system(.brokenPipe), "\(error)")
        }
        pair.second.close()
        let udp = try DatagramSocket(.ipv4)
        try udp.connect(to: .loopback(port: 9))
        try udp.withDescriptor { _ = shutdown($0.rawValue, CInt(SHUT_WR)) }
        do throws(SocketError) {
          try udp.send("x")
          fatalError("sent")
        } catch {
          precondition(error.cause == .system(.brokenPipe), "\(error)")
        }
        udp.close()
        pair.first.close()
      }
    }
  }

  @Test(
    "a datagram socket refuses options of other kinds of socket by name, and reads its buffer sizes back", .faults(63))
  func options() throws {
    let socket = try DatagramSocket.bind(.loopback(port: 0))
    let error = #expect(throws: SocketError.self) { try socket.set(.userTimeout, to: .seconds(1)) }
    #expect(error?.cause == .system(.protocolNotAvailable))
    #expect(error?.note == "TCP_USER_TIMEOUT")
    #expect(try socket.option(.reuseAddress) == false, "another program could take the port and its datagrams")
    #expect(try socket.option(.reusePort) == false)
    #expect(try socket.set(.receiveBuffer, to: 1 << 30) < 1 << 31)
    let clamped = try socket.option(.receiveBuffer)
    #expect(clamped > 0 && clamped < 1 << 30, "the kernel clamps: \(clamped)")
    let flags = try socket.withDescriptor { KernelView.descriptorFlags($0.rawValue) }
    #expect(flags == DescriptorFlags(closesOnExec: true, isNonBlocking: true))
    socket.close()
  }

  @Test("options may be set on a datagram socket before its bind, and take effect")
  func bindLater() throws {
    let socket = try DatagramSocket(.ipv6)
    #expect(try socket.set(.ipv6Only, to: true))
    let port = quietPort(2)
    try socket.bind(to: .any6(port: port))
    #expect(socket.localAddress == .any6(port: port))
    // With IPV6_V6ONLY the same port is free for IPv4.
    let four = try DatagramSocket.bind(.any(port: port))
    let again = #expect(throws: SocketError.self) { try socket.bind(to: .any6(port: 0)) }
    #expect(again?.cause == .invalid("this socket is bound"))
    four.close()
    socket.close()
  }
}

/// A port outside the ephemeral range, which another run of these tests is unlikely to use.
func quietPort(_ number: Int) -> UInt16 { UInt16(10_000 + (Int(getpid()) * 7 + number) % 20_000) }
