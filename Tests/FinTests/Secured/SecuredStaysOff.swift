#if TLS
import COpenSSL
import Peers
import TestTraits
import Testing

@testable import Fin

/// OpenSSL's own client and server can do what Fin never does. They try it here, and their words are what is asserted.
@Suite(
  "Secured: old versions, renegotiation, compression and early data stay off, as the peer sees it",
  .needsProgram("openssl"), .onThreads)
struct SecuredStaysOff {
  private let certificates: Certificates
  private let identity: TLSIdentity

  init() throws {
    certificates = try Certificates()
    identity = try certificates.identity()
  }

  /// Runs the program, with its errors among its output.
  private func withOpenSSL(_ words: [String], _ body: (Child) throws -> Void) throws {
    let shell = try #require(Programs.find("sh"))
    try withChild(shell, ["-c", "exec openssl \"$@\" 2>&1", "sh"] + words, body)
  }

  /// Runs `openssl s_client`, and gives its connection to `body` before the handshake.
  private func serve(_ words: [String], _ body: (consuming Connection, Child) throws -> Void) throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let address = "127.0.0.1:\(listener.localAddress.port ?? 0)"
    try withOpenSSL(["s_client", "-connect", address, "-CAfile", certificates.root] + words) { child throws in
      try body(try listener.accept(within: .seconds(60)), child)
    }
    listener.close()
  }

  /// Runs `openssl s_server`, and gives its port to `body`.
  private func connect(_ words: [String], _ body: (UInt16, Child) throws -> Void) throws {
    let server = ["s_server", "-accept", "127.0.0.1:0", "-cert", identity.certificates, "-key", identity.key]
    try withOpenSSL(server + words) { child throws in
      // ACCEPT 127.0.0.1:port
      let line = try hear("ACCEPT", from: child)
      try body(try #require(line.split(separator: ":").last.flatMap { UInt16($0) }), child)
    }
  }

  /// Reads the program's output up to a line with these words, and returns that line.
  @discardableResult
  private func hear(_ words: String, from child: Child) throws -> String {
    var before: [String] = []
    while let line = try child.readLine() {
      if line.contains(words) { return line }
      before.append(line)
    }
    throw RigError("openssl did not say “\(words)”, but \(before.suffix(20))")
  }

  private func secured(_ port: UInt16, _ client: TLSClient) throws -> Connection {
    try Connection.connect(to: .loopback(port: port)).secured(
      as: .client(for: "localhost", client), within: .seconds(60))
  }

  // MARK: Versions

  /// The least version of this side, the only one of a peer that is older, and the only one of a peer that is not.
  private static let versions = [(TLSVersion.v1_3, "-tls1_2", "-tls1_3"), (.v1_2, "-tls1_1", "-tls1_2")]
  // Old versions are off in OpenSSL too, unless it is asked for them.
  private static let anySecurity = ["-cipher", "ALL:@SECLEVEL=0"]

  @Test("a server refuses a client that speaks older versions only, and both say why", arguments: versions)
  func oldClient(_ least: TLSVersion, _ old: String, _ new: String) throws {
    let server = try TLSServer(identity, atLeast: least)
    try serve(Self.anySecurity + [old]) { connection, child throws in
      let error = failure(securing: connection, as: .server(server))
      #expect(says(error, "no version of TLS in common: the peer speaks older ones"), "\(String(describing: error))")
      try hear("alert protocol version", from: child)
      #expect(try child.wait() == .exited(1))
    }
    // The same server accepts one that speaks the version.
    try serve(Self.anySecurity + [new]) { connection, child throws in
      try connection.secured(as: .server(server), within: .seconds(60)).abort()
      try hear("New, TLSv\(new.dropFirst(4).replacing("_", with: "."))", from: child)
    }
  }

  @Test("a client refuses a server that speaks older versions only, and says why", arguments: versions)
  func oldServer(_ least: TLSVersion, _ old: String, _ new: String) throws {
    let client = try TLSClient(trust: .roots(path: certificates.root), atLeast: least)
    try connect(Self.anySecurity + [old]) { port, child throws in
      let plain = try Connection.connect(to: .loopback(port: port))
      let error = failure(securing: plain, as: .client(for: "localhost", client))
      #expect(says(error, "the two sides have no version of TLS in common"), "\(String(describing: error))")
      try hear("unsupported protocol", from: child)
    }
    try connect(Self.anySecurity + [new]) { port, _ throws in
      let ours = try secured(port, client)
      #expect(ours.tls?.version == "TLSv\(new.dropFirst(4).replacing("_", with: "."))")
      ours.abort()
    }
  }

  @Test("a server that answers with an older version than was offered is refused by the client itself")
  func chosenOlder() throws {
    let client = try TLSClient(trust: .roots(path: certificates.root), atLeast: .v1_3)
    let side = try MemorySide(client.context, name: "localhost")
    _ = side.session.shakeHands()
    // A hello of TLS 1.2 that chooses ECDHE-ECDSA-AES128-GCM-SHA256, and no extension.
    let hello = [2, 0, 0, 38, 3, 3] + [UInt8](repeating: 7, count: 32) + [0, 0xc0, 0x2b, 0]
    side.wire.arrived = [0x16, 3, 3, 0, UInt8(hello.count)] + hello
    guard case .failed(let text)? = verdict(side.session.shakeHands()) else {
      Issue.record("accepted")
      return
    }
    #expect(text.contains("no version of TLS in common: the peer speaks older ones"), "\(text)")
    // Its alert is “protocol version”.
    #expect(side.wire.sent.suffix(2) == [2, 70], "\(side.wire.sent.suffix(7))")
  }

  // MARK: Renegotiation

  @Test("a client that renegotiates gets the alert that there is none, and gives up")
  func renegotiatingClient() throws {
    let server = try TLSServer(identity)
    try serve(["-tls1_2"]) { connection, child throws in
      let ours = try connection.secured(as: .server(server), within: .seconds(60))
      try child.write("a line\n")
      #expect(try ours.receiveLine(within: .seconds(60)) == "a line")
      // The letter with which it begins another handshake.
      try child.write("R\n")
      try hear("RENEGOTIATING", from: child)
      try checkRefused(ours, child)
    }
  }

  @Test("a server that asks for a new handshake gets the alert that there is none, and gives up")
  func renegotiatingServer() throws {
    let client = try TLSClient(trust: .roots(path: certificates.root))
    try connect(["-tls1_2"]) { port, child throws in
      let ours = try secured(port, client)
      try ours.send("a line\n")
      try hear("a line", from: child)
      try child.write("r\n")
      try checkRefused(ours, child)
    }
  }

  /// Checks that the peer gets the alert, and that its own alert is an error of this side and no end.
  private func checkRefused(_ ours: consuming Connection, _ child: Child) throws {
    var message = ""
    do throws(SocketError) {
      let end = try ours.receive(upTo: 10, within: .seconds(60))
      Issue.record("received \(String(describing: end))")
    } catch { message = "\(error)" }
    #expect(message.contains("the peer refused with the alert “handshake failure”"), "\(message)")
    try hear("no renegotiation", from: child)
    ours.abort()
  }

  // MARK: Compression

  @Test("compression: a client offers none, and a server chooses none of a client that offers it")
  func compression() throws {
    let server = try TLSServer(identity)
    let client = try TLSClient(trust: .roots(path: certificates.root))
    let ours = try MemorySide(client.context, name: "localhost")
    _ = ours.session.shakeHands()
    // The heads of the record and of the hello, its version and random bytes; then the session, ciphers, compression.
    var place = 5 + 4 + 2 + 32
    place += 1 + Int(ours.wire.sent[place])
    place += 2 + Int(ours.wire.sent[place]) << 8 + Int(ours.wire.sent[place + 1])
    #expect(ours.wire.sent[place...].starts(with: [1, 0]), "the offers are \(ours.wire.sent[place...].prefix(4))")

    // A client of TLS 1.2 that would rather have DEFLATE (RFC 3749) than nothing.
    let theirs = try MemorySide(server.context)
    let extensions: [UInt8] = [0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3]
    let body =
      [3, 3] + [UInt8](repeating: 7, count: 32) + [0, 0, 2, 0xc0, 0x2b, 2, 1, 0, 0, UInt8(extensions.count)]
      + extensions
    let hello = [1, 0, 0, UInt8(body.count)] + body
    theirs.wire.arrived = [0x16, 3, 1, 0, UInt8(hello.count)] + hello
    _ = theirs.session.shakeHands()
    let answer = theirs.wire.sent
    try #require(answer.count > 5 + 4 + 2 + 32)
    place = 5 + 4 + 2 + 32
    place += 1 + Int(answer[place])
    #expect(answer[5] == 2 && answer[place...].starts(with: [0xc0, 0x2b, 0]), "\(answer[place...].prefix(4))")

    // Debian's OpenSSL has no compression to choose; another one may have it.
    for context in [client.context, server.context] {
      let options = unsafe SSL_CTX_get_options(context.raw)
      #expect(options & (1 << 17) != 0, "SSL_OP_NO_COMPRESSION is not among \(options)")
    }
    try serve(["-tls1_2", "-comp"]) { connection, child throws in
      try connection.secured(as: .server(server), within: .seconds(60)).abort()
      try hear("Compression: NONE", from: child)
    }
  }

  // MARK: Early data

  @Test("early data: a server's tickets allow none, and what a client sends all the same is thrown away")
  func earlyDataOfClients() throws {
    let folder = try TemporaryFolder()
    let session = folder.path + "/session.pem"
    let server = try TLSServer(identity)
    try serve(["-tls1_3", "-sess_out", session]) { connection, child throws in
      let ours = try connection.secured(as: .server(server), within: .seconds(60))
      // A line behind the tickets: it has kept the last one in the file before it prints the line.
      try ours.send("a line\n")
      try hear("a line", from: child)
      child.closeInput()
      #expect(try ours.receive(upTo: 10, within: .seconds(60)) == nil)
      ours.close()
      try hear("Max Early Data: 0", from: child)
      #expect(try child.wait() == .exited(0))
    }
    // Without a forgery it sends none.
    try serve(["-tls1_3", "-sess_in", session, "-early_data", certificates.root]) { connection, child throws in
      try connection.secured(as: .server(server), within: .seconds(60)).abort()
      try hear("Early data was not sent", from: child)
    }
    try allowEarlyData(in: session)
    try serve(["-tls1_3", "-sess_in", session, "-early_data", certificates.root]) { connection, child throws in
      let ours = try connection.secured(as: .server(server), within: .seconds(60))
      try hear("Early data was rejected", from: child)
      // Nothing is received but the bytes that it sends after the handshake.
      try child.write("behind\n")
      #expect(try ours.receiveLine(within: .seconds(60)) == "behind")
      #expect(ours.tls?.isResumed == true)
      ours.abort()
    }
  }

  /// Changes a file of a session: the client then takes its ticket for one that allows early data.
  private func allowEarlyData(in path: String) throws {
    guard let old = unsafe BIO_new_file(path, "r"), let session = unsafe PEM_read_bio_SSL_SESSION(old, nil, nil, nil)
    else { throw RigError("\(path) has no session") }
    unsafe _ = BIO_free(old)
    #expect(unsafe SSL_SESSION_set_max_early_data(session, 16384) == 1)
    guard let new = unsafe BIO_new_file(path, "w") else { throw RigError("\(path) cannot be written") }
    #expect(unsafe PEM_write_bio_SSL_SESSION(new, session) == 1)
    unsafe _ = BIO_free(new)
    unsafe SSL_SESSION_free(session)
  }

  @Test("early data: a client sends none to a server whose tickets allow it")
  func earlyDataOfServers() throws {
    let client = try TLSClient(trust: .roots(path: certificates.root))
    try connect(["-tls1_3", "-early_data"]) { port, child throws in
      for round in 0..<2 {
        let ours = try secured(port, client)
        try ours.send("a line\n")
        try hear("No early data received", from: child)
        try hear("a line", from: child)
        #expect(ours.tls?.isResumed == (round > 0))
        // It reads the tickets.
        ours.close()
      }
    }
  }
}
#endif
