import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("A wait without an event, or with one that never goes away, uses no processor time", .onThreads)
struct IdleWaits {
  /// Well below the processor time of a spinning wait of this length, and well above that of polling at intervals.
  private static let wait = Duration.milliseconds(400)
  private static let most = Duration.milliseconds(100)

  /// A Unix listener whose queue is full.
  private func fullListener() throws -> (Keeper, [SharedConnection]) {
    let keeper = Keeper(try Listener.bind(try StreamKind.unix.freshAddress, backlog: 0))
    var queued: [SharedConnection] = []
    while true {
      do { queued.append(try Connection.connect(to: keeper.listener.localAddress, within: .zero).share()) } catch {
        break
      }
    }
    return (keeper, queued)
  }

  @Test("a connect that waits for a full Unix queue does not spin, by one owner and by a shared one")
  func fullQueue() throws {
    let (keeper, queued) = try fullListener()
    let address = keeper.listener.localAddress
    for isShared in [false, true] {
      let script = Script()
      let time = try processorTime {
        let error = try scripted(script) { () throws in
          try refusal { () throws(SocketError) in
            if isShared {
              try SharedConnection(unconnected: .unix).connect(to: address, within: Timeout(IdleWaits.wait))
            } else {
              try Connection.connect(to: address, within: Timeout(IdleWaits.wait)).abort()
            }
          }
        }
        #expect(error.cause == .timedOut)
      }
      #expect(time < IdleWaits.most)
      #expect((2...40).contains(script.count(.connect)), "it asked \(script.count(.connect)) times")
    }
    for connection in queued { connection.abort() }
    keeper.end()
  }

  @Test("a connect in a task that waits for a full Unix queue does not spin")
  func fullQueueInATask() throws {
    let (keeper, queued) = try fullListener()
    let address = keeper.listener.localAddress
    let script = Script()
    let attempt = errand {
      try await Seam.$script.withValue(script) {
        try await Connection.connect(to: address, within: Timeout(IdleWaits.wait)).abort()
      }
    }
    #expect(try attempt.refusal().cause == .timedOut)
    #expect((2...40).contains(script.count(.connect)), "it asked \(script.count(.connect)) times")
    for connection in queued { connection.abort() }
    keeper.end()
  }

  @Test("a datagram that waits for a full Unix queue does not spin")
  func fullReceiver() throws {
    let home = try StreamKind.unix.freshAddress
    let receiver = try DatagramSocket.bind(home)
    let sender = try DatagramSocket(.unix)
    var isFull = false
    while !isFull {
      do { try sender.send([1], to: home, within: .zero) } catch { isFull = error.cause == .timedOut }
    }
    let script = Script()
    let time = try processorTime {
      let error = try scripted(script) { () throws in
        try refusal { () throws(SocketError) in try sender.send([1], to: home, within: Timeout(IdleWaits.wait)) }
      }
      #expect(error.cause == .timedOut)
    }
    #expect(time < IdleWaits.most)
    #expect((2...40).contains(script.count(.sendmsg)), "it asked \(script.count(.sendmsg)) times")
    sender.close()
    receiver.close()
  }

  // MARK: Error queues

  /// A port without a socket, on the loopback address of this family.
  private static func quietAddress(_ home: SocketAddress) throws -> SocketAddress {
    let socket = try DatagramSocket.bind(home)
    let address = socket.localAddress!
    socket.close()
    return address
  }

  private static let homes: [SocketAddress] = [.loopback(port: 0), .loopback6(port: 0)]

  /// A socket that has enabled its error queue.
  private static func reporting(_ family: AddressFamily) throws -> DatagramSocket {
    let socket = try DatagramSocket(family)
    if family == .ipv6 {
      try socket.set(.flag("IPV6_RECVERR", level: CInt(IPPROTO_IPV6), name: 25), to: true)
    } else {
      try socket.set(.flag("IP_RECVERR", level: CInt(IPPROTO_IP), name: 11), to: true)
    }
    return socket
  }

  @Test(
    "each message of an error queue is the error of one call, with its address, and then the wait does not spin",
    arguments: homes)
  func report(home: SocketAddress) throws {
    let gone = try IdleWaits.quietAddress(home)
    let socket = try IdleWaits.reporting(home.family)
    for _ in 0..<3 {
      try socket.send("x", to: gone)
      let error = try refusal { () throws(SocketError) in try socket.receive(within: .seconds(10)) }
      #expect(error.cause == .system(.connectionRefused))
      #expect(error.remoteAddress == gone, "\(error)")
    }
    #expect(OtherHolder.drainErrorQueue(try socket.lent()) == 0, "nothing fills the buffer that datagrams need")
    try isQuiet(socket)
    socket.close()
  }

  @Test(
    "an error queue message whose SO_ERROR another holder read is still a call's error, in thread and task",
    arguments: homes)
  func standing(home: SocketAddress) throws {
    let gone = try IdleWaits.quietAddress(home)
    for isInTask in [false, true] {
      let socket = try IdleWaits.reporting(home.family).share()
      try socket.send("x", to: gone)
      let number = try socket.lent()
      try eventually("the report", equals: ECONNREFUSED) { OtherHolder.takeError(number) }
      let error =
        isInTask
        ? try errand { try await socket.receive(within: .seconds(10)) }.refusal()
        : try refusal { () throws(SocketError) in try socket.receive(within: .seconds(10)) }
      #expect(error.cause == .system(.connectionRefused))
      #expect(OtherHolder.drainErrorQueue(number) == 0)
      socket.close()
    }
  }

  private func isQuiet(_ socket: borrowing DatagramSocket) throws {
    let script = Script()
    let time = try processorTime {
      let error = try scripted(script) { () throws in
        try refusal { () throws(SocketError) in try socket.receive(within: Timeout(IdleWaits.wait)) }
      }
      #expect(error.cause == .timedOut)
    }
    #expect(time < IdleWaits.most)
    #expect(script.count(.recvmsg) < 10, "it asked \(script.count(.recvmsg)) times")
  }

  /// SO_TIMESTAMPING: software timestamps of sent packets, reported in the error queue.
  private static let timestamping = SocketOption<Int>.integer("SO_TIMESTAMPING", level: SOL_SOCKET, name: 37)
  private static let ofSending = 1 << 1 | 1 << 4

  @Test("an error queue that the program reads itself: the wait does not spin, and a datagram ends it at once")
  func timestamps() throws {
    let peer = try DatagramSocket.bind(.loopback(port: 0))
    let socket = try DatagramSocket.bind(.loopback(port: 0))
    try socket.set(IdleWaits.timestamping, to: IdleWaits.ofSending)
    try socket.send("x", to: peer.localAddress!)
    try isQuiet(socket)
    let number = try socket.lent()
    let home = socket.localAddress!
    let shared = socket.share()
    let waiting = onThread { try shared.receive(within: .seconds(10)).bytes }
    try eventually("the wait", equals: false) { waiting.place.isEmpty }
    try peer.send("hello", to: home)
    #expect(try waiting.join() == Array("hello".utf8))
    #expect(OtherHolder.drainErrorQueue(number) == 1)
    shared.close()
    peer.close()
  }

  @Test(
    "on a connection, a standing error queue neither makes a wait spin nor hides data that arrives",
    arguments: StreamKind.tcp)
  func streamTimestamps(kind: StreamKind) throws {
    let pair = try kind.connected()
    try pair.first.set(IdleWaits.timestamping, to: IdleWaits.ofSending)
    try pair.first.send("x")
    let script = Script()
    let time = try processorTime {
      let error = try scripted(script) { () throws in
        try refusal { () throws(SocketError) in try pair.first.receive(upTo: 1, within: Timeout(IdleWaits.wait)) }
      }
      #expect(error.cause == .timedOut)
    }
    #expect(time < IdleWaits.most)
    #expect(script.count(.recv) < 10, "it asked \(script.count(.recv)) times")
    let shared = pair.first.share()
    let waiting = onThread { try shared.receive(upTo: 9, within: .seconds(10)) }
    try eventually("the wait", equals: false) { waiting.place.isEmpty }
    try pair.second.send("hello")
    #expect(try waiting.join() == Array("hello".utf8))
    let again = onThread { try refusal { () throws(SocketError) in try shared.receive(upTo: 9, within: .seconds(60)) } }
    try eventually("the wait", equals: false) { again.place.isEmpty }
    shared.abort()
    #expect(try again.join().cause == .closed, "a close ends such a wait as well")
    pair.second.abort()
  }

  // MARK: The end of a datagram socket's input

  enum Family: CaseIterable, Sendable {
    case udp, unix

    /// A socket, and a peer that is connected to it.
    func connected() throws -> (SharedDatagramSocket, SharedDatagramSocket) {
      switch self {
      case .udp:
        let socket = try DatagramSocket.bind(.loopback(port: 0))
        let peer = try DatagramSocket.bind(.loopback(port: 0))
        try peer.connect(to: socket.localAddress!)
        try socket.connect(to: peer.localAddress!)
        return (socket.share(), peer.share())
      case .unix:
        let pair = try DatagramSocket.pair()
        return (pair.first.share(), pair.second.share())
      }
    }
  }

  @Test(
    "a datagram socket whose input another holder shut down: the queue is received, then each receive throws at once",
    arguments: Family.allCases, [false, true])
  func inputEnded(family: Family, isInTask: Bool) throws {
    let (socket, peer) = try family.connected()
    func receive(_ within: Timeout) throws -> [UInt8] {
      isInTask
        ? try errand { try await socket.receive(within: within).bytes }.join()
        : try socket.receive(within: within).bytes
    }
    try peer.send("queued")
    try socket.withDescriptor { #expect(shutdown($0.rawValue, CInt(SHUT_RD)) == 0) }
    #expect(try receive(.seconds(10)) == Array("queued".utf8))
    let script = Script()
    let time = try processorTime {
      try scripted(script) { () throws in
        for _ in 0..<3 {
          let error = #expect(throws: SocketError.self) { _ = try receive(.seconds(60)) }
          #expect(error?.cause == .system(.socketShutdown))
        }
      }
    }
    #expect(time < IdleWaits.most)
    #expect(script.count(.recvmsg) < 10, "it asked \(script.count(.recvmsg)) times")
    socket.close()
    peer.close()
  }

  @Test(
    "a receive that waits, in a thread or a task, ends when another holder shuts down the input",
    arguments: Family.allCases, [false, true])
  func inputEndsMeanwhile(family: Family, isInTask: Bool) throws {
    let (socket, peer) = try family.connected()
    let number = try socket.lent()
    if isInTask {
      let waiting = errand { try await socket.receive(within: .seconds(60)) }
      try socket.awaitParked()
      #expect(shutdown(number, CInt(SHUT_RD)) == 0)
      #expect(try waiting.refusal().cause == .system(.socketShutdown))
    } else {
      let waiting = onThread {
        try refusal { () throws(SocketError) in try socket.receive(within: .seconds(60)) }
      }
      try eventually("the wait", equals: false) { waiting.place.isEmpty }
      #expect(shutdown(number, CInt(SHUT_RD)) == 0)
      #expect(try waiting.join().cause == .system(.socketShutdown))
    }
    socket.close()
    peer.close()
  }
}
