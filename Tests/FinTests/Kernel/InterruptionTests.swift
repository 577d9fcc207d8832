import Glibc
import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Interrupted system calls, and those for which the kernel has no memory", .onThreads)
struct Interruptions {
  /// Exercises everything that a stream does, in one thread.
  private static func conversation(_ kind: StreamKind) throws -> CloseReport {
    let pair = try kind.connected()
    try pair.first.send("hello\n")
    #expect(try pair.second.receiveLine() == "hello")
    try pair.second.send(gathering: [[1, 2], [], [3]])
    #expect(try pair.first.receive(exactly: 3) == [1, 2, 3])
    _ = try pair.first.option(.sendBuffer)
    try pair.first.set(.keepAlive, to: true)
    _ = try pair.first.bytesUnacknowledged()
    let duplicate = try pair.second.duplicate()
    duplicate.close()
    let second = pair.second.finishSending()
    #expect(try pair.first.receive(upTo: 1) == nil)
    let report = pair.first.close()
    #expect(try second.receive(upTo: 1) == nil)
    second.close()
    return report
  }

  @Test(
    "EINTR three times at each system call changes nothing", .faults(58),
    arguments: [
      SystemCall.socket, .bind, .listen, .accept, .recv, .send, .sendmsg, .shutdown, .getsockopt, .setsockopt,
      .getsockname, .ioctl, .fcntl, .poll,
    ])
  func everyCall(call: SystemCall) throws {
    let script = Script(
      .first(call, .fail(.interrupted)), .nth(2, call, .fail(.interrupted)), .nth(3, call, .fail(.interrupted)))
    let ledger = Ledger()
    let report = try scripted(script) { () throws in
      try Ledger.$current.withValue(ledger) { () throws in try Self.conversation(.ipv4) }
    }
    #expect(report.isDelivered, "\(report)")
    #expect(script.count(call) > 3)
    #expect(ledger.counts.open == 0)
  }

  @Test("socketpair is retried after EINTR", .faults(58))
  func pair() throws {
    let script = Script(.first(.socketpair, .fail(.interrupted)))
    try scripted(script) { () throws in
      let pair = try Connection.pair()
      pair.first.abort()
      pair.second.abort()
    }
    #expect(script.count(.socketpair) == 2)
  }

  @Test("an interrupted connect goes on: connect(2) is not called again", .faults(48, 58))
  func connect() throws {
    let listener = try PlainSocket.listening()
    let peer = SocketAddress.loopback(port: listener.port)
    let socket = try Socket(.ipv4)
    // A real signal arrives after the kernel has started the TCP handshake. Here the test starts the handshake itself.
    try socket.withDescriptor { descriptor in
      unsafe peer.withSockaddr { pointer, length in _ = unsafe Glibc.connect(descriptor.rawValue, pointer, length) }
    }
    let script = Script(.every(.connect, .fail(.interrupted)))
    var handed: Socket? = socket
    let connection = try scripted(script) { () throws in try handed.take()!.connect(to: peer) }
    #expect(script.count(.connect) == 1)
    #expect(try connection.tcpState() == .established)
    let accepted = try listener.accept()
    try connection.send([7])
    #expect(try accepted.receive() == [7])
    connection.abort()
  }

  @Test("an interrupted connect that is then refused reports the refusal", .faults(48))
  func connectRefused() throws {
    let listener = try PlainSocket.listening()
    let peer = SocketAddress.loopback(port: listener.port)
    listener.close()
    let socket = try Socket(.ipv4)
    try socket.withDescriptor { descriptor in
      unsafe peer.withSockaddr { pointer, length in _ = unsafe Glibc.connect(descriptor.rawValue, pointer, length) }
    }
    let script = Script(.every(.connect, .fail(.interrupted)))
    var handed: Socket? = socket
    let error = try scripted(script) { () throws in
      try refusal { () throws(SocketError) in try handed.take()!.connect(to: peer) }
    }
    #expect(error.cause == .system(.connectionRefused))
    #expect(script.count(.connect) == 1)
  }

  @Test(
    "close is never retried, whatever error it returns", .faults(13),
    arguments: [Errno.interrupted, .ioError, .noSpace])
  func close(code: Errno) throws {
    let pair = try Connection.pair()
    let number = try pair.first.withDescriptor { $0.rawValue }
    let script = Script(.every(.close, .fail(code)))
    var handed: Connection? = pair.first
    let report = try scripted(script) { () throws in handed.take()!.abort() }
    #expect(report.ending == .aborted)
    #expect(script.count(.close) == 1)
    // The script replaced the real call, so the test closes the descriptor.
    _ = Glibc.close(number)
    pair.second.abort()
  }

  @Test(
    "no memory to send: an error, and the connection lives", .faults(58),
    arguments: [Errno.noBufferSpace, .noMemory], StreamKind.all)
  func noMemory(code: Errno, kind: StreamKind) throws {
    let pair = try kind.connected()
    let script = Script(.first(.send, .limit(3)), .nth(2, .send, .fail(code)), .first(.sendmsg, .fail(code)))
    try scripted(script) { () throws in
      let error = try refusal { () throws(SocketError) in try pair.first.send("abcdef") }
      #expect(error.cause == .system(code))
      #expect(error.bytesAccepted == 3)
      let gathered = try refusal { () throws(SocketError) in try pair.first.send(gathering: [[1]]) }
      #expect(gathered.cause == .system(code))
      #expect(gathered.bytesAccepted == 0)
      #expect(pair.first.phase == .connected)
      #expect(try pair.first.failure() == nil)
      try pair.first.send("def")
    }
    #expect(try pair.second.receive(exactly: 6) == Array("abcdef".utf8))
    pair.first.abort()
    pair.second.abort()
  }

  @Test(
    "no memory to receive: an error, and no byte is lost", .faults(58), arguments: [Errno.noBufferSpace, .noMemory])
  func noMemoryToReceive(code: Errno) throws {
    let pair = try StreamKind.ipv4.connected()
    try pair.first.send("abcdef")
    let script = Script(.first(.recv, .limit(2)), .nth(2, .recv, .fail(code)))
    try scripted(script) { () throws in
      let error = try refusal { () throws(SocketError) in try pair.second.receive(exactly: 6) }
      #expect(error.cause == .system(code))
      #expect(try pair.second.receive(exactly: 6) == Array("abcdef".utf8))
    }
    pair.first.abort()
    pair.second.abort()
  }

  @Test("threads under a constant stream of signals lose no byte and no client", .faults(58))
  func signalled() async {
    await #expect(processExitsWith: .success) { try SignalStorm.run() }
  }
}

/// The number of signals handled.
private let handled = Atomic<Int>(0)

/// A server thread and a client thread under a storm of signals.
private enum SignalStorm {
  static func run() throws {
    handled.store(0, ordering: .relaxed)
    var action = sigaction()
    // Without SA_RESTART: every interruptible call is interrupted.
    unsafe action.__sigaction_handler.sa_handler = { _ in handled.add(1, ordering: .relaxed) }
    guard unsafe sigaction(SIGUSR1, &action, nil) == 0 else { throw RigError("sigaction") }

    let bytes = pattern(500_009)
    let listener = try Listener.bind(.loopback(port: 0))
    let address = listener.localAddress
    let server = onThread(taking: listener) { listener in
      try pelted {
        while true {
          let connection = try listener.accept(within: .seconds(30))
          // A client that finishes without sending is the last one.
          guard let received = try connection.receive(exactly: bytes.count, within: .seconds(30)) else {
            _ = connection.close()
            return
          }
          guard received == bytes else { throw RigError("bytes were lost") }
          try connection.send("all of them\n")
          let report = connection.close(.lingering)
          guard report.isDelivered else { throw RigError("the server's end: \(report)") }
        }
      }
      return true
    }
    let client = onThread {
      try pelted {
        // Runs until it has been interrupted often enough.
        let end = Fin.Deadline(after: .seconds(60))
        while handled.load(ordering: .relaxed) < 1000, !end.hasPassed {
          let connection = try Connection.connect(to: address)
          try connection.send(bytes)
          guard try connection.receiveLine(within: .seconds(30)) == "all of them" else { throw RigError("no answer") }
          let report = connection.close()
          guard report.isDelivered else { throw RigError("the client's end: \(report)") }
        }
        _ = try Connection.connect(to: address).close()
      }
      return true
    }
    for thread in [client, server] {
      do { _ = try thread.join(within: .seconds(120)) } catch { Issue.record("\(error)") }
    }
    #expect(handled.load(ordering: .relaxed) >= 1000)
  }

  /// Runs `body` while another thread sends this one signal after signal.
  private static func pelted(_ body: () throws -> Void) throws {
    // A thread inherits its creator's signal mask, and pool threads have every signal blocked.
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    unsafe sigaddset(&signals, SIGUSR1)
    unsafe pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    let isOver = Flag()
    let target = pthread_self()
    let storm = onThread {
      while !isOver.isSet {
        pthread_kill(target, SIGUSR1)
        usleep(20)
      }
      return true
    }
    // This thread must not end before the last signal has been sent to it.
    defer {
      isOver.set()
      _ = try? storm.join()
    }
    try body()
  }
}
