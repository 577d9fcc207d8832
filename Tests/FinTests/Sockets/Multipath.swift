import Glibc
import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@testable import Fin

/// Multipath TCP, and whether this kernel supports it.
private enum MPTCP {
  static let number: CInt = 262
  static let isThere: Bool = {
    guard let socket = OtherHolder.socket(AF_INET, number) else { return false }
    close(socket)
    return true
  }()
}

@Suite(
  "Multipath TCP: an adopted socket does what the kernel allows", .onThreads,
  .enabled(if: MPTCP.isThere, "this kernel has no MPTCP"))
struct Multipath {
  /// An adopted listener, with the timeouts that listeners have by default.
  private func listener(_ timeouts: Timeouts = .default) throws -> Listener {
    let plain = try #require(OtherHolder.socket(AF_INET, MPTCP.number))
    try Syscalls.bind(plain, .loopback(port: 0))
    try Syscalls.listen(plain, 16)
    return try Listener.adopt(FileDescriptor(rawValue: plain), timeouts: timeouts)
  }

  private func client(of listener: borrowing Listener) throws -> Connection {
    let plain = try #require(OtherHolder.socket(AF_INET, MPTCP.number))
    try Syscalls.connect(plain, listener.localAddress)
    return try Connection.adopt(FileDescriptor(rawValue: plain))
  }

  @Test("adopting an MPTCP listener and both ends sets each option that MPTCP has; a missing one is no error")
  func options() throws {
    let listener = try listener()
    let client = try client(of: listener)
    let server = try listener.accept(within: .seconds(10))
    #expect(OtherHolder.option(try server.lent(), SOL_SOCKET, SO_PROTOCOL) == MPTCP.number)
    #expect(try server.option(.noDelay) && server.option(.keepAlive))
    #expect(try server.option(.keepAliveCount) == 4)
    let error = try refusal { () throws(SocketError) in try server.set(.userTimeout, to: .seconds(1)) }
    #expect(error.note == "TCP_USER_TIMEOUT", "what the caller asks for itself is refused by name")
    client.abort()
    server.abort()
    listener.close()
  }

  @Test(
    "MPTCP: bytes both ways, a half-close, and a close that knows what was acknowledged", arguments: [nil, Place.loop])
  func conversation(place: Place?) throws {
    let listener = try listener()
    let client = try client(of: listener).share()
    let server = try listener.accept(within: .seconds(10)).share()
    let plenty = pattern(3 << 20)
    let sending =
      place.map { place in errand(on: place) { try await server.send(plenty) } }
    let inThread = place == nil ? onThread { try server.send(plenty) } : nil
    #expect(try client.receive(exactly: plenty.count) == plenty)
    _ = try sending?.join()
    _ = try inThread?.join()
    try client.send("question\n")
    try client.finishSending()
    #expect(try server.receiveLine() == "question")
    #expect(try server.receiveLine() == nil)
    try server.send("answer\n")
    let report: CloseReport
    if let place {
      report = try inTask(on: place) { await server.close(.confirmed(within: .seconds(5))) }
    } else {
      report = server.close(.confirmed(within: .seconds(5)))
    }
    #expect(report.isDelivered && report.bytesUnacknowledged == 0, "\(report)")
    #expect(try client.receiveLine() == "answer")
    #expect(try client.receiveLine() == nil)
    #expect(client.close(.confirmed(within: .seconds(5))).isDelivered)
    listener.close()
  }

  @Test("an MPTCP peer that does not read: the report counts the unacknowledged bytes")
  func notTaken() throws {
    let listener = try listener()
    let client = try client(of: listener)
    let server = try listener.accept(within: .seconds(10))
    let error = try refusal { () throws(SocketError) in
      try server.send([UInt8](repeating: 7, count: 64 << 20), within: .milliseconds(300))
    }
    #expect(error.cause == .timedOut)
    let report = server.close(.confirmed(within: .milliseconds(300)))
    #expect(report.ending == .timedOut(.confirming) && report.bytesUnacknowledged > 0, "\(report)")
    client.abort()
    listener.close()
  }

  @Test("an MPTCP abort is read as a reset, by every later call")
  func reset() throws {
    let listener = try listener()
    let client = try client(of: listener)
    let server = try listener.accept(within: .seconds(10))
    server.abort()
    for _ in 0..<2 {
      let error = try refusal { () throws(SocketError) in try client.receive(upTo: 1, within: .seconds(10)) }
      #expect(error.cause == .reset, "\(error)")
    }
    #expect(client.close().ending == .reset)
    listener.close()
  }

  @Test("no report of a close or leak counts the byte that MPTCP's kernel uses as its end mark")
  func marks() throws {
    let ledger = Ledger()
    let leaked = Mutex<[LeakReport]>([])
    ledger.leakPolicy = .custom { report in leaked.withLock { $0.append(report) } }
    try Ledger.$current.withValue(ledger) {
      let listener = try listener()
      for policy in [ClosePolicy.abort, .background] {
        let client = try client(of: listener)
        let server = try listener.accept(within: .seconds(10))
        client.close(.confirmed)
        let number = try server.lent()
        try eventually("the peer's end is there", equals: 0) { (try? Syscalls.peek(number)) ?? -1 }
        let report = server.close(policy)
        #expect(report.bytesDiscarded == 0 && report.bytesUnacknowledged == 0, "\(report)")
      }
      let client = try client(of: listener)
      try listener.accept(within: .seconds(10)).abort()
      #expect(throws: SocketError.self) { try client.receive(upTo: 1, within: .seconds(10)) }
      #expect(client.close().bytesDiscarded == 0)
      // The listener is dropped open here.
      _ = consume listener
    }
    let reports = leaked.withLock { $0 }
    #expect(reports.count == 1 && reports[0].bytesUnacknowledged == 0 && reports[0].bytesUnread == 0, "\(reports)")
  }

  @Test("adopting a TCP or MPTCP socket whose connect is still under way is refused: not connected", .needsNamespaces)
  func attempt() throws {
    let namespace = try NetworkNamespace()
    try namespace.linkDown("lo")
    try namespace.run { () throws in
      for number in [CInt(IPPROTO_TCP), MPTCP.number] {
        let plain = try #require(OtherHolder.socket(AF_INET, number))
        try Syscalls.setBlocking(plain, false)
        #expect(throws: Errno.nowInProgress) { try Syscalls.connect(plain, .loopback(port: 9)) }
        let error = try refusal { () throws(SocketError) in try Connection.adopt(FileDescriptor(rawValue: plain)) }
        #expect(error.cause == .system(.socketNotConnected), "\(error)")
        close(plain)
      }
    }
  }

  @Test("an MPTCP listener serves a client without MPTCP too")
  func fallback() throws {
    let listener = try listener()
    let client = try Connection.connect(to: listener.localAddress, within: .seconds(10))
    let server = try listener.accept(within: .seconds(10))
    try client.send("hello")
    #expect(try server.receive(exactly: 5) == Array("hello".utf8))
    #expect(server.close(.confirmed(within: .seconds(5))).isDelivered)
    client.abort()
    listener.close()
  }

  @Test(
    "MPTCP on a kernel that allows no options (before 5.17) is adopted all the same",
    arguments: [Errno.notSupportedOnSocket, .protocolNotAvailable])
  func oldKernel(code: Errno) throws {
    let plain = try #require(OtherHolder.socket(AF_INET, MPTCP.number))
    try Syscalls.bind(plain, .loopback(port: 0))
    try Syscalls.listen(plain, 16)
    let script = Script(.every(.setsockopt, .fail(code)))
    let listener = try scripted(script) { try Listener.adopt(FileDescriptor(rawValue: plain)) }
    #expect(script.count(.setsockopt) > 2)
    let client = try client(of: listener)
    let server = try listener.accept(within: .seconds(10))
    try client.send("hello")
    #expect(try server.receive(exactly: 5) == Array("hello".utf8))
    client.abort()
    server.abort()
    listener.close()
  }

  @Test("MPTCP on a kernel that does not report acknowledgements (before 5.17): the close claims none")
  func untold() throws {
    let listener = try listener()
    let client = try client(of: listener)
    let server = try listener.accept(within: .seconds(10))
    try server.send("hello")
    let script = Script(.every(.ioctl, .fail(Errno(rawValue: ENOTTY))))
    let shared = server.share()
    let report = try scripted(script) { () throws in shared.close(.confirmed(within: .milliseconds(200))) }
    #expect(!report.isDelivered, "\(report)")
    client.abort()
    listener.close()
  }
}
