import Fin
import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@Suite("Listeners that are adopted from elsewhere, or detached", .onThreads)
struct HandOver {
  @Test("an adopted listener is made safe and can be served, with its queued clients", .faults(11, 15))
  func adopt() throws {
    let plain = try PlainSocket.listening()
    let address = SocketAddress.loopback(port: plain.port)
    let early = try Connection.connect(to: address, within: .seconds(10))
    let number = plain.detach()
    _ = fcntl(number, F_SETFD, 0)
    let listener = try Listener.adopt(FileDescriptor(rawValue: number))
    #expect(listener.phase == .listening)
    #expect(listener.localAddress == address)
    #expect(KernelView.descriptorFlags(number) == DescriptorFlags(closesOnExec: true, isNonBlocking: true))
    let served = try listener.accept(within: .seconds(10))
    #expect(served.remoteAddress == early.localAddress)
    let late = try Connection.connect(to: address, within: .seconds(10))
    let second = try listener.accept(within: .seconds(10))
    #expect(try second.option(.noDelay) && second.option(.keepAlive), "what it accepts is set up as ever")
    listener.stop()
    let end = #expect(throws: SocketError.self) { _ = try listener.accept(within: .seconds(10)) }
    #expect(end?.cause == .closed)
    early.abort()
    late.abort()
    served.abort()
    second.abort()
    listener.close()
  }

  @Test("a detached listener keeps its queued clients: its successor serves them", .faults(15, 40))
  func detach() throws {
    let ledger = Ledger()
    try Ledger.$current.withValue(ledger) {
      let first = try Listener.bind(.loopback(port: 0))
      let address = first.localAddress
      let client = try Connection.connect(to: address, within: .seconds(10))
      try client.send("hello")
      let descriptor = try first.detach()
      #expect(ledger.counts.detached == 1)
      let second = try Listener.adopt(descriptor)
      let served = try second.accept(within: .seconds(10))
      #expect(try served.receive(exactly: 5, within: .seconds(10)) == Array("hello".utf8))
      served.abort()
      client.abort()
      second.close()
    }
    #expect(ledger.counts.open == 0)
  }

  @Test("a detached Unix listener keeps its path; its adopter does not remove it", .faults(15, 56))
  func path() throws {
    let folder = try TemporaryFolder()
    let first = try Listener.bind(.unix("\(folder.path)/s"))
    let address = first.localAddress
    let descriptor = try first.detach()
    let second = try Listener.adopt(descriptor)
    #expect(second.localAddress == address)
    let client = try Connection.connect(to: address, within: .seconds(10))
    let served = try second.accept(within: .seconds(10))
    served.abort()
    client.abort()
    second.close()
    #expect(folder.entries == ["s"])
  }

  @Test("adopting a descriptor that does not listen is refused, and leaves it untouched", .faults(15, 34, 64))
  func refusals() throws {
    func cause(_ number: CInt) -> SocketError.Cause? {
      #expect(throws: SocketError.self) { _ = try Listener.adopt(FileDescriptor(rawValue: number)) }?.cause
    }
    let stream = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    let packets = socket(AF_UNIX, Int32(SOCK_SEQPACKET.rawValue), 0)
    let netlink = socket(AF_NETLINK, Int32(SOCK_RAW.rawValue), 0)
    let file = unsafe open("/dev/null", O_RDONLY)
    #expect(cause(stream) == .invalid("descriptor \(stream) does not listen"))
    #expect(cause(packets) == .invalid("descriptor \(packets) is a sequenced packet socket"))
    #expect(cause(netlink) == .invalid("descriptor \(netlink) has an address family that Fin does not use"))
    #expect(cause(file) == .system(.notSocket))
    for number in [stream, packets, netlink, file] {
      #expect(KernelView.descriptorFlags(number) == DescriptorFlags(closesOnExec: false, isNonBlocking: false))
      close(number)
    }
    let ours = try Listener.bind(.loopback(port: 0))
    let number = try ours.withDescriptor { $0.rawValue }
    #expect(cause(number) == .invalid("descriptor \(number) belongs to Fin already"))
    let plain = try PlainSocket.listening()
    let connection = #expect(throws: SocketError.self) {
      _ = try Connection.adopt(FileDescriptor(rawValue: plain.descriptor))
    }
    #expect(connection?.cause == .invalid("descriptor \(plain.descriptor) listens"))
    plain.close()
    ours.close()
  }

  @Test("detaching a listener that a stop has released throws .closed", .faults(15))
  func detachAfterStop() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    listener.stop()
    #expect(throws: SocketError.self) { _ = try listener.accept(within: .seconds(10)) }
    let cause: SocketError.Cause?
    do throws(SocketError) {
      let descriptor = try listener.detach()
      try? descriptor.close()
      cause = nil
    } catch { cause = error.cause }
    #expect(cause == .closed)
  }

  @Test("a paused listener keeps its port, even an ephemeral one, and accepts clients there again")
  func pausedPort() throws {
    for (home, address) in [(SocketAddress.loopback(port: 0), "127.0.0.1"), (.loopback6(port: 0), "::1")] {
      let listener = try Listener.bind(home)
      let port = listener.localAddress.port!
      for _ in 0..<3 {
        try listener.pause(resettingQueue: true)
        #expect(try KernelView.tcp(localPort: port).allSatisfy { $0.state != .listen })
        // Another program's listener, with SO_REUSEADDR as every listener sets it.
        let stranger = #expect(throws: RigError.self) { _ = try PlainSocket.listening(on: address, port: port) }
        #expect(stranger?.code == EADDRINUSE)
        try listener.resume()
        #expect(try KernelView.tcp(localPort: port).contains { $0.state == .listen })
        #expect(try listener.option(.reuseAddress))
        let client = try Connection.connect(to: listener.localAddress, within: .seconds(10))
        let served = try listener.accept(within: .seconds(10))
        // Connections accepted before the pause do not prevent it from listening again.
        served.close()
        client.close()
      }
      listener.close()
    }
  }

  @Test("a stopping or paused listener can be detached")
  func detachPaused() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let address = listener.localAddress
    try listener.pause(resettingQueue: true)
    let descriptor = try listener.detach()
    let error = #expect(throws: SocketError.self) { _ = try Listener.adopt(descriptor) }
    #expect(error?.cause == .invalid("descriptor \(descriptor.rawValue) does not listen"))
    #expect(listen(descriptor.rawValue, 1) == 0)
    let again = try Listener.adopt(descriptor)
    #expect(again.localAddress == address)
    again.close()
  }
}
