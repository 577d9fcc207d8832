import TestTraits
import Testing

@testable import FinDoctor

@Suite("A socket is explained from its row, in every state", .onThreads)
struct LifeOfRows {
  private func row(
    _ state: SocketState, timer: SocketTimer = .off, inode: UInt32 = 7, _ change: (inout InetSocket) -> Void = { _ in }
  ) -> InetSocket {
    var socket = InetSocket()
    (socket.state, socket.timer, socket.inode) = (state, timer, inode)
    socket.localBits = NetworkAddress(127, 0, 0, 1).bits
    socket.remoteBits = NetworkAddress(127, 0, 0, 2).bits
    (socket.localPort, socket.remotePort, socket.cookie) = (80, 50000, 1)
    change(&socket)
    return socket
  }

  private func times(_ socket: inout InetSocket, sent: UInt32, received: UInt32, acknowledged: UInt32) {
    socket.info.lastDataSent = sent
    socket.info.lastDataReceived = received
    socket.info.lastAcknowledgementReceived = acknowledged
    (socket.info.bytesReceived, socket.info.bytesSent) = (101, 5)
  }

  private func life(_ socket: InetSocket, _ change: (inout Census, inout SocketDetails) -> Void = { _, _ in })
    -> SocketExplanation
  {
    var census = Census(sockets: [socket])
    var readings = SocketDetails()
    change(&census, &readings)
    return SocketExplanation(of: .inet(0), in: census, readings)
  }

  @Test(
    "CLOSE-WAIT: the receive queue shows whether the program has read EOF",
    arguments: [(0, true), (1, false), (20, false)])
  func closeWait(queue: UInt32, knows: Bool) {
    let told = life(
      row(.closeWait) {
        times(&$0, sent: 9000, received: 8000, acknowledged: 3000)
        $0.receiveQueue = queue
      })
    let kinds = told.events.map(\.kind)

    #expect(kinds.contains(.endRead) == knows && kinds.contains(.unread) == !knows)
    let finished = told.events.first { $0.kind == .peerFinished }
    #expect(finished?.ago == AgeBounds(atLeast: 2990, atMost: 8010))
    if queue == 20 { #expect(told.events.contains { $0.text.hasPrefix("19 bytes and the end of file") }) }
    #expect(told.facts.contains { $0.text == "100 bytes received" }, "the FIN is no byte")
  }

  @Test("events are listed oldest first")
  func order() {
    let told = life(row(.finWait2) { times(&$0, sent: 4000, received: 8000, acknowledged: 3000) })
    #expect(
      told.events.map(\.kind) == [.handshake, .dataReceived, .dataSent, .acknowledged, .finished, .finishAcknowledged])
    #expect(told.events.first?.ago == AgeBounds(atLeast: 7990))
  }

  @Test("bounds from both sides are combined: a side that never received knows the time of the handshake exactly")
  func bothEnds() {
    let mine = row(.established) { times(&$0, sent: 4000, received: 3000, acknowledged: 3000) }
    #expect(life(mine).events.first?.ago == AgeBounds(atLeast: 3990))
    var other = row(.established, inode: 8) { socket in
      times(&socket, sent: 3000, received: 9000, acknowledged: 100)
      socket.info.bytesReceived = 0
    }
    (other.localBits, other.remoteBits) = (mine.remoteBits, mine.localBits)
    (other.localPort, other.remotePort, other.cookie) = (50000, 80, 2)
    let told = SocketExplanation(of: .inet(0), in: Census(sockets: [mine, other]))
    #expect(told.events.first?.ago == AgeBounds(atLeast: 8990, atMost: 9010))
    // Two containers with the same addresses: it is unknown which of them is the other side.
    var twin = other
    (other.namespace, twin.namespace, twin.cookie) = (1, 2, 3)
    let namespaces = [Namespace(), Namespace(inode: 1), Namespace(inode: 2)]
    let census = Census(sockets: [mine, other, twin], namespaces: namespaces)
    #expect(census.otherEnd(of: .inet(0)) == nil)
    #expect(Census(sockets: [mine, other], namespaces: namespaces).otherEnd(of: .inet(0)) == .inet(1))
  }

  @Test("contradictory bounds are not combined")
  func narrowed() {
    let wide = AgeBounds(atLeast: 10, atMost: 100)
    #expect(wide.narrowed(by: AgeBounds(atLeast: 50)) == AgeBounds(atLeast: 50, atMost: 100))
    #expect(wide.narrowed(by: AgeBounds(atLeast: 200)) == wide)
    #expect(wide.narrowed(by: .unknown) == wide)
  }

  @Test("the kernel's retry times agree with its documentation")
  func patience() {
    #expect(TCPRetryLimits.total(retries: 15) == 924_600)
    #expect(TCPRetryLimits.total(retries: 8) == 102_200)
    #expect(TCPRetryLimits.total(retries: .max) > 0 && TCPRetryLimits.total(retries: -1) == 200)
    let first = row(.synSent, timer: .retransmit) {
      $0.expires = 1000
      $0.info.retransmitTimeout = 1_000_000
    }
    let left = TCPRetryLimits().givesUp(first, nil)
    #expect(
      left.map { $0.lower <= 131_000 && $0.upper >= 131_000 && $0.isExact } == true, "\(String(describing: left))")
    var old = TCPRetryLimits()
    old.linearSynRetries = 0
    #expect(old.givesUp(first, nil).map { $0.lower <= 127_000 && $0.upper >= 127_000 } == true)
    var options = SocketOptions()
    options.userTimeout = 5000
    let limited = row(.established, timer: .retransmit) {
      times(&$0, sent: 100, received: 9000, acknowledged: 3000)
      ($0.sendQueue, $0.retransmits, $0.expires) = (10, 3, 100)
      ($0.info.retransmitTimeout, $0.info.backoff) = (1_600_000, 3)
    }
    let own = TCPRetryLimits().givesUp(limited, options)
    #expect(own.map { $0.lower >= 1900 && $0.upper <= 8000 } == true, "\(String(describing: own))")
    #expect(life(limited).next.contains { $0.contains("gives up with ETIMEDOUT") && $0.contains("TCP_USER_TIMEOUT") })
  }

  @Test(
    "keepalive: the unanswered probes and the time of giving up, with the socket's own settings if they are known")
  func keepalive() {
    let asking = row(.established, timer: .keepalive) {
      times(&$0, sent: 9000, received: 9000, acknowledged: 9000)
      ($0.expires, $0.info.probes) = (5000, 2)
    }
    #expect(life(asking).next.last?.contains("in 8.8 min, after 9 probes") == true, "\(life(asking).next)")
    let known = life(asking) { _, readings in
      var options = SocketOptions()
      (options.keepaliveCount, options.keepaliveInterval) = (3, 10)
      readings.options = options
    }
    #expect(known.next.last == "It gives up with ETIMEDOUT in 15 s, after 3 probes (TCP_KEEPCNT).")
  }

  @Test("lookup by address: mapped IPv4 equals IPv4, a wildcard listener matches, both ports are compared")
  func places() {
    let v4 = NetworkAddress(10, 0, 0, 1)
    let mapped = NetworkAddress(AddressBits(low: 0xffff_0a00_0001), isIPv6: true)
    var census = Census(sockets: [
      row(.listen) {
        ($0.localBits, $0.remoteBits, $0.remotePort, $0.localPort) = (AddressBits(), AddressBits(), 0, 8080)
      },
      row(.established) {
        ($0.isIPv6, $0.localBits, $0.localPort) = (true, mapped.bits, 8080)
        ($0.remoteBits, $0.remotePort) = (NetworkAddress(AddressBits(low: 0xffff_0a00_0002), isIPv6: true).bits, 999)
      },
      row(.established) { ($0.remoteBits, $0.remotePort, $0.localPort) = (v4.bits, 8080, 999) },
      row(.established) { ($0.localPort, $0.remotePort) = (1, 2) },
    ])
    func found(_ place: AddressPort, _ other: AddressPort? = nil) -> [SocketReference] {
      census.references(at: place, other)
    }
    #expect(found(AddressPort(v4, port: 8080)) == [.inet(0), .inet(1), .inet(2)])
    #expect(found(AddressPort(mapped, port: 8080)) == [.inet(0), .inet(1), .inet(2)])
    #expect(found(AddressPort(NetworkAddress(10, 0, 0, 9), port: 8080)) == [.inet(0)])
    #expect(found(AddressPort(nil, port: 8080)) == [.inet(0), .inet(1), .inet(2)])
    #expect(found(AddressPort(nil, port: 8080), AddressPort(NetworkAddress(10, 0, 0, 2), port: 999)) == [.inet(1)])
    #expect(found(AddressPort(NetworkAddress(10, 0, 0, 2), port: 999), AddressPort(nil, port: 8080)) == [.inet(1)])
    census.sockets[0].isIPv6 = true
    #expect(found(AddressPort(v4, port: 8080)).contains(.inet(0)))
    census.sockets[0].isIPv6Only = true
    #expect(!found(AddressPort(v4, port: 8080)).contains(.inet(0)))
  }

  @Test("a link-local bind conflicts with sockets on its own interface and with those without one")
  func scopes() {
    let local = AddressBits(high: 0xfe80 << 48, low: 1)
    func other(_ interface: UInt32) -> InetSocket {
      row(.listen) { ($0.isIPv6, $0.localBits, $0.interface, $0.remotePort) = (true, local, interface, 0) }
    }
    let request = BindRequest(NetworkAddress(local, isIPv6: true, interface: 2), port: 80)
    #expect(request.meets(other(2)) && request.meets(other(0)) && !request.meets(other(3)))
    #expect(!BindRequest(request.address, port: 81).meets(other(2)))
    #expect(!BindRequest(request.address, port: 80, transport: .udp).meets(other(2)))
    #expect(
      !request.meets(row(.newSynReceived) { ($0.isIPv6, $0.localBits) = (true, local) }), "no handshake has a port")
  }

  @Test("a bind is tried only where it is harmless")
  func harmless() {
    var namespace = Namespace()
    namespace.limits.ephemeralPorts = 40000...49999
    func isHarmless(_ port: UInt16, _ transport: Transport = .tcp) -> Bool {
      let census = Census(
        sockets: [
          row(.established) { ($0.localPort, $0.transport) = (45000, transport) },
          row(.established) { $0.transport = transport },
        ],
        namespaces: [namespace])
      return BindProbe.isHarmless(
        BindRequest(NetworkAddress(127, 0, 0, 3), port: port, transport: transport), in: census)
    }
    #expect(isHarmless(45001) && isHarmless(80) && !isHarmless(45000))
    #expect(!isHarmless(80, .udp), "the last one that binds gets the datagrams")
  }

  @Test("random states, timers and numbers never trap, and never give an empty text or inverted bounds")
  func anything() {
    var dice = SeededDice(seed: 12)
    for _ in 0..<600 {
      var socket = InetSocket()
      socket.state = SocketState(rawValue: UInt8(dice.next() % 15))
      socket.timer = SocketTimer(rawValue: UInt8(dice.next() % 6))
      socket.transport = dice.next() % 4 == 0 ? .udp : .tcp
      socket.retransmits = UInt8(truncatingIfNeeded: dice.next())
      socket.expires = UInt32(truncatingIfNeeded: dice.next())
      socket.sendQueue = dice.next() % 2 == 0 ? UInt32(dice.next() % 3) : .max
      socket.receiveQueue = dice.next() % 2 == 0 ? UInt32(dice.next() % 3) : .max
      socket.inode = UInt32(dice.next() % 2)
      socket.remotePort = UInt16(dice.next() % 2)
      let bytes = dice.bytes(most: 280)
      socket.info = unsafe TCPDetail(bytes.span.bytes)
      var other = socket
      (other.localPort, other.remotePort, other.cookie) = (socket.remotePort, socket.localPort, 9)
      let told = SocketExplanation(of: .inet(0), in: Census(sockets: [socket, other]))
      if told.meaning.isEmpty || told.outlook.isEmpty || told.title.isEmpty { Issue.record("\(socket)") }
      for event in told.events where event.ago.lower > event.ago.upper || event.text.isEmpty {
        Issue.record("\(event) of \(socket)")
      }
    }
  }

  @Test("every state has an explanation and an outlook, with and without a descriptor", arguments: SocketState.named)
  func states(state: SocketState) {
    for inode: UInt32 in [0, 7] {
      let told = life(row(state, inode: inode) { times(&$0, sent: 1, received: 1, acknowledged: 1) })
      #expect(
        told.meaning.hasSuffix(".") && told.outlook.hasSuffix(".") && !told.meaning.contains("unknown to fin")
          || state == .closed)
    }
  }
}
