#if TLS
import Glibc
import Peers
import TestTraits
import Testing

@testable import Fin

/// The programs of GnuTLS, which shares no code with OpenSSL, those of OpenSSL, and curl. They have no option for an
/// end without close_notify; a killed one ends with FIN alone, and one that is killed with bytes unread with a reset.
@Suite("Secured: the table of endings against programs of the shell", .needsProgram("openssl"), .onThreads)
struct SecuredEndingsInTheShell {
  private let certificates: Certificates
  private let identity: TLSIdentity

  init() throws {
    certificates = try Certificates()
    identity = try certificates.identity()
  }

  private static let last = "DELETE FROM users"

  /// Receives the last line, has the peer end, and checks what Fin makes of it.
  private func check(
    _ ours: consuming Connection, _ row: SecuredEndings.Row, _ peer: Child, last: String? = Self.last,
    endsBy notify: () throws -> Void = {}
  ) throws {
    #expect(ours.tls?.version == "TLSv\(row.version)")
    if let last { #expect(try ours.receiveLine(within: .seconds(60)) == last) }
    switch row.end {
    case .notify: try notify()
    case .fin: peer.end()
    case .rst:
      peer.stop()
      try ours.send("never read\n")
      try eventually("the peer's kernel to have it", equals: 0) { try ours.bytesUnacknowledged() }
      peer.end()
    }
    for _ in 0..<2 {
      do throws(SocketError) {
        #expect(try ours.receive(upTo: 100, within: .seconds(60)) == nil, "\(row)")
        #expect(row.end == .notify, "\(row)")
      } catch { #expect(error.cause == row.end.cause, "\(row): \(error)") }
    }
    let report = ours.close()
    #expect(report.closeNotify?.received == (row.end == .notify), "\(row): \(report)")
    if row.end == .notify { #expect(report.ending == .peerFinished && report.isDelivered, "\(row): \(report)") }
    // The close_notify of this side meets a process that is gone.
    if row.end == .fin { #expect([.truncated, .reset, .discardedByPeer].contains(report.ending), "\(row): \(report)") }
    if row.end == .rst { #expect(!report.isDelivered, "\(row): \(report)") }
  }

  /// A server for a row. Tickets that the program has not read when it is killed would make its end a reset.
  private func server(_ row: SecuredEndings.Row) throws -> TLSServer {
    try TLSServer(identity, tickets: row.end == .fin ? 0 : 2)
  }

  /// Plays a row in which the program is the client.
  private func serve(
    _ row: SecuredEndings.Row, _ program: String, _ arguments: (UInt16) -> [String], _ body: (Child) throws -> Void
  ) throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let arguments = arguments(listener.localAddress.port ?? 0)
    try withChild(try #require(Programs.find(program)), arguments) { child throws in
      let connection = try listener.accept(within: .seconds(60))
      let ours = try connection.secured(as: .server(try server(row)), within: .seconds(60))
      try body(child)
      try check(ours, row, child) { child.closeInput() }
      if row.end == .notify { #expect(try child.wait() == .exited(0)) }
    }
    listener.close()
  }

  @Test("gnutls-cli", .needsProgram("gnutls-cli"), arguments: SecuredEndings.Row.all.filter { !$0.isClient })
  func gnutlsClient(_ row: SecuredEndings.Row) throws {
    try serve(row, "gnutls-cli") { port in
      [
        "--x509cafile", certificates.root, "--verify-hostname=localhost", "--priority",
        "NORMAL:-VERS-ALL:+VERS-TLS\(row.version)", "-p", "\(port)", "127.0.0.1",
      ]
    } _: {
      try $0.write(Self.last + "\n")
    }
  }

  @Test("openssl s_client", arguments: SecuredEndings.Row.all.filter { !$0.isClient })
  func opensslClient(_ row: SecuredEndings.Row) throws {
    try serve(row, "openssl") { port in
      [
        "s_client", "-connect", "127.0.0.1:\(port)", "-CAfile", certificates.root, "-verify_return_error", "-quiet",
        "-no_ign_eof", "-tls\(row.version.replacing(".", with: "_"))",
      ]
    } _: {
      try $0.write(Self.last + "\n")
    }
  }

  @Test(
    "curl, which waits for an answer", .needsProgram("curl"),
    arguments: SecuredEndings.Row.all.filter { !$0.isClient })
  func curl(_ row: SecuredEndings.Row) throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let port = listener.localAddress.port ?? 0
    let arguments = [
      "-sN", "--cacert", certificates.root, "--http1.0", "--max-time", "120", "--tlsv\(row.version)", "--tls-max",
      row.version, "--resolve", "localhost:\(port):127.0.0.1", "https://localhost:\(port)/",
    ]
    try withChild(try #require(Programs.find("curl")), arguments) { child throws in
      let connection = try listener.accept(within: .seconds(60))
      let ours = try connection.secured(as: .server(try server(row)), within: .seconds(60))
      while let line = try ours.receiveLine(within: .seconds(60)), !line.isEmpty {}
      if row.end == .notify {
        try ours.send("HTTP/1.0 200 OK\r\n\r\n" + Self.last)
        try finish(ours, row, last: nil)
        #expect(try child.readToEnd() == Self.last)
        #expect(try child.wait() == .exited(0))
      } else {
        try check(ours, row, child, last: nil)
      }
    }
    listener.close()
  }

  @Test("gnutls-serv", .needsProgram("gnutls-serv"), arguments: SecuredEndings.Row.all.filter(\.isClient))
  func gnutlsServer(_ row: SecuredEndings.Row) throws {
    // It takes no free port by itself, and gets one that was free a moment ago.
    let listener = try Listener.bind(.loopback(port: 0))
    let port = listener.localAddress.port ?? 0
    listener.close()
    let arguments = [
      "--echo", "--disable-client-cert", "--x509certfile", identity.certificates, "--x509keyfile", identity.key,
      "--priority", "NORMAL:-VERS-ALL:+VERS-TLS\(row.version)", "-p", "\(port)",
    ]
    try withChild(try #require(Programs.find("gnutls-serv")), arguments) { child throws in
      try eventually(within: .seconds(60), "gnutls-serv listens") {
        try KernelView.tcp(localPort: port).contains { $0.state == .listen }
      }
      let ours = try connect(port)
      try ours.send(Self.last + "\n")
      // It answers our close_notify with its own.
      if row.end == .notify { try finish(ours, row) } else { try check(ours, row, child) }
    }
  }

  // It never says close_notify when its input ends; SecuredRealPeers has the end of its pages.
  @Test("openssl s_server", arguments: SecuredEndings.Row.all.filter { $0.isClient && $0.end != .notify })
  func opensslServer(_ row: SecuredEndings.Row) throws {
    let arguments = [
      "s_server", "-accept", "127.0.0.1:0", "-cert", identity.certificates, "-key", identity.key,
      "-tls\(row.version.replacing(".", with: "_"))",
    ]
    try withChild(try #require(Programs.find("openssl")), arguments) { child throws in
      // ACCEPT 127.0.0.1:port
      var port: UInt16?
      while port == nil, let line = try child.readLine() {
        if line.hasPrefix("ACCEPT") { port = line.split(separator: ":").last.flatMap { UInt16($0) } }
      }
      let ours = try connect(try #require(port))
      try child.write(Self.last + "\n")
      try check(ours, row, child)
    }
  }

  private func connect(_ port: UInt16) throws -> Connection {
    let client = try TLSClient(trust: .roots(path: certificates.root))
    return try Connection.connect(to: .loopback(port: port)).secured(
      as: .client(for: "localhost", client), within: .seconds(60))
  }

  /// Receives the last line, ends first, and checks that the peer answers with its own close_notify.
  private func finish(
    _ ours: consuming Connection, _ row: SecuredEndings.Row, last: String? = Self.last
  ) throws {
    #expect(ours.tls?.version == "TLSv\(row.version)")
    if let last { #expect(try ours.receiveLine(within: .seconds(60)) == last) }
    let half = ours.finishSending()
    for _ in 0..<2 { #expect(try half.receive(upTo: 100, within: .seconds(60)) == nil, "\(row)") }
    let report = half.close()
    #expect(report.closeNotify == .init(sent: true, received: true) && report.isDelivered, "\(row): \(report)")
    #expect(report.ending == .peerFinished, "\(row): \(report)")
  }
}
#endif
