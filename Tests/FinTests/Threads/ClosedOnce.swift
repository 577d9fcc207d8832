import Glibc
import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite("Promise 1: closed once", .onThreads)
struct ClosedOnce {
  @Test(
    "a second close does nothing and returns the same report", .faults(6), arguments: Medium.allCases, ClosePolicy.all)
  func twice(_ medium: Medium, _ policy: ClosePolicy) throws {
    let ledger = Ledger()
    try Ledger.$current.withValue(ledger) {
      let (ours, theirs) = try medium.open()
      theirs.close(.background)
      let report = ours.close(policy)
      let script = Script()
      Seam.$script.withValue(script) {
        #expect(ours.close(.confirmed) == report)
        #expect(ours.close(.lingering) == report)
        #expect(ours.abort() == report)
      }
      #expect(script.total == 0)
    }
    #expect(ledger.counts.open == 0)
    #expect(ledger.counts.closed == ledger.counts.opened)
  }

  @Test(
    "eight threads close at once, with readers and writers inside: one does the work, all get its report", .faults(5))
  func atOnce() throws {
    for round in 0..<20 {
      let ledger = Ledger()
      try Ledger.$current.withValue(ledger) {
        let (ours, theirs) = try Medium.allCases[round % 2].open()
        let inside = [
          try waiting { _ = try ours.receive(upTo: 1) }, onThread { while true { try ours.send("some words\n") } },
        ]
        let peer = onThread { while try theirs.receive(upTo: 1 << 16) != nil {} }
        let start = Tally()
        let closers = (0..<8).map { number in
          onThread {
            start.add()
            while start.value < 8 {}
            return ours.close(number == 7 && round % 4 > 1 ? .abort : .confirmed(within: .seconds(10)))
          }
        }
        let reports = try closers.map { try $0.join(within: .seconds(20)) }
        #expect(Set(reports).count == 1, "\(Set(reports))")
        for thread in inside {
          let error = #expect(throws: SocketError.self) { try thread.join() }
          #expect(error?.cause == .closed)
        }
        _ = try? peer.join()
        theirs.abort()
      }
      #expect(ledger.counts.open == 0 && ledger.counts.leaked == 0)
    }
  }

  @Test("an abort cuts short a graceful close that is under way; both get the same report")
  func abortCutsShort() throws {
    let (ours, theirs) = try Medium.tcp.open()
    try ours.fill()
    let closer = try waiting { ours.close(.confirmed(within: .seconds(600))) }
    #expect(ours.phase == .confirming)
    let report = ours.abort()
    #expect(report.ending == .aborted && report.bytesUnacknowledged > 0)
    #expect(report.duration < .seconds(60))
    #expect(try closer.join() == report)
    let error = #expect(throws: SocketError.self) { _ = try theirs.receiveAll() }
    #expect(error?.cause == .reset)
    theirs.close()
  }

  @Test("after a close every verb throws .closed and makes no system call", .faults(7), arguments: Medium.allCases)
  func useAfterClose(_ medium: Medium) throws {
    let (ours, theirs) = try medium.open()
    ours.abort()
    theirs.abort()
    var refused: [SocketError.Operation] = []
    func refuses(_ verb: () throws -> Void) {
      let error = #expect(throws: SocketError.self) { try verb() }
      #expect(error?.cause == .closed)
      refused.append(error?.operation ?? .open)
    }
    let script = Script()
    Seam.$script.withValue(script) {
      refuses { try ours.send("x") }
      refuses { try ours.send([1]) }
      refuses { try ours.send(gathering: [[1], [2]]) }
      refuses { _ = try unsafe ours.sendSome([1 as UInt8].span.bytes) }
      refuses { try ours.finishSending() }
      refuses { _ = try ours.receive(upTo: 1) }
      refuses { _ = try ours.receive(exactly: 1) }
      refuses { _ = try ours.receive(until: 0) }
      refuses { _ = try ours.receiveLine() }
      refuses { _ = try ours.peek(upTo: 1) }
      refuses { try ours.connect(to: .loopback(port: 9)) }
      refuses { _ = try ours.option(.receiveBuffer) }
      refuses { try ours.set(.receiveBuffer, to: 10_000) }
      refuses { _ = try ours.cookie() }
      refuses { _ = try ours.failure() }
      refuses { _ = try ours.bytesUnacknowledged() }
      refuses { try ours.withDescriptor { _ in } }
      if medium == .tcp { refuses { _ = try ours.tcpState() } }
    }
    #expect(script.total == 0)
    #expect(Set(refused).isSuperset(of: [.send, .receive, .connect, .getOption, .setOption]))
    #expect(ours.phase == .closed)
  }

  @Test("a second reader gets .busy, from every verb that receives; a verb that only looks does not", .faults(60))
  func busy() throws {
    let (ours, theirs) = try Medium.tcp.open()
    let reader = try waiting { try ours.receive(upTo: 10) }
    let verbs: [() throws -> Void] = [
      { _ = try ours.receive(upTo: 1) }, { _ = try ours.receive(exactly: 1) }, { _ = try ours.receive(until: 0) },
      { _ = try ours.receiveLine() }, { _ = try ours.peek(upTo: 1) },
    ]
    for verb in verbs {
      let error = #expect(throws: SocketError.self) { try verb() }
      #expect(error?.cause == .busy)
      #expect(error.map { "\($0)".contains("one thread or task only") } == true)
    }
    #expect(try ours.tcpState() == .established)
    try ours.send("beside it")
    #expect(try theirs.receive(upTo: 100) == Array("beside it".utf8))
    try theirs.send([1, 2])
    #expect(try reader.join() == [1, 2])
    ours.abort()
    theirs.abort()
  }

  @Test("the sends of eight threads at once each arrive whole", arguments: [.pair] + Medium.plainAndSecured)
  func wholeSends(_ medium: Medium) throws {
    let (ours, theirs) = try medium.open()
    let writers = (0..<8).map { writer in
      onThread {
        var random = SeededRandom(seed: UInt64(writer))
        for number in 0..<12 {
          let length = Message.headerSize + Int(random.next() % 400_000)
          try ours.send(Message(stream: UInt64(writer), number: UInt64(number), length: length).bytes)
        }
      }
    }
    let closer = onThread {
      for writer in writers { try writer.join(within: .seconds(60)) }
      return ours.close(.confirmed(within: .seconds(20)))
    }
    let arrived = try theirs.receiveAll(within: .seconds(60))
    var rest = arrived[...]
    var next: [UInt64: UInt64] = [:]
    while let message = Message(header: rest) {
      guard rest.prefix(message.length) == message.bytes[...] else { break }
      // The sends of one thread stay in order.
      guard next[message.stream, default: 0] == message.number else { break }
      next[message.stream] = message.number + 1
      rest = rest.dropFirst(message.length)
    }
    #expect(rest.isEmpty, "torn at \(arrived.count - rest.count) of \(arrived.count)")
    #expect(next == Dictionary(uniqueKeysWithValues: (0..<8).map { ($0, 12) }))
    theirs.close()
    #expect(try closer.join(within: .seconds(60)).isDelivered)
  }

  @Test("a writer that waits behind another keeps its own deadline; the other's bytes arrive undisturbed")
  func queuedDeadline() throws {
    let (ours, theirs) = try Medium.pair.open()
    let bytes = Pattern.bytes(from: 0, count: 1 << 20)
    let first = try waiting { try ours.send(bytes) }
    let error = #expect(throws: SocketError.self) { try ours.send("never", within: .milliseconds(30)) }
    #expect(error?.cause == .timedOut && error?.operation == .send && error?.bytesAccepted == 0)
    let finisher = onThread { try ours.finishSending() }
    #expect(try theirs.receiveAll() == bytes)
    try first.join()
    try finisher.join()
    ours.close()
    theirs.close()
  }

  @Test("the last reference is dropped without a close: reported with all that was lost, and the peer sees the end")
  func leak() throws {
    let ledger = Ledger()
    let reports = Reports()
    ledger.leakPolicy = .custom { reports.add($0) }
    try Ledger.$current.withValue(ledger) {
      var (ours, theirs): (SharedConnection?, SharedConnection) = try Medium.tcp.open()
      try ours!.send([1, 2, 3])
      try theirs.send([1, 2, 3, 4, 5])
      #expect(try ours!.peek(upTo: 2) == [1, 2])
      var copy = ours
      ours = nil
      #expect(reports.all.isEmpty)
      #expect(copy?.phase == .connected)
      copy = nil
      #expect(try theirs.receive(upTo: 10) == [1, 2, 3])
      // Unread bytes are dropped with the socket. If they were still in the kernel, TCP reports that with a reset; if
      // Fin had already read them, it cannot.
      _ = try? theirs.receive(upTo: 1)
      theirs.close()
    }
    let report = try #require(reports.all.first)
    #expect(reports.all.count == 1)
    #expect(report.file.hasSuffix("TwoEnds.swift") && report.line > 0)
    #expect(report.phase == .connected && report.tcpState == .established)
    #expect(report.bytesUnread == 5)
    #expect(report.localAddress != nil && report.remoteAddress != nil)
    #expect("\(report)".contains("TwoEnds.swift"))
    #expect(ledger.counts.leaked == 1 && ledger.counts.open == 0)
  }
}

private final class Reports: Sendable {
  private let list = Mutex<[LeakReport]>([])
  func add(_ report: LeakReport) { list.withLock { $0.append(report) } }
  var all: [LeakReport] { list.withLock { $0 } }
}

extension Script {
  /// The number of system calls made while the script was in force.
  var total: Int { SystemCall.allCases.reduce(0) { $0 + count($1) } }
}
