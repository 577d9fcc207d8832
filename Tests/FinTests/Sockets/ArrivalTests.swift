import FinBase
import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite(
  "Arrivals: the facts about a datagram are the kernel's, and an answer comes from the address that was asked",
  .onThreads)
struct Arrivals {
  private static let homes: [SocketAddress] = [.loopback(port: 0), .loopback6(port: 0)]

  /// Connected clients in Python: each sends to one address, and gets an answer from no other.
  private static let askAll = """
    import socket, sys
    port = int(sys.argv[1])
    for address in sys.argv[2:]:
        s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
        s.settimeout(60)
        s.connect((address, port))
        s.send(address.encode())
        print(s.recv(100).decode(), flush=True)
    """

  @Test(
    "a socket on every address learns which one was asked, and a connected client gets its answer from that one",
    .needsVeth, .needsProgram("python3"), arguments: [false, true])
  func answers(isIPv6: Bool) throws {
    let link = try OneLink()
    let addresses =
      ["10.9.0.1", "10.9.1.1", "127.0.0.1", "127.0.0.2"] + (isIPv6 ? ["fd00::1", "fd00::11", "::1"] : [])
    let program = try #require(Programs.find("python3"))
    try link.here.run { () throws in
      let socket = try DatagramSocket.bind(isIPv6 ? .any6(port: 0) : .any(port: 0))
      try socket.report(.destination)
      let port = "\(socket.localAddress!.port!)"
      let (lo, va) = (try NetworkInterface.named("lo").index, try NetworkInterface.named("va").index)
      // From the own machine, through the loopback.
      try withChild(program, ["-u", "-c", Self.askAll, port] + addresses) { child in
        for address in addresses {
          let question = try socket.receiveArrival(within: .seconds(60))
          #expect(question.destination == IPAddress(address), "\(question)")
          // A datagram to an own address counts as one of the interface that has the address.
          #expect(question.interface == (address.hasPrefix("127") || address == "::1" ? lo : va), "\(question)")
          #expect(question.datagram.bytes == Array(address.utf8))
          #expect(question.hops == nil && question.time == nil && question.trafficClass == nil)
          try socket.send("from \(address)", answering: question)
          #expect(try child.readLine() == "from \(address)")
        }
      }
      // From the other machine.
      let far = addresses.filter { !$0.hasPrefix("127") && $0 != "::1" }
      try link.there.run { () throws in
        try withChild(program, ["-u", "-c", Self.askAll, port] + far) { child in
          for address in far {
            let question = try socket.receiveArrival(within: .seconds(60))
            #expect(question.destination == IPAddress(address))
            #expect(question.interface == va)
            try socket.send("from \(address)", answering: question)
            #expect(try child.readLine() == "from \(address)")
          }
        }
      }
      socket.close()
    }
  }

  @Test(
    "an answer to a multicast question comes from an address of the machine; a source of choice is used or refused",
    .needsVeth, arguments: [TestGroup.four, .six, .both])
  func sources(group: TestGroup) throws {
    let link = try OneLink()
    let member = try link.there.run { try DatagramSocket.bind(group.any) }
    let port = member.localAddress!.port!
    try member.join(group.group, on: try link.there.run { try NetworkInterface.named("vb") })
    try member.report(.destination)
    let sender = try group.sender(from: group.senders[1], on: "va", in: link.here)
    try sender.send("who?", to: .ip(group.group, port: port))
    let question = try member.receiveArrival(within: .seconds(60))
    #expect(question.destination == group.group)
    try member.send("me", answering: question)
    let answer = try sender.receive(within: .seconds(60))
    let own = IPAddress(group.group.family == .ipv4 ? "10.9.0.2" : "fd00::2")!
    #expect(answer.sender?.canonical == .ip(own, port: port))

    // The other way round: from the second of two addresses, and by an interface.
    let both = try link.here.run { try DatagramSocket.bind(group.any) }
    let from = both.localAddress!.port!
    // An IPv6 socket takes IPv4 addresses in their mapped form.
    let target: IPAddress =
      if group.family == .ipv6, case .v4(let four) = own { .v6(IPv6Address(mapping: four)) } else { own }
    for source in group.senders {
      try both.send([1], to: .ip(target, port: port), from: source, within: .seconds(60))
      #expect(try member.receive(within: .seconds(60)).sender?.canonical == .ip(source, port: from))
    }
    let va = try link.here.run { try NetworkInterface.named("va").index }
    try both.send([2], to: .ip(target, port: port), from: nil, by: va)
    #expect(try member.receive(within: .seconds(60)).bytes == [2])
    let none = #expect(throws: SocketError.self) {
      try both.send([3], to: .ip(target, port: port), from: nil, by: 9999)
    }
    #expect(none?.remoteAddress == .ip(target, port: port))
    let foreign = IPAddress(group.group.family == .ipv4 ? "10.77.0.1" : "fd77::1")!
    let error = #expect(throws: SocketError.self) { try both.send([3], to: .ip(target, port: port), from: foreign) }
    #expect([.system(.invalidArgument), .system(.networkUnreachable)].contains(error?.cause), "\(error!)")
    #expect("\(error!)".contains("an address of this machine"), "\(error!)")
    let mixed = #expect(throws: SocketError.self) {
      try both.send(
        [3], to: .ip(target, port: port), from: group.group.family == .ipv4 ? .v6(.loopback) : .v4(.loopback))
    }
    #expect("\(mixed!)".contains("cannot send to"), "\(mixed!)")
    for socket in [member.share(), sender.share(), both.share()] { socket.close() }
  }

  @Test(
    "hops, traffic class and time are those of the sender and of the clock, in order; others are nil", arguments: homes)
  func facts(home: SocketAddress) throws {
    let socket = try DatagramSocket.bind(home)
    let sender = try DatagramSocket.bind(home)
    let address = socket.localAddress!
    let isFour = home.family == .ipv4
    let level = CInt(isFour ? IPPROTO_IP : IPPROTO_IPV6)
    try sender.send("before", to: address)
    #expect(try socket.receiveArrival(within: .seconds(60)).time == nil)
    try socket.report(.all)
    // The kernel begins to take times on a thread of its own, and until then uses the time of the receive.
    try eventually("times of arrival") {
      try sender.send("is it on?", to: address)
      let sent = Duration.nanoseconds(SystemClock.wall)
      return try #require(try socket.receiveArrival(within: .seconds(60)).time) <= sent
    }
    // IP_TTL and IP_TOS; IPV6_UNICAST_HOPS and IPV6_TCLASS.
    try sender.set(.integer("hops", level: level, name: isFour ? 2 : 16), to: 9)
    try sender.set(.integer("class", level: level, name: isFour ? 1 : 67), to: 0x28)
    let before = Duration.nanoseconds(SystemClock.wall)
    for number in 0..<20 { try sender.send([UInt8(number)], to: address) }
    let after = Duration.nanoseconds(SystemClock.wall)
    var last = before
    for number in 0..<20 {
      let arrival = try socket.receiveArrival(within: .seconds(60))
      #expect(arrival.datagram.bytes == [UInt8(number)] && arrival.datagram.sender == sender.localAddress)
      #expect(arrival.hops == 9 && arrival.trafficClass == 0x28 && arrival.destination == home.ip)
      #expect(arrival.drops == nil && !arrival.isIncomplete)
      let time = try #require(arrival.time)
      #expect(time >= last && time <= after, "\(before) \(last) \(time) \(after)")
      last = time
    }
    try socket.report([.hops])
    try sender.send("x", to: address)
    let one = try socket.receiveArrival(within: .seconds(60))
    #expect(one.hops == 9 && one.time == nil && one.destination == nil && one.trafficClass == nil)
    #expect(one.answeringAddress == nil)
    socket.close()
    sender.close()
  }

  @Test("datagrams of 0, 1 and 65,507 bytes arrive with their facts, and a cut one says so", arguments: [0, 1, 65_507])
  func sizes(count: Int) throws {
    let socket = try DatagramSocket.bind(.loopback(port: 0), receiveBuffer: 400_000)
    try socket.report(.all)
    let sender = try DatagramSocket.bind(.loopback(port: 0), sendBuffer: 400_000)
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
    for _ in 0..<2 { try sender.send(bytes, to: socket.localAddress!, from: .v4(.loopback)) }
    let whole = try socket.receiveArrival(within: .seconds(60))
    #expect(whole.datagram.bytes == bytes && !whole.datagram.isTruncated && whole.destination == .v4(.loopback))
    let cut = try socket.receiveArrival(upTo: 1, within: .seconds(60))
    #expect(cut.datagram.bytes == Array(bytes.prefix(1)) && cut.datagram.length == count)
    #expect(cut.datagram.isTruncated == (count > 1) && cut.destination == .v4(.loopback) && !cut.isIncomplete)
    let error = #expect(throws: SocketError.self) { try socket.receiveArrival(upTo: 17 << 20) }
    #expect("\(error!)".contains("cannot receive a datagram"))
    socket.close()
    sender.close()
  }

  @Test("the count of drops before a datagram is the kernel's count")
  func drops() throws {
    let socket = try DatagramSocket.bind(.loopback(port: 0), receiveBuffer: 4096)
    try socket.report(.drops)
    let sender = try DatagramSocket(.ipv4)
    for _ in 0..<50 { try sender.send([UInt8](repeating: 1, count: 1000), to: socket.localAddress!) }
    var early = 0
    while (try? socket.receiveArrival(within: .zero)) != nil { early += 1 }
    let dropped = try socket.datagramsDropped()
    #expect(Int(dropped) == 50 - early && dropped > 0)
    try sender.send([2], to: socket.localAddress!)
    let next = try socket.receiveArrival(within: .seconds(60))
    #expect(next.datagram.bytes == [2] && next.drops == dropped)
    socket.close()
    sender.close()
  }

  @Test("without room for all facts the rest is there, and the arrival says that it is incomplete", arguments: homes)
  func incomplete(home: SocketAddress) throws {
    let socket = try DatagramSocket.bind(home)
    try socket.report([.time, .hops, .destination])
    try socket.send("x", to: socket.localAddress!)
    try socket.send("y", to: socket.localAddress!)
    let number = try socket.withDescriptor { $0.rawValue }
    // Room for the time, which the kernel writes first, and for half of the next.
    var bytes: [UInt8] = [0, 0]
    let head = try unsafe bytes.withUnsafeMutableBytes { bytes in
      try unsafe Syscalls.receiveArrival(number, bytes, controlRoom: 32 + 18)
    }
    #expect(head.hasLostControl && head.length == 1 && head.facts.time != nil)
    #expect(head.facts.destination == nil || head.facts.hops == nil)
    // MSG_CTRUNC.
    let script = Script(.first(.flagsOfMessage, .value(0x8)))
    let arrival = try scripted(script) { try socket.receiveArrival(within: .seconds(60)) }
    #expect(arrival.isIncomplete && arrival.datagram.bytes == Array("y".utf8) && arrival.time != nil)
    socket.close()
  }

  @Test("a Unix socket reports the time, refuses the rest, and closes descriptors that nothing asked for")
  func unix() throws {
    let pair = try DatagramSocket.pair()
    let error = #expect(throws: SocketError.self) { try pair.second.report([.time, .hops]) }
    #expect(error?.cause == .invalid("a Unix socket reports the time only"))
    try pair.second.report(.time)
    let pipe = try FileDescriptor.pipe()
    let core = pair.first.reference.core
    var pause = Backoff()
    let sent = try core.withAccess(.send) { access throws(SocketError) in
      try core.sendDatagram([7], passing: [pipe.writeEnd.rawValue], &pause, access)
    }
    guard case .done = sent else { throw RigError("not sent") }
    try pipe.writeEnd.close()
    let arrival = try pair.second.receiveArrival(within: .seconds(60))
    #expect(arrival.datagram.bytes == [7] && arrival.time != nil)
    // The other end of the pipe was open in the message alone: now it is open nowhere. POLLHUP.
    let ends = try Syscalls.poll(pipe.readEnd.rawValue, 0, until: .passed)?.first
    try #require(ends == 0x10)
    var byte: [UInt8] = [0]
    #expect(try unsafe byte.withUnsafeMutableBytes { try unsafe pipe.readEnd.read(into: $0) } == 0)
    try pipe.readEnd.close()
    let nameless = #expect(throws: SocketError.self) { try pair.second.send("to whom?", answering: arrival) }
    #expect("\(nameless!)".contains("has no name to answer to"))
    let source = #expect(throws: SocketError.self) {
      try pair.first.send([1], to: try .unix("@nowhere"), from: .v4(.loopback))
    }
    #expect("\(source!)".contains("only a UDP socket sends from an address of choice"), "\(source!)")
    pair.first.close()
    pair.second.close()
  }

  @Test("in a task: an arrival is awaited and answered; a deadline, a cancellation and a close end the wait")
  func tasks() throws {
    let shared = try DatagramSocket.bind(.any(port: 0)).share()
    try shared.report(.all)
    let client = try DatagramSocket(.ipv4)
    try client.connect(to: .loopback(port: shared.localAddress!.port!))
    let answering = errand {
      let question = try await shared.receiveArrival(within: .seconds(60))
      try await shared.send("at \(question.destination.map { "\($0)" } ?? "?")", answering: question)
    }
    try client.send("where?")
    #expect(try client.receive(within: .seconds(60)).bytes == Array("at 127.0.0.1".utf8))
    try answering.join()
    #expect(try errand { try await shared.receiveArrival(within: .milliseconds(20)) }.refusal().cause == .timedOut)
    let cancelled = errand { try await shared.receiveArrival(within: .seconds(60)) }
    cancelled.cancel()
    #expect(try cancelled.refusal().cause == .cancelled)
    let inTask = errand { try await shared.receiveArrival(within: .seconds(60)) }
    let inThread = onThread {
      try refusal { () throws(SocketError) in try shared.receiveArrival(within: .seconds(60)) }
    }
    shared.close()
    #expect(try inTask.refusal().cause == .closed)
    #expect(try inThread.join().cause == .closed)
    let late = #expect(throws: SocketError.self) { try shared.report(.time) }
    #expect(late?.cause == .closed)
    client.close()
  }
}
