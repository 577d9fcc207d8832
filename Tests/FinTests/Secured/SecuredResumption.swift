#if TLS
import Glibc
import Peers
import TestTraits
import Testing

@testable import Fin

@Suite("Secured: a client keeps a bounded number of sessions, and resumes them", .needsProgram("openssl"), .onThreads)
struct SecuredResumption {
  private let certificates: Certificates

  init() throws { certificates = try Certificates() }

  /// A server over TLS that answers one line on each connection: whether it has resumed a session.
  private struct Server {
    private let owner: Keeper
    private let thread: Joining<ServerReport>

    init(_ settings: @escaping @Sendable () -> TLSServer) throws {
      owner = Keeper(try Listener.bind(.loopback(port: 0)))
      let owner = owner
      thread = onThread {
        owner.listener.serve(securing: settings(), threads: 2) { connection in
          _ = try connection.receiveLine(within: .seconds(20))
          try connection.send(connection.tls?.isResumed == true ? "resumed\n" : "new\n")
        }
      }
    }

    var port: UInt16 { owner.listener.localAddress.port! }

    /// Asks the server, and compares its answer with the client's own.
    func isResumed(_ client: TLSClient, name: String = "localhost") throws -> Bool {
      let endpoint = Endpoint(host: "127.0.0.1", port: port)
      let (resumed, end) = try withConnection(to: endpoint, securing: client, named: name) { connection -> Bool in
        try connection.send("?\n")
        let answer = try connection.receiveLine(within: .seconds(20))
        let information = connection.tls
        let tls = try #require(information)
        #expect(answer == (tls.isResumed ? "resumed" : "new"))
        // The certificate of the session is still known.
        #expect(tls.peerCertificate?.names.contains("localhost") == true)
        return tls.isResumed
      }
      #expect(end.ending == .peerFinished && end.bytesDiscarded == 0, "\(end)")
      return resumed
    }

    func stop() throws {
      owner.listener.handle.stop(within: .seconds(5))
      _ = try thread.join(within: .seconds(30))
    }
  }

  private func client(sessions: Int = 256, age: Duration = .seconds(7200)) throws -> TLSClient {
    try TLSClient(trust: .roots(path: certificates.root), sessions: sessions, sessionAge: age)
  }

  @Test("the second connection to a server is resumed on both sides, and so are those after it")
  func again() throws {
    let settings = try TLSServer(certificates.identity())
    let server = try Server { settings }
    let ours = try client()
    #expect(try !server.isResumed(ours))
    for _ in 0..<3 { #expect(try server.isResumed(ours)) }
    // Another name is another peer, and another client has sessions of its own.
    #expect(try !server.isResumed(ours, name: "127.0.0.1"))
    #expect(try !server.isResumed(client()))
    try server.stop()
  }

  @Test("a client that keeps no sessions shakes hands as a whole each time", arguments: [(0, 7200), (256, 0)])
  func none(_ sessions: Int, _ seconds: Int) throws {
    let settings = try TLSServer(certificates.identity())
    let server = try Server { settings }
    let ours = try client(sessions: sessions, age: .seconds(seconds))
    for _ in 0..<2 { #expect(try !server.isResumed(ours)) }
    #expect(ours.context.kept == nil)
    try server.stop()
    let below = #expect(throws: SocketError.self) { _ = try client(sessions: -1) }
    #expect(says(below, "below zero"))
  }

  @Test("tickets that the server can no longer read are no error: the handshake is a whole one")
  func unusable() throws {
    let identity = try certificates.identity()
    // Each client finds a server with new keys of tickets.
    let server = try Server { try! TLSServer(identity) }
    let ours = try client()
    for _ in 0..<3 { #expect(try !server.isResumed(ours)) }
    #expect((1...2).contains(try #require(ours.context.kept?.count)))
    try server.stop()
  }

  @Test("a ticket of TLS 1.3 is shown once, whether its handshake is finished or not")
  func once() throws {
    let server = try TLSServer(certificates.identity(), tickets: 1)
    let ours = try client()
    func begin() throws -> MemorySide { try MemorySide(ours.context, name: "localhost", port: 443) }
    let first = try begin()
    try shake(first, MemorySide(server.context))
    _ = first.read()
    #expect(ours.context.kept?.count == 1)
    // The hello with the ticket is on its way, and the connection ends.
    let lost = try begin()
    #expect(ours.context.kept?.count == 0)
    _ = lost.session.shakeHands()
    let hello = lost.wire.sent.count
    let whole = try begin()
    _ = whole.session.shakeHands()
    #expect(hello > whole.wire.sent.count + 32, "\(hello) and \(whole.wire.sent.count)")
    try shake(whole, MemorySide(server.context))
    #expect(!whole.session.information.isResumed)
  }

  @Test("after a record that was changed, the sessions with that server are not used again")
  func forgotten() throws {
    let server = try TLSServer(certificates.identity())
    let ours = try client()
    let side = try MemorySide(ours.context, name: "localhost", port: 443)
    let other = try MemorySide(ours.context, name: "127.0.0.1", port: 443)
    for side in [side, other] {
      try shake(side, MemorySide(server.context))
      _ = side.read()
    }
    #expect(ours.context.kept?.count == 4)
    side.wire.arrived = [0x17, 3, 3, 0, 32] + [UInt8](repeating: 0xaa, count: 32)
    guard case .failed? = verdict(side.read().outcome) else {
      Issue.record("the record was accepted")
      return
    }
    #expect(ours.context.kept?.count == 2)
    // A FIN inside the handshake, too: the ticket may be what the server cannot bear.
    let cut = try MemorySide(ours.context, name: "127.0.0.1", port: 443)
    _ = cut.session.shakeHands()
    cut.wire.hasEnded = true
    #expect(verdict(cut.session.shakeHands()) == .truncated)
    #expect(ours.context.kept?.count == 0)
  }

  private func shake(_ ours: MemorySide, _ theirs: MemorySide) throws {
    for _ in 0..<5 {
      _ = ours.session.shakeHands()
      carry(ours, theirs)
      _ = theirs.session.shakeHands()
      carry(theirs, ours)
    }
    #expect(ours.session.hasShaken && theirs.session.hasShaken)
  }

  @Test("openssl s_server says “Reused” of the second connection", arguments: ["-tls1_2", "-tls1_3"])
  func reused(_ version: String) throws {
    let identity = try certificates.identity()
    let arguments = [
      "s_server", "-accept", "127.0.0.1:0", "-cert", identity.certificates, "-key", identity.key, "-www", version,
    ]
    try withChild(try #require(Programs.find("openssl")), arguments) { child throws in
      // ACCEPT 127.0.0.1:port
      var port: UInt16?
      while port == nil, let line = try child.readLine(within: .seconds(60)) {
        if line.hasPrefix("ACCEPT") { port = line.split(separator: ":").last.flatMap { UInt16($0) } }
      }
      let endpoint = Endpoint(host: "localhost", port: try #require(port))
      let ours = try client()
      for round in 0..<3 {
        let (page, end) = try withConnection(to: endpoint, securing: ours) { connection -> String in
          try connection.send("GET / HTTP/1.0\r\n\r\n")
          var page: [UInt8] = []
          while let more = try connection.receive(upTo: 1 << 16, within: .seconds(20)) { page += more }
          let isResumed = connection.tls?.isResumed
          #expect(isResumed == (round > 0))
          return String(decoding: page, as: UTF8.self)
        }
        #expect(page.contains(round == 0 ? "New, TLSv1" : "Reused, TLSv1"), "\(page)")
        #expect(end.ending == .peerFinished, "\(end)")
      }
    }
  }
}

@Suite("Secured: the list of kept sessions has a limit, and its entries a time")
struct SecuredSessionList {
  private func peer(_ number: Int) -> TLSSessionPeer { TLSSessionPeer(name: "host\(number)", port: 443) }
  private func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }

  @Test("the least recently used one goes first")
  func leastRecentlyUsed() {
    var list = TLSSessionList<Int>(limit: 3)
    for number in 0..<3 { list.keep(number, of: peer(number), isForOne: false, until: at(100), now: at(0)) }
    #expect(list.take(of: peer(0), now: at(1)) == 0)
    list.keep(3, of: peer(3), isForOne: false, until: at(100), now: at(2))
    #expect(list.count == 3)
    #expect(list.take(of: peer(1), now: at(3)) == nil)
    for number in [0, 2, 3] { #expect(list.take(of: peer(number), now: at(3)) == number) }
    // A million peers leave no more than the limit.
    for number in 0..<1000 { list.keep(number, of: peer(number), isForOne: true, until: at(100), now: at(4)) }
    #expect(list.count == 3)
  }

  @Test("a session is given out until its time is over, and not at that moment")
  func expires() {
    var list = TLSSessionList<Int>(limit: 3)
    list.keep(1, of: peer(1), isForOne: false, until: at(10), now: at(0))
    #expect(list.take(of: peer(1), now: Instant(nanoseconds: 9_999_999_999)) == 1)
    #expect(list.take(of: peer(1), now: at(10)) == nil)
    #expect(list.count == 0)
    list.keep(2, of: peer(1), isForOne: false, until: at(10), now: at(10))
    #expect(list.count == 0)
  }

  @Test("a peer has two sessions at most, the newest is given out first, and each once where it must")
  func ofOnePeer() {
    var list = TLSSessionList<Int>(limit: 10)
    list.keep(9, of: peer(2), isForOne: true, until: at(10), now: at(0))
    for number in 0..<5 { list.keep(number, of: peer(1), isForOne: true, until: at(10), now: at(0)) }
    #expect(list.count == 3)
    #expect(list.take(of: peer(1), now: at(1)) == 4)
    #expect(list.take(of: peer(1), now: at(1)) == 3)
    #expect(list.take(of: peer(1), now: at(1)) == nil)
    #expect(list.take(of: peer(2), now: at(1)) == 9)
    list.keep(5, of: peer(1), isForOne: false, until: at(10), now: at(1))
    for _ in 0..<2 { #expect(list.take(of: peer(1), now: at(2)) == 5) }
    list.forget(peer(1))
    #expect(list.count == 0)
  }
}
#endif
