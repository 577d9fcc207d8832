#if TLS
import Glibc
import Peers
import TestTraits
import Testing

@testable import Fin

@Suite("Secured: the table of endings against other languages, in both roles", .needsProgram("openssl"), .onThreads)
struct SecuredEndingsElsewhere {
  private let certificates: Certificates
  private let identity: TLSIdentity

  init() throws {
    certificates = try Certificates()
    identity = try certificates.identity()
  }

  /// Plays one row with the program, and checks what Fin makes of its end.
  ///
  /// - Returns: what the program heard of Fin's end, in its own words.
  private func play(_ row: SecuredEndings.Row, _ program: OtherProgram) throws -> String? {
    let child = program.child
    let meeting = try meet(row, child)
    let ours = try meeting.connection.secured(as: meeting.role, within: .seconds(20))
    #expect(ours.tls?.version == "TLSv\(row.version)")
    #expect(try ours.receive(exactly: 17, within: .seconds(20)) == Array("DELETE FROM users".utf8), "\(row)")
    try child.write("end\n")
    for _ in 0..<2 {
      do throws(SocketError) {
        #expect(try ours.receive(upTo: 100, within: .seconds(20)) == nil, "\(row)")
        #expect(row.end == .notify, "\(row)")
      } catch { #expect(error.cause == row.end.cause, "\(row): \(error)") }
    }
    let report = ours.close()
    #expect(report.closeNotify?.received == (row.end == .notify), "\(row): \(report)")
    if row.end == .notify { #expect(report.ending == .peerFinished && report.isDelivered, "\(row): \(report)") }
    if row.end == .rst { #expect(!report.isDelivered, "\(row): \(report)") }
    return try child.readLine(within: .seconds(20))
  }

  private struct Meeting: ~Copyable {
    let role: TLSRole
    let connection: Connection
  }

  private func meet(_ row: SecuredEndings.Row, _ child: Child) throws -> Meeting {
    let asked = "\(row.isClient ? "server" : "client") \(row.version) \(row.end.word)"
    if row.isClient {
      try child.write("\(asked) 0\n")
      guard let port = UInt16(try child.readLine(within: .seconds(30)) ?? "") else { throw RigError("no port: \(row)") }
      let client = try TLSClient(trust: .roots(path: certificates.root))
      return Meeting(
        role: .client(for: "localhost", client), connection: try Connection.connect(to: .loopback(port: port)))
    }
    let listener = try Listener.bind(.loopback(port: 0))
    try child.write("\(asked) \(listener.localAddress.port ?? 0)\n")
    let connection = try listener.accept(within: .seconds(30))
    listener.close()
    return Meeting(role: .server(try TLSServer(identity)), connection: connection)
  }

  @Test("Go", .needsProgram("go"))
  func go() throws {
    let program = try OtherProgram.go(certificates, identity)
    for row in SecuredEndings.Row.all {
      // Go's reader hears the end of the data.
      #expect(try play(row, program) == (row.end == .rst ? "gone" : "heard <nil>"), "\(row)")
    }
  }

  @Test("Java", .needsProgram("java"), .needsProgram("javac"))
  func java() throws {
    let program = try OtherProgram.java(certificates, identity)
    for row in SecuredEndings.Row.all {
      #expect(try play(row, program) == (row.end == .rst ? "gone" : "heard end"), "\(row)")
    }
  }

  @Test("Node", .needsProgram("node"))
  func node() throws {
    let program = try OtherProgram.node(certificates, identity)
    for row in SecuredEndings.Row.all {
      if row.end == .rst {
        // Node cannot reset a secured socket. Its kernel does when it is killed with bytes unread.
        try playKilled(row, try OtherProgram.node(certificates, identity))
      } else {
        #expect(try play(row, program) == (row.end == .notify ? "heard end" : "heard nothing"), "\(row)")
      }
    }
  }

  /// Plays a row of a reset with a program that is stopped, so that it does not read, and then killed.
  private func playKilled(_ row: SecuredEndings.Row, _ program: OtherProgram) throws {
    let child = program.child
    let meeting = try meet(row, child)
    let ours = try meeting.connection.secured(as: meeting.role, within: .seconds(60))
    #expect(ours.tls?.version == "TLSv\(row.version)")
    #expect(try ours.receive(exactly: 17, within: .seconds(60)) == Array("DELETE FROM users".utf8), "\(row)")
    child.stop()
    try ours.send("never read\n")
    try eventually("the peer's kernel to have it", equals: 0) { try ours.bytesUnacknowledged() }
    child.end()
    for _ in 0..<2 {
      let error = try refusal { () throws(SocketError) in try ours.receive(upTo: 100, within: .seconds(60)) }
      #expect(error.cause == .reset, "\(row): \(error)")
    }
    #expect(!ours.close().isDelivered, "\(row)")
  }
}
#endif
