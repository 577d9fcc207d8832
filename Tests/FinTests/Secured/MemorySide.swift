#if TLS
import Peers
import Testing

@testable import Fin

/// A wire in memory. The test decides what arrives and how much the peer takes.
final class MemoryWire: Wire {
  var arrived: [UInt8] = []
  var sent: [UInt8] = []
  var hasEnded = false
  /// The room of a peer that does not read.
  var room = Int.max
  /// The calls that sent, or tried to.
  private(set) var calls = 0
  /// Whether the last of them said that something follows.
  private(set) var mayFollow = false

  func receive(into room: UnsafeMutableRawBufferPointer) -> WireResult {
    if arrived.isEmpty { return hasEnded ? .count(0) : .blocked }
    let count = min(room.count, arrived.count)
    unsafe room.copyBytes(from: arrived.prefix(count))
    arrived.removeFirst(count)
    return .count(count)
  }

  func send(_ bytes: UnsafeRawBufferPointer, more: Bool) -> WireResult {
    calls += 1
    mayFollow = more
    let count = min(bytes.count, room)
    if count == 0 { return .blocked }
    unsafe sent += bytes.prefix(count)
    room -= count
    return .count(count)
  }
}

/// One side of a session, over a wire in memory.
struct MemorySide {
  let session: TLSSession
  let wire: MemoryWire

  init(_ context: TLSContext, name: String? = nil, port: UInt16? = nil) throws {
    wire = MemoryWire()
    session = try TLSSession(context, name: name, port: port, wire: wire)
  }

  func read(_ most: Int = 100_000) -> (bytes: [UInt8], outcome: TLSSession.Outcome) {
    var outcome = TLSSession.Outcome.blocked
    let bytes = [UInt8](capacity: most) { output in
      unsafe output.withUnsafeMutableBufferPointer { buffer, count in
        outcome = unsafe session.read(into: UnsafeMutableRawBufferPointer(buffer))
        if case .done(let some) = outcome { count = some }
      }
    }
    return (bytes, outcome)
  }

  /// Two sides that have shaken hands.
  static func shaken(_ client: TLSClient, _ server: TLSServer) throws -> (client: MemorySide, server: MemorySide) {
    let ours = try MemorySide(client.context, name: "localhost")
    let theirs = try MemorySide(server.context)
    for _ in 0..<5 {
      _ = ours.session.shakeHands()
      carry(ours, theirs)
      _ = theirs.session.shakeHands()
      carry(theirs, ours)
    }
    #expect(ours.session.hasShaken && theirs.session.hasShaken)
    return (ours, theirs)
  }

  /// Seals bytes, and sends them.
  func write(_ bytes: [UInt8]) throws {
    let outcome = unsafe bytes.withUnsafeBytes { unsafe session.write($0) }
    guard case .done(bytes.count) = outcome else { throw RigError("not sealed: \(outcome)") }
  }
}

/// Carries what one side has sent to the other.
func carry(_ from: MemorySide, _ to: MemorySide) {
  to.wire.arrived += from.wire.sent
  from.wire.sent = []
}

/// The verdict of an outcome, if it is one.
func verdict(_ outcome: TLSSession.Outcome) -> TLSSession.Verdict? {
  if case .over(let verdict) = outcome { return verdict }
  return nil
}
#endif
