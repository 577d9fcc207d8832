import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Promise 2: close always answers, in a task: every policy, every ending", .needsTUN, .onThreads)
struct EndingsInTasks {
  @Test(
    "a close report names the ending and the bytes", .faults(20, 21, 23, 25, 32), arguments: Situation.all,
    ClosePolicy.brief)
  func report(_ situation: Situation, _ policy: ClosePolicy) throws {
    try withRawPeer(situation.behaviour) { peer in
      let connection = try connection(to: peer).share()
      try inTask { try await connection.send([UInt8](repeating: 7, count: 100)) }
      if situation.neverSent == 0 { try peer.awaitLog("our bytes") { $0.distinctBytes() == 100 } }
      try connection.awaitUnacknowledged(situation.unacknowledged)
      if situation.peerFinishes {
        try peer.finish()
        #expect(try inTask { try await connection.receive(upTo: 1) } == nil)
      }
      if situation.peerResets {
        try peer.reset()
        try connection.awaitState(.closed)
      }
      let report = try inTask { await connection.close(policy) }
      let isLuckilyHeard = situation.mayHearReset && report.ending == .reset
      #expect(report.ending == situation.ending(policy) || isLuckilyHeard, "\(report)\n\(peer.log)")
      #expect(report.bytesUnacknowledged == situation.unacknowledged, "\(report)")
      #expect(report.bytesNeverSent == situation.neverSent, "\(report)")
      #expect(report.bytesDiscarded == 0)
      #expect(report.duration < .milliseconds(400) + slack, "\(report)")
      #expect(!report.isDelivered || situation.unacknowledged == 0)
      #expect(connection.phase == .closed)
    }
  }

  @Test("a close of a socket that a task has waited for before ends like any other", arguments: Place.allCases)
  func seated(_ place: Place) throws {
    for (behaviour, ending) in [
      (Behaviour.good, Ending.peerFinished), (.neverFinishes, .acknowledged),
      (.neverAcknowledges, .timedOut(.confirming)), (.resetsMidDrain, .reset),
    ] {
      try withRawPeer(behaviour) { peer in
        let connection = try connection(to: peer).share()
        let report = try inTask(on: place) {
          let error = await #expect(throws: SocketError.self) {
            try await connection.receive(upTo: 1, within: .milliseconds(1))
          }
          #expect(error?.cause == .timedOut)
          try await connection.send([UInt8](repeating: 7, count: 100))
          // The peer finishes when it has our FIN. Only a lingering close waits for that.
          return await connection.close(
            ending == .peerFinished
              ? .lingering : .confirmed(within: .milliseconds(ending == .acknowledged ? 9000 : 400)))
        }
        #expect(report.ending == ending, "\(report)\n\(peer.log)")
      }
    }
  }

  @Test("a timeout of zero or less: one check, no wait", .faults(29), arguments: [Duration.zero, .seconds(-5)])
  func noTime(within: Duration) throws {
    for policy in [ClosePolicy.confirmed(within: within), .lingering(within: within, idle: within, discarding: 1000)] {
      try withRawPeer(.neverAcknowledges) { peer in
        let connection = try connection(to: peer).share()
        try connection.send([1, 2, 3])
        let report = try inTask { await connection.close(policy) }
        #expect(report.ending == .timedOut(policy.event == .closeConfirmed ? .confirming : .lingering))
        #expect(report.bytesUnacknowledged == 3)
      }
      try withRawPeer(.neverFinishes) { peer in
        let connection = try connection(to: peer).share()
        try connection.send([1, 2, 3])
        try connection.finishSending()
        try connection.awaitUnacknowledged(0)
        try connection.awaitState(.finWait2)
        #expect(try inTask { await connection.close(policy) }.ending == .acknowledged)
      }
    }
  }

  @Test(
    "a confirmed close in a task sleeps until the acknowledgement arrives: a handful of system calls")
  func edge() throws {
    try withLossyLink(LinkFaults(delay: .milliseconds(150))) { link in
      let listener = try link.right.run { try PlainSocket.listening(on: LossyLink.rightAddress) }
      let address = try SocketAddress(parsing: "\(LossyLink.rightAddress):\(listener.port)")
      let connection = try link.left.run { () throws -> Connection in try Connection.connect(to: address) }.share()
      let accepted = try listener.accept()
      try connection.send([1, 2, 3])
      let script = Script()
      let report = try Seam.$script.withValue(script) { errand { await connection.close() } }.join()
      #expect(report.ending == .acknowledged)
      #expect(report.duration >= .milliseconds(295), "\(report)")
      #expect(script.count(.poll) == 0)
      #expect(script.count(.ioctl) <= 9, "\(script.count(.ioctl)) ioctls")
      #expect(script.count(.recv) <= 8, "\(script.count(.recv)) receives")
      #expect(try accepted.receiveAll() == [1, 2, 3])
    }
  }
}

@Suite("Promise 2: close always answers, in a task that is cancelled: an abort, with a report", .needsTUN, .onThreads)
struct CancelledClosing {
  @Test(
    "a close cancelled before it begins: the peer reads a reset and no FIN, and the report counts the bytes",
    .faults(62),
    arguments: ClosePolicy.all)
  func before(_ policy: ClosePolicy) throws {
    try withRawPeer(.neverAcknowledges) { peer in
      let connection = try connection(to: peer).share()
      try connection.send([UInt8](repeating: 7, count: 100))
      try peer.awaitLog("our bytes") { $0.distinctBytes() == 100 }
      let report = try inTask {
        cancelThisTask()
        return await connection.close(policy)
      }
      #expect(report.ending == .aborted && report.bytesUnacknowledged == 100, "\(report)")
      try peer.awaitLog("the reset") { $0.count(.rst) == 1 }
      #expect(peer.log.count(.fin) == 0, "\(peer.log)")
      #expect(try peer.namespace.run { try KernelView.tcp() }.isEmpty)
    }
  }

  @Test(
    "a close cancelled in the middle: the peer reads a reset, and the report counts the unacknowledged bytes",
    .faults(62), arguments: Place.allCases)
  func middle(_ place: Place) throws {
    let policies: [(ClosePolicy, Phase)] = [
      (.confirmed(within: .seconds(60)), .confirming),
      (.lingering(within: .seconds(60), idle: .seconds(60), discarding: 1 << 20), .lingering),
    ]
    for (policy, phase) in policies {
      try withRawPeer(.acknowledges(first: 30)) { peer in
        let connection = try connection(to: peer).share()
        try connection.send([UInt8](repeating: 7, count: 100))
        try connection.awaitUnacknowledged(70)
        let closing = errand(on: place) { await connection.close(policy) }
        try eventually("the phase", equals: phase) { connection.phase }
        try peer.awaitLog("our FIN") { $0.count(.fin) > 0 }
        closing.cancel()
        let report = try closing.join()
        #expect(report.ending == .aborted && report.bytesUnacknowledged == 70, "\(report)")
        try peer.awaitLog("the reset") { $0.count(.rst) == 1 }
        #expect(try peer.namespace.run { try KernelView.tcp() }.isEmpty)
      }
    }
  }

  @Test("a close cancelled while it lingers after all is acknowledged: an abort all the same", .faults(62))
  func lingering() throws {
    try withRawPeer(.neverFinishes) { peer in
      let connection = try connection(to: peer).share()
      try connection.send([1])
      let closing = errand {
        await connection.close(.lingering(within: .seconds(60), idle: .seconds(60), discarding: 1 << 20))
      }
      try eventually("the phase", equals: .lingeringAcknowledged) { connection.phase }
      closing.cancel()
      let report = try closing.join()
      #expect(report.ending == .aborted && report.bytesUnacknowledged == 0, "\(report)")
      try peer.awaitLog("the reset") { $0.count(.rst) == 1 }
    }
  }

  @Test(
    "a close cancelled while both buffers are full: the report counts the bytes that the peer did not take",
    .faults(62))
  func fullBuffers() throws {
    let (ours, plain) = try openStrangers()
    let accepted = try ours.fill()
    let closing = errand { await ours.close(.confirmed(within: .seconds(60))) }
    try eventually("the phase", equals: .confirming) { ours.phase }
    closing.cancel()
    let report = try closing.join()
    #expect(report.ending == .aborted && report.bytesUnacknowledged > 0, "\(report)")
    #expect(report.bytesNeverSent > 0 && report.bytesNeverSent <= report.bytesUnacknowledged)
    // The peer's kernel has all other bytes, followed by the reset.
    var arrived = 0
    #expect(throws: RigError.self) {
      while true {
        let some = try plain.receive()
        if some.isEmpty { break }
        arrived += some.count
      }
    }
    #expect(arrived + report.bytesUnacknowledged >= accepted)
  }

  @Test("a second close that is cancelled cuts short the first, and both get the report", .faults(5, 62))
  func second() throws {
    for isCancelledBefore in [true, false] {
      try withRawPeer(.neverAcknowledges) { peer in
        let connection = try connection(to: peer).share()
        try connection.send([1, 2, 3])
        let first = errand { await connection.close(.confirmed(within: .seconds(60))) }
        try eventually("the phase", equals: .confirming) { connection.phase }
        let second = errand(on: .elsewhere) {
          if isCancelledBefore { cancelThisTask() }
          return await connection.close()
        }
        second.cancel()
        let report = try first.join()
        #expect(report.ending == .aborted && report.bytesUnacknowledged == 3)
        #expect(try second.join() == report)
      }
    }
  }

  @Test("an owner's close in a cancelled task: aborted, and no socket is left", .faults(62))
  func owner() throws {
    let ledger = Ledger()
    ledger.leakPolicy = .quiet
    let listener = try PlainSocket.listening()
    let address = SocketAddress.loopback(port: listener.port)
    let reports = try Ledger.$current.withValue(ledger) {
      errand {
        let first = try await Connection.connect(to: address)
        let second = try await Connection.connect(to: address).finishSending()
        let third = try await Connection.connect(to: address)
        cancelThisTask()
        return [await first.close(), await second.close(.lingering), third.abort()]
      }
    }.join()
    #expect(reports.map(\.ending) == [.aborted, .aborted, .aborted])
    #expect(ledger.counts.open == 0 && ledger.counts.leaked == 0)
  }
}
