import Fin
import Glibc
import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@Suite("Datagrams: closing wakes everyone, and nothing is left behind", .onThreads)
struct DatagramLife {
  @Test(
    "closing a datagram socket wakes every waiting receiver, and every later call throws .closed", .faults(1, 5, 6, 7))
  func closeWakesReceivers() throws {
    let folder = try TemporaryFolder()
    for home: SocketAddress in [.loopback(port: 0), try .unix("\(folder.path)/s")] {
      let shared = try DatagramSocket.bind(home).share()
      let waiting = (0..<3).map { _ in
        onThread { () -> SocketError.Cause? in
          do throws(SocketError) {
            _ = try shared.receive(within: .seconds(60))
            return nil
          } catch { return error.cause }
        }
      }
      let closers = (0..<2).map { _ in onThread { shared.close() } }
      for closer in closers { try closer.join() }
      for waiter in waiting { #expect(try waiter.join() == .closed) }
      shared.close()
      #expect(shared.phase == .closed)
      #expect(throws: SocketError.self) { try shared.withDescriptor { _ in } }
      let receiving = #expect(throws: SocketError.self) { try shared.receive() }
      #expect(receiving?.cause == .closed)
      let sending = #expect(throws: SocketError.self) { try shared.send("x", to: .loopback(port: 9)) }
      #expect(sending?.cause == .closed)
    }
  }

  @Test("closing a datagram socket wakes a receiver that is already parked", .faults(1))
  func closeWakesParked() throws {
    let ledger = Ledger()
    try Ledger.$current.withValue(ledger) {
      let shared = try DatagramSocket.bind(.loopback(port: 0)).share()
      let thread = onThread { () -> SocketError.Cause? in
        do throws(SocketError) {
          _ = try shared.receive(within: .seconds(60))
          return nil
        } catch { return error.cause }
      }
      try eventually("the thread waits in poll") { thread.place.contains("poll") }
      shared.close()
      #expect(try thread.join() == .closed)
    }
    #expect(ledger.counts.open == 0 && ledger.counts.closed == 1)
  }

  @Test("closing a datagram socket wakes a sender that waits for room in a full queue", .faults(2))
  func closeWakesSender() throws {
    let folder = try TemporaryFolder()
    let address = try SocketAddress.unix("\(folder.path)/full")
    let server = try DatagramSocket.bind(address)
    let toAddress = try DatagramSocket(.unix).share()
    let connected = try DatagramSocket(.unix)
    try connected.connect(to: address)
    let shared = connected.share()
    let threads = [(toAddress, Optional(address)), (shared, nil)].map { socket, peer in
      onThread { () -> SocketError.Cause? in
        do throws(SocketError) {
          for _ in 0..<1_000_000 { try socket.send([1], to: peer, within: .seconds(60)) }
          return nil
        } catch { return error.cause }
      }
    }
    for thread in threads { try eventually("the sender waits in poll") { thread.place.contains("poll") } }
    toAddress.close()
    shared.close()
    for thread in threads { #expect(try thread.join() == .closed) }
    server.close()
  }

  @Test("many threads receive at once, and each datagram goes to one of them")
  func manyReceivers() throws {
    let shared = try DatagramSocket.bind(.loopback(port: 0)).share()
    let receivers = (0..<4).map { _ in
      onThread { () -> [UInt8] in
        var numbers: [UInt8] = []
        while let datagram = try? shared.receive(within: .seconds(10)), let number = datagram.bytes.first {
          numbers.append(number)
        }
        return numbers
      }
    }
    let sender = try DatagramSocket(.ipv4)
    for number in UInt8(0)..<200 { try sender.send([number], to: shared.localAddress!) }
    for _ in receivers { try sender.send([], to: shared.localAddress!) }
    let numbers = try receivers.flatMap { try $0.join() }
    #expect(numbers.sorted() == [UInt8](0..<200))
    shared.close()
    sender.close()
  }

  @Test(
    "a datagram socket dropped open, fresh or bound, is closed and reported with the line that opened it", .faults(14))
  func leak() throws {
    let reports = Mutex<[LeakReport]>([])
    let ledger = Ledger()
    ledger.leakPolicy = .custom { report in reports.withLock { $0.append(report) } }
    let line = #line + 2
    try Ledger.$current.withValue(ledger) {
      _ = try DatagramSocket(.ipv4)
      let bound = try DatagramSocket.bind(.loopback(port: 0))
      try bound.send([1, 2, 3], to: bound.localAddress!)
    }
    let all = reports.withLock { $0 }
    #expect(all.map(\.line) == [line, line + 1])
    #expect(all.map(\.phase) == [.fresh, .bound])
    #expect(all.map(\.kind) == [.datagramSocket, .datagramSocket])
    #expect(all.last?.bytesUnread == 3)
    #expect(ledger.counts.leaked == 2 && ledger.counts.open == 0)
  }

  @Test("closing a UDP socket releases its port at once: UDP has no TIME-WAIT")
  func rebind() throws {
    let address = SocketAddress.loopback(port: quietPort(3))
    let socket = try DatagramSocket.bind(address)
    try socket.send("x", to: address)
    socket.close()
    let again = try DatagramSocket.bind(address)
    #expect(again.localAddress == address)
    again.close()
  }

  @Test("two programs cannot have one UDP port, even with SO_REUSEADDR on the second", .faults(52))
  func noSteal() throws {
    let socket = try DatagramSocket.bind(.loopback(port: 0))
    let thief = try DatagramSocket(.ipv4)
    try thief.set(.reuseAddress, to: true)
    let error = #expect(throws: SocketError.self) { try thief.bind(to: socket.localAddress!) }
    #expect(error?.cause == .system(.addressInUse))
    thief.close()
    socket.close()
  }

  @Test("a datagram socket from elsewhere is adopted, made safe, and can be detached again", .faults(15))
  func adoptAndDetach() throws {
    let number = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
    let adopted = try DatagramSocket.adopt(FileDescriptor(rawValue: number))
    #expect(KernelView.descriptorFlags(number) == DescriptorFlags(closesOnExec: true, isNonBlocking: true))
    let twice = #expect(throws: SocketError.self) { _ = try DatagramSocket.adopt(FileDescriptor(rawValue: number)) }
    #expect(twice?.cause == .invalid("descriptor \(number) belongs to Fin already"))
    let server = try DatagramSocket.bind(.loopback(port: 0))
    try adopted.send("x", to: server.localAddress!)
    #expect(try server.receive(within: .seconds(10)).bytes == Array("x".utf8))
    let given = adopted.detach()
    #expect(given.rawValue == number)
    #expect(KernelView.descriptorFlags(number) != nil, "still open, and ours to close")
    try given.close()
    server.close()
  }

  @Test("adopting a descriptor that is no datagram socket is refused, and leaves it untouched", .faults(15, 34, 64))
  func refusals() throws {
    let datagrams = socket(AF_INET, Int32(SOCK_DGRAM.rawValue), 0)
    let file = unsafe open("/dev/null", O_RDONLY)
    let stream = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    func cause(_ body: () throws -> Void) -> SocketError.Cause? {
      #expect(throws: SocketError.self, performing: body)?.cause
    }
    #expect(cause { _ = try DatagramSocket.adopt(FileDescriptor(rawValue: file)) } == .system(.notSocket))
    #expect(
      cause { _ = try DatagramSocket.adopt(FileDescriptor(rawValue: stream)) }
        == .invalid("descriptor \(stream) is a stream socket"))
    #expect(
      cause { _ = try Connection.adopt(FileDescriptor(rawValue: datagrams)) }
        == .invalid("descriptor \(datagrams) is a datagram socket"))
    #expect(
      cause { _ = try Listener.adopt(FileDescriptor(rawValue: datagrams)) }
        == .invalid("descriptor \(datagrams) is a datagram socket"))
    for number in [datagrams, file, stream] {
      #expect(KernelView.descriptorFlags(number) == DescriptorFlags(closesOnExec: false, isNonBlocking: false))
      close(number)
    }
  }

  @Test("every step of a datagram socket's life is in the lifecycle's table")
  func lifecycle() throws {
    let socket = try DatagramSocket(.ipv4)
    #expect(socket.phase == .fresh)
    try socket.connect(to: .loopback(port: 9))
    #expect(socket.phase == .bound)
    for phase in [Phase.fresh, .bound] {
      for event in [Lifecycle.Event.abort, .drop, .detach] {
        #expect(Lifecycle.transition(phase, on: event)?.next == .closed, "\(phase) on \(event)")
      }
    }
    let shared = socket.share()
    shared.close()
    #expect(shared.phase == .closed)
  }
}
