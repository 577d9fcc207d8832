#if TLS
import Glibc
import Peers
import TestTraits
import Testing

@testable import Fin

@Suite("Secured: other programs as peers", .needsProgram("openssl"), .onThreads)
struct SecuredRealPeers {
  private let certificates: Certificates

  init() throws { certificates = try Certificates() }

  /// Runs a program that connects, secures its connection as the server, and gives it to `body`.
  private func served(
    by program: String, _ arguments: (UInt16) -> [String], _ body: (consuming Connection, Child) throws -> Void
  ) throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let path = try #require(Programs.find(program))
    let server = try TLSServer(certificates.identity())
    let child = try Child.spawn(path, arguments(listener.localAddress.port ?? 0))
    defer { child.end() }
    let connection = try listener.accept(within: .seconds(30))
    listener.close()
    try body(try connection.secured(as: .server(server), within: .seconds(20)), child)
  }

  @Test("openssl s_client: its close_notify is the end, and ours ends it", arguments: ["-tls1_2", "-tls1_3"])
  func sClient(_ version: String) throws {
    try served(
      by: "openssl",
      { port in
        [
          "s_client", "-connect", "127.0.0.1:\(port)", "-CAfile", certificates.root, "-verify_return_error", "-quiet",
          "-no_ign_eof", version,
        ]
      }
    ) { connection, child throws in
      try child.write("a line\n")
      #expect(try connection.receiveLine(within: .seconds(20)) == "a line")
      try connection.send("an answer\n")
      #expect(try child.readLine(within: .seconds(20)) == "an answer")
      child.closeInput()
      #expect(try connection.receive(upTo: 10, within: .seconds(20)) == nil)
      let report = connection.close()
      #expect(report.closeNotify == .init(sent: true, received: true))
      #expect(report.ending == .peerFinished, "\(report)")
      #expect(try child.wait() == .exited(0))
    }
  }

  @Test("openssl s_client that is killed: FIN alone is a truncation")
  func killed() throws {
    try served(
      by: "openssl",
      { port in
        ["s_client", "-connect", "127.0.0.1:\(port)", "-CAfile", certificates.root, "-quiet"]
      }
    ) { connection, child throws in
      try child.write("half\n")
      #expect(try connection.receiveLine(within: .seconds(20)) == "half")
      child.end()
      let error = try refusal { () throws(SocketError) in try connection.receive(upTo: 10, within: .seconds(20)) }
      #expect(error.cause == .truncated, "\(error)")
      // The close_notify of this side meets a socket that is gone, and may be answered by a reset.
      let report = connection.close()
      #expect([.truncated, .reset, .discardedByPeer].contains(report.ending), "\(report)")
      #expect(report.closeNotify == .init(sent: true, received: false))
    }
  }

  @Test("openssl s_server: a client of Fin's reads its page to the true end", arguments: ["-tls1_2", "-tls1_3"])
  func sServer(_ version: String) throws {
    let identity = try certificates.identity()
    let path = try #require(Programs.find("openssl"))
    let arguments = [
      "s_server", "-accept", "127.0.0.1:0", "-cert", identity.certificates, "-key", identity.key, "-www", version,
    ]
    try withChild(path, arguments) { child throws in
      // ACCEPT 127.0.0.1:port
      var port: UInt16?
      while port == nil, let line = try child.readLine(within: .seconds(20)) {
        if line.hasPrefix("ACCEPT") { port = line.split(separator: ":").last.flatMap { UInt16($0) } }
      }
      let connection = try Connection.connect(to: .loopback(port: try #require(port)))
      let client = try TLSClient(trust: .roots(path: certificates.root))
      let ours = try connection.secured(as: .client(for: "localhost", client), within: .seconds(20))
      try ours.send("GET / HTTP/1.0\r\n\r\n")
      var page: [UInt8] = []
      while let more = try ours.receive(upTo: 1 << 16, within: .seconds(20)) { page += more }
      #expect(String(decoding: page, as: UTF8.self).contains("s_server"))
      let report = ours.close()
      #expect(report.closeNotify == .init(sent: true, received: true), "\(report)")
      #expect(report.ending == .peerFinished, "\(report)")
    }
  }

  @Test("curl reads a body without a length, and our report is whole", .needsProgram("curl"))
  func curl() throws {
    try served(
      by: "curl",
      { port in
        [
          "-s", "--cacert", certificates.root, "--http1.0", "--max-time", "30", "https://localhost:\(port)/",
          "--resolve", "localhost:\(port):127.0.0.1",
        ]
      }
    ) { connection, child throws in
      while let line = try connection.receiveLine(within: .seconds(20)), !line.isEmpty {}
      let body = String(repeating: "whole ", count: 50_000)
      let reading = onThread { () throws in try child.readToEnd() }
      try connection.send("HTTP/1.0 200 OK\r\n\r\n" + body)
      let report = connection.close(.lingering)
      #expect(report.isDelivered, "\(report)")
      #expect(report.closeNotify?.sent == true)
      #expect(try reading.join(within: .seconds(20)) == body)
      #expect(try child.wait() == .exited(0))
    }
  }

  @Test("curl says what it thinks of a certificate, and our error repeats its alert", .needsProgram("curl"))
  func curlRefuses() throws {
    let listener = try Listener.bind(.loopback(port: 0))
    let server = try TLSServer(certificates.identity(.otherRoot))
    let arguments = [
      "-s", "--cacert", certificates.root, "--max-time", "30", "https://localhost:\(listener.localAddress.port ?? 0)/",
      "--resolve", "localhost:\(listener.localAddress.port ?? 0):127.0.0.1",
    ]
    try withChild(try #require(Programs.find("curl")), arguments) { child throws in
      let connection = try listener.accept(within: .seconds(30))
      let error = failure(securing: connection, as: .server(server))
      #expect(says(error, "it does not trust the issuer"), "\(String(describing: error))")
      #expect(try child.wait() == .exited(60))
    }
    listener.close()
  }
}
#endif
