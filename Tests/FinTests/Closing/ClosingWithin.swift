import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@_spi(Fin) @testable import Fin

@Suite("A close from inside a loan of the descriptor does not wait for itself", .onThreads)
struct ClosingWithin {
  enum Way: String, CaseIterable, CustomTestStringConvertible {
    case thread = "in a thread"
    case task = "in a task"
    var testDescription: String { rawValue }

    func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) throws -> Value {
      switch self {
      case .thread: try onThread(body).join()
      case .task: try inTask { try synchronously(body) }
      }
    }
  }

  @Test(
    "closed while its descriptor is lent: the close works as usual, and the number is freed when the loan ends",
    arguments: Way.allCases, ClosePolicy.all)
  func closing(_ way: Way, _ policy: ClosePolicy) throws {
    let ledger = Ledger()
    try Ledger.$current.withValue(ledger) {
      let pair = try Loopback()
      let peer = pair.peer
      let ours = pair.ours.share()
      try ours.send([1, 2, 3])
      if policy == .lingering { try peer.finishSending() }
      let (report, isOpen) = try way.run {
        try ours.withDescriptor { number in
          // Two nested loans: each loan of this thread counts.
          let report = try? ours.withDescriptor { _ in ours.close(policy) }
          return (report, fcntl(number.rawValue, F_GETFD) != -1 && ledger.counts.open == 1)
        }
      }
      let endings: [Lifecycle.Event: Ending] = [
        .closeConfirmed: .acknowledged, .closeLingering: .peerFinished, .closeBackground: .background, .abort: .aborted,
      ]
      #expect(report?.ending == endings[policy.event], "\(String(describing: report))")
      #expect(isOpen, "the number is still the loan's")
      #expect(ledger.counts.open == 0 && ledger.counts.closed == 1, "\(ledger.counts)")
      #expect(ours.phase == .closed)
      #expect(ours.close() == report, "a later close gets the same report")
      if policy != .abort { #expect(try peer.receiveAll() == [1, 2, 3]) }
    }
  }

  @Test("closed while its descriptor is lent and another thread waits: that thread wakes, and nothing hangs")
  func others() throws {
    let pair = try Connection.pair()
    let ours = pair.first.share()
    let waiting = try waitingReceiver(ours, 1)
    let report = try onThread { try ours.withDescriptor { _ in ours.close(.background) } }.join()
    #expect(report.ending == .background)
    #expect(try waiting.join() == .closed)
    pair.second.close()
  }

  @Test("closed by another thread while its descriptor is lent: a close inside the loan does not wait for it")
  func second() throws {
    let pair = try Connection.pair()
    let ours = pair.first.share()
    let isClosing = Flag()
    let (report, first) = try onThread {
      try ours.withDescriptor { _ in
        let first = onThread {
          isClosing.set()
          return ours.close(.abort)
        }
        while !ours.reference.core.gate.isClosing { usleep(1000) }
        return (ours.close(.abort), first)
      }
    }.join()
    #expect(report.ending == .background)
    #expect(try first.join().ending == .aborted)
    pair.second.close()
  }

  @Test("a later close by another thread returns when the loan of the descriptor has ended, and not before")
  func later() throws {
    let pair = try Connection.pair()
    let ours = pair.first.share()
    let (report, later) = try onThread {
      try ours.withDescriptor { _ in
        let report = ours.close(.background)
        let later = onThread { ours.close() }
        let isHeld = (try? steadily(for: .milliseconds(50), "finished", equals: false) { later.isFinished }) != nil
        return (isHeld ? report : nil, later)
      }
    }.join()
    #expect(report != nil, "the later close came back while the number was lent")
    #expect(try later.join() == report)
    pair.second.close()
  }

  @Test("a datagram socket closed while its descriptor is lent is released when the loan ends")
  func datagrams() throws {
    let ledger = Ledger()
    try Ledger.$current.withValue(ledger) {
      let socket = try DatagramSocket.bind(.loopback(port: 0)).share()
      let open = try onThread {
        try socket.withDescriptor { _ in
          socket.close()
          return ledger.counts.open
        }
      }.join()
      #expect(open == 1 && ledger.counts.open == 0)
    }
  }

  @Test("a half that is kept beyond duplex does not block the close: its calls throw .closed")
  func keptHalf() throws {
    let pair = try Connection.pair()
    let ours = Keeping(pair.first)
    let half = KeptHalf()
    try inTask {
      _ = try await ours.connection.duplex {
        half.keep($0)
      } send: { _ in
      }
    }
    let waits = Flag()
    let waiting = onThread {
      Seam.$script.withValue(Script(.first(.poll, .before { waits.set() }))) { half.receive() }
    }
    try eventually("the half waits") { waits.isSet }
    let report = ours.connection.reference.core.close(.background)
    #expect(report.ending == .background && report.duration < slack, "\(report)")
    #expect(try waiting.join() == .closed)
    pair.second.close()
  }
}

private final class Keeping: Sendable {
  let connection: Connection
  init(_ connection: consuming Connection) { self.connection = connection }
}

/// A half of a connection that the program kept beyond `duplex`.
private final class KeptHalf: @unchecked Sendable {
  private var half: ReceivingHalf?
  func keep(_ half: consuming ReceivingHalf) { self.half = consume half }
  func receive() -> SocketError.Cause? {
    cause { () throws(SocketError) in _ = try half!.receive(upTo: 1, within: .seconds(60)) }
  }
}
