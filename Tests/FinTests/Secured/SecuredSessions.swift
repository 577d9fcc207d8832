#if TLS
import COpenSSL
import Peers
import TestTraits
import Testing

@testable import Fin

@Suite("Secured: sessions without a socket, with hostile messages", .needsProgram("openssl"), .onThreads)
struct SecuredSessions {
  private let certificates: Certificates
  private let server: TLSServer
  private let client: TLSClient

  init() throws {
    certificates = try Certificates()
    server = try TLSServer(certificates.identity())
    client = try TLSClient(trust: .roots(path: certificates.root))
  }

  private func shaken() throws -> (client: MemorySide, server: MemorySide) {
    try MemorySide.shaken(client, server)
  }

  /// Sends a KeyUpdate.
  private func updateKeys(_ side: MemorySide, asking: Bool) {
    unsafe #expect(
      SSL_key_update(side.session.ssl, asking ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED) == 1)
    unsafe _ = SSL_do_handshake(side.session.ssl)
  }

  @Test("the messages of one turn of the handshake leave in one call, both tickets too")
  func together() throws {
    let (ours, theirs) = try shaken()
    #expect(ours.wire.calls == 2)
    // From ServerHello to Finished, and the tickets.
    #expect(theirs.wire.calls == 2)
    let (more, fewer) = (ours.wire.calls, theirs.wire.calls)
    ours.session.sayClose()
    #expect(ours.wire.calls == more + 1 && ours.wire.mayFollow)
    #expect(theirs.wire.calls == fewer && !theirs.wire.mayFollow)
  }

  @Test("a flood of KeyUpdates without data ends the connection, and a few do not")
  func keyUpdates() throws {
    let (ours, theirs) = try shaken()
    for _ in 0..<20 { updateKeys(ours, asking: false) }
    carry(ours, theirs)
    guard case .blocked = theirs.read().outcome else {
      Issue.record("a few were too many")
      return
    }
    for _ in 0..<(TLSSession.mostWithoutData / 20) { updateKeys(ours, asking: false) }
    carry(ours, theirs)
    #expect(verdict(theirs.read().outcome) == .failed("the peer sends messages without data, and no end"))
  }

  @Test("a peer that asks for answers and reads none is not answered without end")
  func answers() throws {
    let (ours, theirs) = try shaken()
    theirs.wire.room = 0
    var last: TLSSession.Verdict?
    var rounds = 0
    while last == nil, rounds < 100_000 {
      rounds += 1
      for _ in 0..<100 { updateKeys(ours, asking: true) }
      let byte: [UInt8] = [1]
      let sealed = unsafe byte.withUnsafeBytes { unsafe ours.session.write($0) }
      guard case .done = sealed else {
        Issue.record("no byte was sealed")
        return
      }
      carry(ours, theirs)
      last = verdict(theirs.read().outcome)
    }
    #expect(last == .failed("the peer asks for answers that it does not read"))
    #expect(theirs.session.unsentCount < TLSSession.mostUnsent + 100_000)
  }

  @Test("the first verdict stays, whatever comes after it")
  func latched() throws {
    let (ours, theirs) = try shaken()
    _ = theirs.read()
    ours.session.sayClose()
    carry(ours, theirs)
    theirs.wire.hasEnded = true
    for _ in 0..<3 { #expect(verdict(theirs.read().outcome) == .ended) }
    theirs.wire.arrived = [0x17, 3, 3, 0, 5, 1, 2, 3, 4, 5]
    #expect(verdict(theirs.read().outcome) == .ended)
    // FIN alone, on the other side: truncated, also when a close_notify is found afterwards.
    ours.wire.hasEnded = true
    #expect(verdict(ours.read().outcome) == .truncated)
    theirs.session.sayClose()
    carry(theirs, ours)
    #expect(verdict(ours.read().outcome) == .truncated)
  }

  @Test("random changes of one byte never end in an accepted stream, and never in a crash", arguments: 0..<8)
  func changed(_ part: Int) throws {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<50 {
      let seed = UInt64.random(in: 0...UInt64.max, using: &random)
      let (ours, theirs) = try shaken()
      let bytes = pattern(Int(seed % 5000) + 1)
      unsafe bytes.withUnsafeBytes { unsafe _ = ours.session.write($0) }
      ours.session.sayClose()
      let place = Int(seed / 5000 % UInt64(ours.wire.sent.count))
      ours.wire.sent[place] ^= UInt8(1 << part)
      carry(ours, theirs)
      theirs.wire.hasEnded = true
      var received: [UInt8] = []
      var end: TLSSession.Verdict?
      while end == nil {
        let (more, outcome) = theirs.read()
        received += more
        end = verdict(outcome)
      }
      #expect(end != .ended, "byte \(place) of \(seed)")
      #expect(bytes.starts(with: received), "byte \(place) of \(seed)")
    }
  }

  @Test("random bytes in place of a handshake never crash a server or a client", arguments: 0..<4)
  func random(_ part: Int) throws {
    var random = SystemRandomNumberGenerator()
    for round in 0..<300 {
      let side = part % 2 == 0 ? try MemorySide(server.context) : try MemorySide(client.context, name: "localhost")
      var bytes = (0..<Int.random(in: 0...3000, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
      // Half of them begin as a record of the handshake does.
      if part > 1, bytes.count > 9 { bytes.replaceSubrange(0..<6, with: [0x16, 3, 3, 8, 0, round % 2 == 0 ? 1 : 2]) }
      side.wire.arrived = bytes
      side.wire.hasEnded = true
      #expect(verdict(side.session.shakeHands()) != nil)
      #expect(!side.session.hasShaken)
    }
  }
}
#endif
