import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

/// A verb of ``Receiving``, called for "ab" and the end of its line.
enum ReceiveVerb: String, CaseIterable, Sendable, CustomTestStringConvertible {
  case into, upTo, exactly, until, readLine, peek

  var testDescription: String { rawValue }

  /// - Returns: the bytes; for a line, those before its end.
  func ask(_ connection: SharedConnection, within: Timeout = .default) async throws -> [UInt8]? {
    switch self {
    case .into: return try await receiveInto(connection, within)
    case .upTo: return try await connection.receive(upTo: 100, within: within)
    case .exactly: return try await connection.receive(exactly: 3, within: within)
    case .until: return try await connection.receive(until: 0x0A, within: within)
    case .readLine: return try await connection.receiveLine(within: within).map { Array($0.utf8) }
    case .peek: return try await connection.peek(upTo: 100, within: within)
    }
  }

  private func receiveInto(_ connection: SharedConnection, _ within: Timeout) async throws -> [UInt8]? {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 100, alignment: 1)
    defer { unsafe room.deallocate() }
    var output = unsafe OutputRawSpan(buffer: room, initializedCount: 0)
    let count = try await connection.receive(into: &output, within: within)
    #expect(unsafe output.finalize(for: room) == count)
    return count == 0 ? nil : unsafe Array(room[..<count])
  }

  /// The result for "ab\n".
  var answer: [UInt8] { Array((self == .until || self == .readLine ? "ab" : "ab\n").utf8) }

  /// The verbs that go on waiting after a part has arrived.
  static let patient: [ReceiveVerb] = [.exactly, .until, .readLine]
}

@Suite("Cancellation: a cancelled receive consumes nothing", .onThreads)
struct CancelledReceiving {
  @Test(
    "a receive cancelled before it begins makes no system call; the next one gets every byte", .faults(62),
    arguments: ReceiveVerb.allCases, Medium.plainAndSecured)
  func before(_ verb: ReceiveVerb, _ medium: Medium) throws {
    for place in Place.allCases {
      let (ours, theirs) = try medium.open()
      try theirs.send("ab\n")
      let script = Script()
      let cancelled = Seam.$script.withValue(script) {
        errand(on: place) {
          cancelThisTask()
          return try await verb.ask(ours)
        }
      }
      let error = try cancelled.refusal()
      #expect(error.cause == .cancelled && error.operation == .receive)
      #expect(script.count(.recv) == 0)
      #expect(ours.gate == .init())
      #expect(try inTask(on: place) { try await verb.ask(ours) } == verb.answer)
      ours.abort()
      theirs.abort()
    }
  }

  @Test(
    "a receive cancelled while it waits throws .cancelled; the next one gets every byte", .faults(62),
    arguments: ReceiveVerb.allCases, StreamKind.plainAndSecured)
  func parked(_ verb: ReceiveVerb, _ kind: StreamKind) throws {
    for place in Place.allCases {
      let pair = try kind.connected()
      let ours = pair.first.share()
      let receiving = errand(on: place) { try await verb.ask(ours) }
      try ours.awaitParked()
      receiving.cancel()
      let error = try receiving.refusal()
      #expect(error.cause == .cancelled && error.operation == .receive)
      try ours.awaitParked(0)
      #expect(!ours.gate.hasReader && ours.phase == .connected)
      // The cancellation ended nothing else: a second wait behaves like the first.
      let second = errand(on: place) { try await verb.ask(ours) }
      try ours.awaitParked()
      try pair.second.send("ab\n")
      #expect(try second.join() == verb.answer)
      ours.abort()
      pair.second.abort()
    }
  }

  @Test(
    "a receive cancelled when half of its data has arrived leaves that half to the next one", .faults(62),
    arguments: ReceiveVerb.patient, ReceiveVerb.allCases)
  func half(_ verb: ReceiveVerb, _ next: ReceiveVerb) throws {
    for medium in Medium.plainAndSecured { try half(verb, next, medium) }
  }

  private func half(_ verb: ReceiveVerb, _ next: ReceiveVerb, _ medium: Medium) throws {
    let (ours, theirs) = try medium.open()
    try theirs.send("ab")
    let receiving = errand { try await verb.ask(ours) }
    try ours.awaitParked()
    receiving.cancel()
    #expect(try receiving.refusal().cause == .cancelled)
    #expect(try inTask { try await ours.peek(upTo: 9) } == Array("ab".utf8))
    try theirs.send("\n")
    try theirs.finishSending()
    // Some verbs return the half that is there; the rest follows.
    var all = try inTask { try await next.ask(ours) } ?? []
    if next == .peek { all = [] }
    if next == .until || next == .readLine { all += [0x0A] }
    let rest = try inTask { [all] in
      var all = all
      while let more = try await ours.receive(upTo: 9) { all += more }
      return all
    }
    #expect(rest == Array("ab\n".utf8))
    ours.abort()
    theirs.abort()
  }

  @Test(
    "a receive cancelled at the moment when the kernel returns the bytes returns them", .faults(62),
    arguments: ReceiveVerb.allCases, Medium.plainAndSecured)
  func inHand(_ verb: ReceiveVerb, _ medium: Medium) throws {
    for place in Place.allCases {
      let (ours, theirs) = try medium.open()
      try theirs.send("ab\n")
      let script = Script(.first(.recv, .after { cancelThisTask() }))
      let answer = try Seam.$script.withValue(script) {
        errand(on: place) { (try await verb.ask(ours), Task.isCancelled) }
      }.join()
      #expect(answer.0 == verb.answer && answer.1)
      ours.abort()
      theirs.abort()
    }
  }

  @Test(
    "a receive cancelled at the moment when the kernel returns half of its data leaves that half to the next one",
    .faults(62),
    arguments: ReceiveVerb.patient, Medium.plainAndSecured)
  func halfInHand(_ verb: ReceiveVerb, _ medium: Medium) throws {
    let (ours, theirs) = try medium.open()
    try theirs.send("ab")
    let script = Script(.first(.recv, .after { cancelThisTask() }))
    let receiving = Seam.$script.withValue(script) { errand { try await verb.ask(ours) } }
    #expect(try receiving.refusal().cause == .cancelled)
    try theirs.send("\n")
    #expect(try inTask { try await verb.ask(ours) } == verb.answer)
    ours.abort()
    theirs.abort()
  }

  @Test(
    "ten thousand bytes, with receives cancelled at any moment: each byte arrives once, in order", .faults(62),
    arguments: Medium.plainAndSecured)
  func anyMoment(_ medium: Medium) throws {
    let (ours, theirs) = try medium.open()
    let bytes = pattern(10_000)
    let sending = onThread {
      var sent = 0
      while sent < bytes.count {
        let next = min(bytes.count, sent + 1 + sent % 13)
        try theirs.send(Array(bytes[sent..<next]))
        sent = next
      }
      try theirs.finishSending()
    }
    var received: [UInt8] = []
    var cancelled = 0
    var isOver = false
    while !isOver {
      let receiving = errand(on: received.count % 2 == 0 ? .loop : .elsewhere) { try await ours.receive(exactly: 17) }
      // The cancellation races with the start, the wait, the bytes and the end.
      receiving.cancel()
      do {
        if let some = try receiving.join() { received += some } else { isOver = true }
      } catch let error as SocketError {
        if case .endOfStream = error.cause {
          received += try inTask { try await ours.receive(upTo: 100) } ?? []
          isOver = true
        } else {
          #expect(error.cause == .cancelled)
          cancelled += 1
          // Without this, a busy machine would cancel every receive before it begins.
          if cancelled % 3 == 0, let some = try inTask({ try await ours.receive(upTo: 1000) }) { received += some }
        }
      }
    }
    try sending.join()
    #expect(received == bytes)
    ours.abort()
    theirs.abort()
  }
}
