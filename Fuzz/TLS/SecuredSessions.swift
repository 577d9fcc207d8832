import COpenSSL
import Glibc

// A fuzzer over the sessions of TLS, without a socket: the handshake, and the reading of records. It is a program of its
// own, which `Fuzz/run tls` builds where the headers of OpenSSL are. The library's own code is instrumented; OpenSSL's is
// not, but the address sanitizer watches what it does with the heap.
@testable import Fin

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  var script = Script(unsafe Array(UnsafeBufferPointer(start: start, count: count)))
  switch script.byte() % 4 {
  case 0: strange(script.rest, to: Side(.server))
  case 1: strange(script.rest, to: Side(.client))
  case 2: changedHandshake(&script)
  default: conversation(&script)
  }
  return 0
}

/// Ends the fuzzer with a message when a session has done what it must never do.
func require(_ condition: Bool, _ message: StaticString) {
  guard condition else { fatalError("\(message)") }
}

/// The input, as a list of decisions. When it is used up, every further one is 0.
struct Script {
  private var bytes: ArraySlice<UInt8>
  init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

  var isOver: Bool { bytes.isEmpty }
  var rest: [UInt8] { Array(bytes) }
  mutating func byte() -> UInt8 { bytes.popFirst() ?? 0 }
  mutating func number() -> Int { Int(byte()) << 8 | Int(byte()) }

  mutating func take(_ count: Int) -> [UInt8] {
    defer { bytes = bytes.dropFirst(count) }
    return Array(bytes.prefix(count))
  }
}

/// A wire in memory.
final class MemoryWire: Wire {
  var arrived: [UInt8] = []
  var sent: [UInt8] = []
  var hasEnded = false

  func receive(into room: UnsafeMutableRawBufferPointer) -> WireResult {
    if arrived.isEmpty { return hasEnded ? .count(0) : .blocked }
    let count = min(room.count, arrived.count)
    unsafe room.copyBytes(from: arrived.prefix(count))
    arrived.removeFirst(count)
    return .count(count)
  }

  func send(_ bytes: UnsafeRawBufferPointer, more: Bool) -> WireResult {
    unsafe sent += bytes
    return .count(bytes.count)
  }
}

/// One side of a session.
final class Side {
  enum Role { case client, server }

  /// The certificate that `Fuzz/run` makes, which signs itself and is trusted.
  private static let settings: (client: TLSClient, server: TLSServer) = {
    let folder = unsafe getenv("FIN_FUZZ_TLS").map { unsafe String(cString: $0) } ?? "."
    do {
      let identity = TLSIdentity(certificates: folder + "/cert.pem", key: folder + "/key.pem")
      // Without kept sessions: each input begins anew.
      return (try TLSClient(trust: .roots(path: folder + "/cert.pem"), sessions: 0), try TLSServer(identity))
    } catch { fatalError("\(error)") }
  }()

  let session: TLSSession
  let wire = MemoryWire()
  var received: [UInt8] = []
  var sent: [UInt8] = []

  init(_ role: Role) {
    do {
      session =
        switch role {
        case .client: try TLSSession(Side.settings.client.context, name: "localhost", wire: wire)
        case .server: try TLSSession(Side.settings.server.context, name: nil, wire: wire)
        }
    } catch { fatalError("\(error)") }
  }

  var isOver: Bool { session.verdict != nil }

  /// Seals bytes that tell where they stand.
  func write(_ count: Int) {
    let bytes = (0..<count).map { UInt8(truncatingIfNeeded: (sent.count + $0) &* 31 &+ (sent.count + $0) >> 8) }
    guard !bytes.isEmpty, session.hasShaken, !session.sentClose, session.unsentCount == 0 else { return }
    guard case .done(let count) = unsafe bytes.withUnsafeBytes({ unsafe session.write($0) }) else { return }
    sent += bytes.prefix(count)
  }

  /// Reads what has arrived. The first verdict has to stay.
  func read(_ room: Int, from other: Side) {
    let before = session.verdict
    var outcome = TLSSession.Outcome.blocked
    let bytes = [UInt8](unsafeUninitializedCapacity: room) { buffer, count in
      outcome = unsafe session.read(into: UnsafeMutableRawBufferPointer(buffer))
      if case .done(let some) = outcome { count = some }
    }
    received += bytes
    if let before { require(session.verdict == before, "a verdict was replaced") }
    require(other.sent.starts(with: received), "bytes were received that were never sent")
    if session.verdict == .ended {
      require(other.session.sentClose, "an end that was never said")
      require(received == other.sent, "an end before the last byte")
    }
  }
}

/// Bytes that no session has made, in place of a handshake.
func strange(_ bytes: [UInt8], to side: Side) {
  _ = side.session.shakeHands()
  side.wire.arrived = bytes
  side.wire.hasEnded = true
  for _ in 0..<8 where !side.isOver { _ = side.session.shakeHands() }
  require(side.isOver, "a handshake waits for a wire that has ended")
  require(!side.session.hasShaken, "a handshake with a stranger succeeded")
}

/// What happens to the bytes between two sides.
func carry(_ from: Side, _ to: Side, _ script: inout Script) {
  var bytes = from.wire.sent
  from.wire.sent = []
  let place = bytes.isEmpty ? 0 : script.number() % bytes.count
  switch script.byte() % 12 {
  case 0: if !bytes.isEmpty { bytes[place] ^= max(1, script.byte()) }
  case 1:
    bytes = Array(bytes.prefix(place))
    to.wire.hasEnded = true
  case 2: bytes.insert(contentsOf: script.take(Int(script.byte() % 40)), at: place)
  case 3: bytes += bytes
  case 4: bytes.removeSubrange(place..<min(bytes.count, place + 1 + Int(script.byte())))
  case 5:
    // The rest comes with the next flight.
    from.wire.sent = Array(bytes.suffix(from: place))
    bytes = Array(bytes.prefix(place))
  default: break
  }
  to.wire.arrived += bytes
}

/// A handshake whose flights are changed on their way. It may fail or succeed; the bytes after it have to be true.
func changedHandshake(_ script: inout Script) {
  let (client, server) = (Side(.client), Side(.server))
  for _ in 0..<8 {
    _ = client.session.shakeHands()
    carry(client, server, &script)
    _ = server.session.shakeHands()
    carry(server, client, &script)
    if client.isOver || server.isOver { break }
  }
  if client.session.hasShaken, server.session.hasShaken { exchange(client, server, &script) }
  finish(client, server)
}

/// A true handshake, and then records that are changed on their way, in any order of calls.
func conversation(_ script: inout Script) {
  let (client, server) = (Side(.client), Side(.server))
  for _ in 0..<3 {
    _ = client.session.shakeHands()
    (server.wire.arrived, client.wire.sent) = (server.wire.arrived + client.wire.sent, [])
    _ = server.session.shakeHands()
    (client.wire.arrived, server.wire.sent) = (client.wire.arrived + server.wire.sent, [])
  }
  require(client.session.hasShaken && server.session.hasShaken, "a true handshake failed")
  exchange(client, server, &script)
  finish(client, server)
}

func exchange(_ client: Side, _ server: Side, _ script: inout Script) {
  var steps = 0
  while !script.isOver, steps < 200 {
    steps += 1
    let choice = script.byte()
    let (from, to) = choice & 0x80 == 0 ? (client, server) : (server, client)
    switch choice % 8 {
    case 0: from.write(1 + script.number() % 20_000)
    case 1: from.write(1 + Int(script.byte()))
    case 2: carry(from, to, &script)
    case 3: (to.wire.arrived, from.wire.sent) = (to.wire.arrived + from.wire.sent, [])
    case 4: to.read(1 + script.number() % 20_000, from: from)
    case 5: from.session.sayClose()
    case 6:
      let kind = choice & 0x40 == 0 ? SSL_KEY_UPDATE_NOT_REQUESTED : SSL_KEY_UPDATE_REQUESTED
      if !from.isOver, unsafe SSL_key_update(from.session.ssl, kind) == 1 {
        TLSErrors.clear()
        unsafe _ = SSL_do_handshake(from.session.ssl)
        TLSErrors.clear()
      }
    default: to.wire.arrived += script.take(Int(script.byte() % 40))
    }
  }
}

/// Ends both wires, and reads both sides to their verdicts.
func finish(_ client: Side, _ server: Side) {
  for (side, other) in [(client, server), (server, client)] {
    side.wire.hasEnded = true
    guard side.session.hasShaken else { continue }
    var rounds = 0
    while !side.isOver {
      side.read(16_384, from: other)
      rounds += 1
      require(rounds < 10_000, "a session waits for a wire that has ended")
    }
    side.read(100, from: other)
  }
}
