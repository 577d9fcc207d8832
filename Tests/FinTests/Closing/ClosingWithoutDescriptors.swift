import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("A close that finds no descriptor to wait with is a proper close all the same", .onThreads)
struct ClosingWithoutDescriptors {
  /// The call that the kernel refuses, and its error.
  enum EntryError: String, CaseIterable, Codable, CustomTestStringConvertible {
    case poller, event, watch
    var testDescription: String { rawValue }

    var script: Script {
      switch self {
      case .poller: Script(.every(.epollCreate, .fail(.tooManyOpenFiles)), .every(.eventfd, .fail(.tooManyOpenFiles)))
      case .event: Script(.every(.eventfd, .fail(.tooManyOpenFiles)))
      case .watch: Script(.every(.epollControl, .fail(.noSpace)))
      }
    }
  }

  @Test(
    "a close in a task that cannot get an event loop: confirmed, and not reset",
    arguments: EntryError.allCases)
  func beforeTheFirstLoop(_ refusal: EntryError) async {
    // A separate process, in which no event loop exists yet.
    await #expect(processExitsWith: .success) { [refusal = refusal as EntryError] in
      let (ours, peer, lent) = try synchronously { () throws -> (SharedConnection, CInt, [EdgeWatch]) in
        let pair = try Loopback()
        let peer = pair.peer
        try pair.ours.send([1, 2, 3])
        // The watch that was prepared in advance is in use by another close.
        return (pair.ours.share(), peer.detach(), refusal == .poller ? [try EdgeWatch.pool.borrow()] : [])
      }
      // The peer reads and finishes only after it has seen our FIN, so this close has to wait.
      let reading = onThread {
        let peer = PlainSocket(adopting: peer)
        try eventually("our FIN") { try TCPInfo.read(peer.descriptor).state == .closeWait }
        return try peer.receiveAll()
      }
      let report = await Seam.$script.withValue(refusal.script) { await ours.close(.lingering) }
      check(report.ending == .peerFinished, "\(report)")
      let bytes = try synchronously { try reading.join() }
      check(bytes == [1, 2, 3], "\(bytes)")
      _ = lent
    }
  }

  @Test("a close in a task without an epoll watch, cancelled meanwhile: an abort, with its report", .needsTUN)
  func cancelled() throws {
    try withRawPeer(.neverAcknowledges) { peer in
      let connection = try connection(to: peer).share()
      try connection.send([1, 2, 3])
      let closing = errand {
        await Seam.$script.withValue(Script(.every(.epollControl, .fail(.noSpace)))) {
          await connection.close(.confirmed(within: .seconds(60)))
        }
      }
      try eventually("the phase", equals: .confirming) { connection.phase }
      closing.cancel()
      let report = try closing.join()
      #expect(report.ending == .aborted && report.bytesUnacknowledged == 3, "\(report)")
    }
  }

  @Test(
    "a close in a thread whose watch is refused: acknowledged, and not reset", .needsTUN,
    arguments: [EntryError.watch, .event])
  func inThread(_ refusal: EntryError) throws {
    try withLossyLink(LinkFaults(delay: .milliseconds(100))) { link in
      let listener = try link.right.run { try PlainSocket.listening(on: LossyLink.rightAddress) }
      let address = try SocketAddress(parsing: "\(LossyLink.rightAddress):\(listener.port)")
      let connection = try link.left.run { () throws -> Connection in try Connection.connect(to: address) }.share()
      let accepted = try listener.accept()
      try connection.send([1, 2, 3])
      let report = Seam.$script.withValue(refusal.script) { connection.close() }
      #expect(report.ending == .acknowledged, "\(report)")
      #expect(report.duration >= .milliseconds(195), "\(report)")
      #expect(try accepted.receiveAll() == [1, 2, 3])
    }
  }

  @Test("a close in a thread whose watch is refused: times out on time, and an abort returns at once", .needsTUN)
  func ends() throws {
    for isAborted in [false, true] {
      try withRawPeer(.neverAcknowledges) { peer in
        let connection = try connection(to: peer).share()
        try connection.send([1, 2, 3])
        let time = Duration.milliseconds(isAborted ? 60_000 : 300)
        let closing = onThread {
          Seam.$script.withValue(EntryError.watch.script) { connection.close(.confirmed(within: time)) }
        }
        try eventually("the phase", equals: .confirming) { connection.phase }
        if isAborted { connection.abort() }
        let report = try closing.join()
        #expect(report.ending == (isAborted ? .aborted : .timedOut(.confirming)), "\(report)")
        if !isAborted { #expect(report.duration >= time && report.duration < time + slack, "\(report)") }
      }
    }
  }
}
