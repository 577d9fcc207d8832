import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Batches: several datagrams in one system call, none lost, none twice, each error with its datagram", .onThreads)
struct Batches {
  private static let homes: [SocketAddress] = [.loopback(port: 0), .loopback6(port: 0)]

  /// Numbered datagrams of this length.
  private static func numbered(_ count: Int, length: Int = 4, to peer: SocketAddress? = nil) -> [OutgoingDatagram] {
    (0..<count).map { number in
      let head = (0..<4).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) }
      return OutgoingDatagram(head + [UInt8](repeating: 7, count: max(0, length - 4)), to: peer)
    }
  }

  private static func number(_ datagram: Datagram) -> Int {
    datagram.bytes.prefix(4).enumerated().reduce(0) { $0 | Int($1.element) << ($1.offset * 8) }
  }

  @Test(
    "500 datagrams arrive in their order, each once, with few system calls, with and without a connected peer",
    arguments: homes)
  func many(home: SocketAddress) throws {
    let receiver = try DatagramSocket.bind(home, receiveBuffer: 2_000_000)
    let sender = try DatagramSocket.bind(home)
    let address = receiver.localAddress!
    for isConnected in [false, true] {
      if isConnected { try sender.connect(to: address) }
      let script = Script()
      var numbers: [Int] = []
      try scripted(script) { () throws in
        for start in 0..<5 {
          let batch = Batches.numbered(100, to: isConnected ? nil : address).map { datagram in
            var datagram = datagram
            datagram.bytes[3] = UInt8(start)
            return datagram
          }
          try sender.send(batch: batch)
          var came = 0
          while came < 100 {
            for datagram in try receiver.receive(batch: 64, upTo: 1500, within: .seconds(60)) {
              #expect(datagram.sender == sender.localAddress && datagram.length == 4 && !datagram.isTruncated)
              numbers.append(Batches.number(datagram))
              came += 1
            }
          }
        }
      }
      #expect(numbers == (0..<500).map { ($0 / 100) << 24 | $0 % 100 })
      #expect(script.count(.sendmmsg) == 10 && script.count(.recvmmsg) <= 20, "\(script.count(.recvmmsg))")
    }
    receiver.close()
    sender.close()
  }

  @Test(
    "a batch is what Python receives, datagrams of 0, 1 and 65,507 bytes included; and Python's arrive as one",
    .needsProgram("python3"))
  func python() throws {
    let script = """
      import socket
      s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
      s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1000000)
      s.bind(("127.0.0.1", 0))
      print(s.getsockname()[1], flush=True)
      for _ in range(4):
          data, peer = s.recvfrom(70000)
          print(len(data), data[:3].hex(), flush=True)
      for data in (b"", b"a", b"b" * 3000): s.sendto(data, peer)
      print("sent", flush=True)
      """
    let program = try #require(Programs.find("python3"))
    try withChild(program, ["-u", "-c", script]) { child in
      let port = UInt16(try #require(try child.readLine()))!
      let peer = SocketAddress.loopback(port: port)
      let socket = try DatagramSocket.bind(.loopback(port: 0), sendBuffer: 1_000_000)
      let sizes = [0, 1, 65_507, 2]
      try socket.send(batch: sizes.map { OutgoingDatagram([UInt8](repeating: 0xAB, count: $0), to: peer) })
      for size in sizes {
        let head = String(repeating: "ab", count: min(3, size))
        #expect(try child.readLine() == "\(size) \(head)")
      }
      #expect(try child.readLine() == "sent")
      let three = try socket.receive(batch: 10, upTo: 1000, within: .seconds(60))
      #expect(three.map(\.length) == [0, 1, 3000] && three.map(\.bytes.count) == [0, 1, 1000])
      #expect(three.map(\.isTruncated) == [false, false, true] && three.allSatisfy { $0.sender == peer })
      socket.close()
    }
  }

  @Test("an error in the middle says how many went before, those arrive, and nothing behind it", arguments: homes)
  func middle(home: SocketAddress) throws {
    let receiver = try DatagramSocket.bind(home)
    let sender = try DatagramSocket.bind(home)
    let address = receiver.localAddress!
    var batch = Batches.numbered(5, to: address)
    batch[3].bytes = [UInt8](repeating: 1, count: 65_528)
    batch[3].peer = .ip(address.ip!, port: 9)
    let error = try refusal { () throws(SocketError) in try sender.send(batch: batch) }
    #expect(error.cause == .system(.messageTooLong) && error.datagramsAccepted == 3, "\(error)")
    #expect(error.remoteAddress == batch[3].peer)
    #expect("\(error)".contains("after 3 datagrams were accepted: 65528 bytes; UDP over"), "\(error)")
    try sender.send("next", to: address)
    let came = try receiver.receive(batch: 10, upTo: 100, within: .seconds(60))
    #expect(came.map { Array($0.bytes) } == batch.prefix(3).map(\.bytes) + [Array("next".utf8)])
    // The first one already fails.
    let first = try refusal { () throws(SocketError) in try sender.send(batch: Array(batch[3...])) }
    #expect(first.datagramsAccepted == 0 && first.cause == .system(.messageTooLong))
    try sender.send(batch: [])
    #expect(try refusal { () throws(SocketError) in try receiver.receive(within: .zero) }.cause == .timedOut)
    receiver.close()
    sender.close()
  }

  @Test("a kernel that accepts a few at a time gets the rest; one interrupted by a signal, all", arguments: [1, 3, 64])
  func partial(most: Int) throws {
    let receiver = try DatagramSocket.bind(.loopback(port: 0), receiveBuffer: 1_000_000)
    let sender = try DatagramSocket(.ipv4)
    let script = Script(
      lines: [.first(.sendmmsg, .fail(.interrupted)), .first(.recvmmsg, .fail(.interrupted))]
        + [.every(.sendmmsg, .limit(most)), .every(.recvmmsg, .limit(most))])
    let numbers = try scripted(script) { () throws in
      try sender.send(batch: Batches.numbered(100, to: receiver.localAddress!))
      var numbers: [Int] = []
      while numbers.count < 100 {
        let some = try receiver.receive(batch: 50, upTo: 10, within: .seconds(60))
        #expect(some.count <= most)
        numbers += some.map(Batches.number)
      }
      return numbers
    }
    #expect(numbers == Array(0..<100))
    #expect(script.count(.sendmmsg) == (100 + min(most, 64) - 1) / min(most, 64) + 1)
    receiver.close()
    sender.close()
  }

  @Test("a refusal by ICMP before a batch is an error once, and the datagrams in the queue come after it")
  func refusedBefore() throws {
    let peer = try DatagramSocket.bind(.loopback(port: 0))
    let address = peer.localAddress!
    let socket = try DatagramSocket.bind(.loopback(port: 0))
    try socket.connect(to: address)
    try peer.send(batch: Batches.numbered(3, to: socket.localAddress!))
    peer.close()
    try socket.send("gone?")
    let error = try refusal { () throws(SocketError) in try socket.receive(batch: 8, upTo: 10, within: .seconds(60)) }
    #expect(error.cause == .system(.connectionRefused))
    #expect(try socket.receive(batch: 8, upTo: 10, within: .seconds(60)).map(Batches.number) == [0, 1, 2])
    // The refusal of the first datagram of a batch is met by a later one of the same batch or by the next call, once.
    var refusals = 0
    var accepted = 0
    do throws(SocketError) {
      try socket.send(batch: Batches.numbered(1))
      accepted = 1
    } catch { refusals += 1 }
    do throws(SocketError) { _ = try socket.receive(batch: 8, upTo: 10, within: .seconds(60)) } catch {
      refusals += 1
      #expect(error.cause == .system(.connectionRefused))
    }
    #expect(refusals == 1 && accepted == 1)
    socket.close()
  }

  @Test(
    "a batch for a full Unix queue: the deadline, a cancellation and a close say how many are on their way",
    arguments: ["deadline", "cancellation", "close"])
  func full(how: String) throws {
    let folder = try TemporaryFolder()
    let home = try SocketAddress.unix("\(folder.path)/full")
    let receiver = try DatagramSocket.bind(home)
    let sender = try DatagramSocket(.unix).share()
    let batch = Batches.numbered(5000, to: home)
    let error: SocketError
    switch how {
    case "deadline":
      error = try refusal { () throws(SocketError) in try sender.send(batch: batch, within: .milliseconds(50)) }
      #expect(error.cause == .timedOut)
    case "cancellation":
      let sending = errand { try await sender.send(batch: batch, within: .seconds(60)) }
      let number = try receiver.withDescriptor { $0.rawValue }
      try eventually("a full queue") { try Syscalls.unread(number) > 0 }
      sending.cancel()
      error = try sending.refusal()
      #expect(error.cause == .cancelled)
    default:
      let sending = onThread {
        try refusal { () throws(SocketError) in try sender.send(batch: batch, within: .seconds(60)) }
      }
      try eventually("the sender waits in poll") { sending.place.contains("poll") }
      sender.close()
      error = try sending.join()
      #expect(error.cause == .closed)
    }
    #expect(error.remoteAddress == home && error.datagramsAccepted > 0, "\(error)")
    var numbers: [Int] = []
    while let some = try? receiver.receive(batch: 100, upTo: 8, within: .zero) { numbers += some.map(Batches.number) }
    #expect(numbers == Array(0..<error.datagramsAccepted))
    sender.close()
    receiver.close()
  }

  @Test(
    "in tasks: a batch waits for the first datagram only; a deadline, a cancellation, a close and a shutdown end it")
  func tasks() throws {
    let receiver = try DatagramSocket.bind(.loopback(port: 0)).share()
    let sender = try DatagramSocket(.ipv4).share()
    let address = receiver.localAddress!
    let waiting = errand { try await receiver.receive(batch: 1024, upTo: 100, within: .seconds(60)) }
    let sending = errand { try await sender.send(batch: [OutgoingDatagram([5], to: address)]) }
    try sending.join()
    #expect(try waiting.join().map(\.bytes) == [[5]])
    let late = errand { try await receiver.receive(batch: 2, upTo: 1, within: .milliseconds(20)) }
    #expect(try late.refusal().cause == .timedOut)
    let cancelled = errand { try await receiver.receive(batch: 2, upTo: 1, within: .seconds(60)) }
    cancelled.cancel()
    #expect(try cancelled.refusal().cause == .cancelled)
    try sender.send(batch: [OutgoingDatagram([6], to: address)])
    #expect(try receiver.receive(batch: 2, upTo: 1, within: .seconds(60)).map(\.bytes) == [[6]])
    let closed = errand { try await receiver.receive(batch: 2, upTo: 1, within: .seconds(60)) }
    let inThread = onThread {
      try refusal { () throws(SocketError) in try receiver.receive(batch: 2, upTo: 1, within: .seconds(60)) }
    }
    receiver.close()
    #expect(try closed.refusal().cause == .closed)
    #expect(try inThread.join().cause == .closed)
    #expect(try refusal { () throws(SocketError) in try receiver.send(batch: []) }.cause == .closed)
    sender.close()
    let other = try DatagramSocket.bind(.loopback(port: 0))
    try other.connect(to: address)
    try other.withDescriptor { _ = shutdown($0.rawValue, CInt(SHUT_RD)) }
    let ended = try refusal { () throws(SocketError) in try other.receive(batch: 2, upTo: 1, within: .seconds(60)) }
    #expect(ended.cause == .system(.socketShutdown))
    other.close()
  }

  @Test("a batch of no datagrams, of too many, or of too much memory is refused with the limit")
  func limits() throws {
    let socket = try DatagramSocket.bind(.loopback(port: 0))
    for (most, size, part) in [
      (0, 1, "1 to 1024"), (1025, 1, "1 to 1024"), (1024, 65_536, "16 MiB in all"), (1, -1, "16 MiB in all"),
    ] {
      let error = try refusal { () throws(SocketError) in try socket.receive(batch: most, upTo: size) }
      #expect("\(error)".contains(part), "\(error)")
    }
    try socket.send("x", to: socket.localAddress!)
    let none = try socket.receive(batch: 1024, upTo: 0, within: .seconds(60))
    #expect(none.map(\.length) == [1] && none.map(\.isTruncated) == [true])
    socket.close()
  }
}
