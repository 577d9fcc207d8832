import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 7: a leak is reported and repaired", .onThreads)
struct LeakTests {
  /// Runs `body` with its own ledger. Returns the leak reports and the ledger's counts.
  private func leaks(_ body: () throws -> Void) throws -> (reports: [LeakReport], counts: Ledger.Counts) {
    let ledger = Ledger()
    let reports = Reports()
    ledger.leakPolicy = .custom { reports.add($0) }
    try Ledger.$current.withValue(ledger) { try body() }
    return (reports.all, ledger.counts)
  }

  private final class Reports: Sendable {
    private let reports = Mutex<[LeakReport]>([])
    var all: [LeakReport] { reports.withLock { $0 } }
    func add(_ report: LeakReport) { reports.withLock { $0.append(report) } }
  }

  @Test(
    "a leak report names the opening line, the age, the state, and the unread and unacknowledged bytes", .faults(14),
    .needsTUN)
  func report() throws {
    try withRawPeer(.neverAcknowledges) { peer in
      let address = try SocketAddress(parsing: "\(RawPeer.peerAddress):7")
      var line = 0
      var local: SocketAddress?
      let (reports, counts) = try leaks {
        line = #line + 1
        let connection = try peer.namespace.run { () throws -> Connection in try Connection.connect(to: address) }
        local = connection.localAddress
        try connection.send([1, 2, 3, 4, 5, 6, 7])
        try peer.send([1, 2, 3])
        try connection.awaitReceived(3)
      }
      let leak = try #require(reports.first)
      #expect(reports.count == 1 && counts.leaked == 1 && counts.open == 0 && counts.closed == 0)
      #expect(leak.file == "FinTests/LeakTests.swift" && leak.line == line)
      #expect(leak.kind == .connection && leak.phase == .connected && leak.tcpState == .established)
      #expect(leak.bytesUnread == 3 && leak.bytesUnacknowledged == 7)
      #expect(leak.localAddress == local && leak.remoteAddress == address)
      #expect(leak.age > .zero && leak.age < .seconds(60))
      let text = "\(leak)"
      for part in [
        "FinTests/LeakTests.swift:\(line)", "connected (ESTABLISHED)", "3 bytes unread", "7 not acknowledged",
      ] {
        #expect(text.contains(part), "\(text)")
      }
      // The descriptor is closed all the same: the unread bytes make that a reset, and no socket is left.
      try peer.awaitLog("the reset") { $0.count(.rst) == 1 }
      #expect(try peer.namespace.run { try KernelView.tcp(localPort: nil, remotePort: 7).isEmpty })
    }
  }

  @Test("a leak report counts bytes that were read ahead and not taken as unread", .faults(14))
  func buffered() throws {
    let (reports, _) = try leaks {
      let pair = try Connection.pair()
      try pair.second.send("one\ntwo\n")
      #expect(try pair.first.receiveLine() == "one")
      pair.second.close(.background)
    }
    #expect(reports.map(\.bytesUnread) == [4])
    #expect(reports.first?.tcpState == nil)
  }

  @Test("every kind of owner, dropped open, is reported and its descriptor closed", .faults(14))
  func everyKind() async {
    // A separate process, in which no other test opens descriptors.
    await #expect(processExitsWith: .success) {
      try synchronously {
        Ledger.current.leakPolicy = .quiet
        // Only sockets are compared: the test runner may create timers at any moment.
        func sockets() throws -> [OpenDescriptor] { try KernelView.openDescriptors().filter { $0.socketInode != nil } }
        let before = try sockets()
        let leaked = Ledger.current.counts.leaked
        do {
          let socket = try Socket(.ipv4)
          try socket.bind(to: .loopback(port: 0))
          let listener = try Listener.bind(.loopback(port: 0))
          let client = try Connection.connect(to: listener.localAddress)
          let served = try listener.accept().share()
          let pair = try Connection.pair()
          let half = pair.first.finishSending()
          let other = try pair.second.duplicate()
          precondition(socket.phase == .bound && client.phase == .connected && half.phase == .sendFinished)
          precondition(served.phase == .connected && other.phase == .connected)
        }
        let after = try sockets()
        precondition(before == after, "\(before) became \(after)")
        precondition(Ledger.current.counts.leaked - leaked == 7, "\(Ledger.current.counts)")
        precondition(Ledger.current.counts.open == 0)
      }
    }
  }

  @Test("a socket that was closed, aborted, detached or passed on is no leak")
  func noLeak() throws {
    let (reports, counts) = try leaks {
      let pair = try Connection.pair()
      pair.first.close(.background)
      PlainSocket(adopting: try pair.second.detach().descriptor.rawValue).close()
      let shared = try Connection.pair()
      shared.first.share().abort()
      shared.second.finishSending().close(.abort)
      try Listener.bind(.loopback(port: 0)).close()
      try Socket(.ipv4).close()
    }
    #expect(reports.isEmpty, "\(reports)")
    #expect(counts.leaked == 0 && counts.open == 0 && counts.detached == 1 && counts.opened == 6)
  }

  @Test("leak policy report: one line on standard error, and the program goes on", .faults(14))
  func policyReport() async throws {
    let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      do {
        let pair = try Connection.pair()
        precondition(pair.first.phase == .connected)
      }
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    let lines = text.split(separator: "\n").filter { $0.hasPrefix("fin: leaked: a connection") }
    #expect(lines.count == 2, "\(text)")
    #expect(lines.allSatisfy { $0.contains("opened at FinTests/LeakTests.swift:") }, "\(text)")
  }

  @Test("leak policy trap: the program stops with the report", .faults(14))
  func policyTrap() async throws {
    let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
      Ledger.current.leakPolicy = .trap
      do {
        let listener = try Listener.bind(.loopback(port: 0))
        precondition(listener.phase == .listening)
      }
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(text.contains("leaked: a listener 127.0.0.1:"), "\(text)")
  }

  @Test("leak policy quiet: nothing is printed, and the ledger counts the leak", .faults(14))
  func policyQuiet() async throws {
    let result = await #expect(processExitsWith: .success, observing: [\.standardErrorContent]) {
      Ledger.current.leakPolicy = .quiet
      do {
        let pair = try Connection.pair()
        precondition(pair.first.phase == .connected)
      }
      precondition(Ledger.current.counts.leaked == 2)
    }
    let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
    #expect(!text.contains("leaked"), "\(text)")
  }
}
