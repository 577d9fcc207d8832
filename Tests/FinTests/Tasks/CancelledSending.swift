import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

/// A verb of ``Sending`` that sends all of the bytes.
enum SendVerb: String, CaseIterable, Sendable, CustomTestStringConvertible {
  case span, array, collection, gathering

  var testDescription: String { rawValue }

  func send(_ bytes: [UInt8], on connection: SharedConnection, within: Timeout = .default) async throws {
    switch self {
    case .span: try await connection.send(unsafe bytes.span.bytes, within: within)
    case .array: try await connection.send(bytes, within: within)
    // A collection whose bytes are in another order in memory.
    case .collection: try await connection.send(Array(bytes.reversed()).reversed(), within: within)
    case .gathering:
      let pieces = stride(from: 0, to: bytes.count, by: 100_003).map {
        Array(bytes[$0..<min($0 + 100_003, bytes.count)])
      }
      try await connection.send(gathering: pieces, within: within)
    }
  }
}

@Suite("Cancellation: a cancelled send reports how many bytes were accepted", .onThreads)
struct CancelledSending {
  @Test(
    "a send cancelled before it begins hands the kernel nothing", .faults(62), arguments: SendVerb.allCases,
    Medium.plainAndSecured)
  func before(_ verb: SendVerb, _ medium: Medium) throws {
    let (ours, theirs) = try medium.open()
    let script = Script()
    let sending = Seam.$script.withValue(script) {
      errand {
        cancelThisTask()
        try await verb.send([1, 2, 3], on: ours)
      }
    }
    let error = try sending.refusal()
    #expect(error.cause == .cancelled && error.operation == .send && error.bytesAccepted == 0)
    #expect(script.count(.send) + script.count(.sendmsg) == 0)
    try inTask { try await ours.finishSending() }
    #expect(try theirs.receiveAll() == [])
    ours.abort()
    theirs.abort()
  }

  @Test(
    "a send cancelled while it waits for room reports the bytes accepted: exactly those arrive",
    .faults(45, 62), arguments: SendVerb.allCases, StreamKind.plainAndSecured)
  func parked(_ verb: SendVerb, _ kind: StreamKind) throws {
    let pair = try kind.connected()
    // Small buffers fill soon, even on a busy machine.
    try pair.first.set(.sendBuffer, to: 1 << 16)
    try pair.second.set(.receiveBuffer, to: 1 << 16)
    let ours = pair.first.share()
    let bytes = pattern(4 << 20)
    let sending = errand(on: verb == .array ? .elsewhere : .loop) { try await verb.send(bytes, on: ours) }
    try ours.awaitParked()
    sending.cancel()
    let error = try sending.refusal()
    #expect(error.cause == .cancelled && error.operation == .send)
    #expect(error.bytesAccepted > 0 && error.bytesAccepted < bytes.count)
    // A later send continues after the accepted bytes.
    let rest = errand {
      try await ours.send("the rest")
      try await ours.finishSending()
    }
    var arrived: [UInt8] = []
    while let more = try pair.second.receive(upTo: 1 << 20, within: .seconds(10)) { arrived += more }
    try rest.join()
    #expect(arrived.count == error.bytesAccepted + 8)
    #expect(arrived[...] == bytes[..<error.bytesAccepted] + Array("the rest".utf8))
    ours.abort()
    pair.second.abort()
  }

  @Test(
    "a send cancelled at the moment when the kernel accepts some bytes counts them", .faults(62),
    arguments: SendVerb.allCases, Medium.plainAndSecured)
  func inHand(_ verb: SendVerb, _ medium: Medium) throws {
    let (ours, theirs) = try medium.open()
    try ours.set(.sendBuffer, to: 1 << 16)
    try theirs.set(.receiveBuffer, to: 1 << 16)
    let bytes = pattern(4 << 20)
    let script = Script(
      .first(.send, .after { cancelThisTask() }), .first(.sendmsg, .after { cancelThisTask() }))
    let sending = Seam.$script.withValue(script) { errand { try await verb.send(bytes, on: ours) } }
    let error = try sending.refusal()
    #expect(error.cause == .cancelled && error.bytesAccepted > 0)
    try inTask { try await ours.finishSending() }
    #expect(try theirs.receiveAll() == Array(bytes[..<error.bytesAccepted]))
    ours.abort()
    theirs.abort()
  }

  @Test(
    "a send cancelled at the moment when the kernel accepts all bytes succeeds", .faults(62),
    arguments: Medium.plainAndSecured)
  func allInHand(_ medium: Medium) throws {
    let (ours, theirs) = try medium.open()
    let script = Script(.first(.send, .after { cancelThisTask() }))
    #expect(
      try Seam.$script.withValue(script) {
        errand {
          try await ours.send("all of it")
          return Task.isCancelled
        }
      }.join())
    #expect(try theirs.receive(exactly: 9) == Array("all of it".utf8))
    ours.abort()
    theirs.abort()
  }

  @Test(
    "a send cancelled in the queue behind another writer sends nothing, and those behind it move up", .faults(62))
  func queued() throws {
    let (ours, theirs) = try Medium.pair.open()
    let filled = try ours.fill()
    let first = errand { try await ours.send("first") }
    try ours.awaitParked()
    let second = errand { try await ours.send("second") }
    try eventually("queued writers", equals: 1) { ours.gate.queuedWriters }
    let third = errand(on: .elsewhere) { try await ours.send("third") }
    try eventually("queued writers", equals: 2) { ours.gate.queuedWriters }
    second.cancel()
    let error = try second.refusal()
    #expect(error.cause == .cancelled && error.bytesAccepted == 0)
    #expect(ours.gate.queuedWriters == 1)
    #expect(try theirs.receive(exactly: filled) != nil)
    try first.join()
    try third.join()
    #expect(try theirs.receive(exactly: 10) == Array("firstthird".utf8))
    #expect(ours.gate == .init(parked: 1))
    ours.abort()
    theirs.abort()
  }

  @Test(
    "finishSending cancelled in the queue behind a writer sends no FIN", .faults(62), arguments: Medium.plainAndSecured)
  func finishing(_ medium: Medium) throws {
    let (ours, theirs) = try medium.open()
    let bytes = pattern(24 << 20)
    let writer = errand { try await ours.send(bytes) }
    try ours.awaitParked()
    let finishing = errand { try await ours.finishSending() }
    try eventually("queued writers", equals: 1) { ours.gate.queuedWriters }
    finishing.cancel()
    let error = try finishing.refusal()
    #expect(error.cause == .cancelled && error.operation == .finishSending)
    #expect(ours.phase == .connected && !writer.isFinished)
    // The same holds for a task that is cancelled before it begins.
    let late = errand {
      cancelThisTask()
      try await ours.finishSending()
    }
    #expect(try late.refusal().cause == .cancelled)
    #expect(try theirs.receive(exactly: bytes.count, within: .seconds(60)) == bytes)
    try writer.join()
    #expect(try ours.tcpState() == .established)
    try inTask { try await ours.finishSending() }
    #expect(try theirs.receive(upTo: 1) == nil)
    ours.abort()
    theirs.abort()
  }

  @Test("sendSome cancelled while it waits sends nothing", .faults(62))
  func some() throws {
    let (ours, theirs) = try Medium.pair.open()
    let filled = try ours.fill()
    let sending = errand {
      let bytes: [UInt8] = [1, 2, 3]
      return try await ours.sendSome(unsafe bytes.span.bytes)
    }
    try ours.awaitParked()
    sending.cancel()
    #expect(try sending.refusal().cause == .cancelled)
    try inTask { try await ours.finishSending() }
    #expect(try theirs.receiveAll().count == filled)
    ours.abort()
    theirs.abort()
  }
}
