#if TLS
import Peers
import TestTraits
import Testing

@testable import Fin

@Suite(
  "Secured: the end of a stream is true", .needsProgram("openssl"), .needsProgram("python3"), .onThreads)
struct SecuredEndings {
  private let certificates: Certificates

  init() throws { certificates = try Certificates() }

  /// A row of the table of endings.
  struct Row: Sendable, CustomTestStringConvertible {
    let end: PeerEnd
    let version: String
    let isClient: Bool

    var testDescription: String { "\(end.rawValue), TLS \(version), Fin as \(isClient ? "client" : "server")" }

    static let all = PeerEnd.allCases.flatMap { end in
      ["1.2", "1.3"].flatMap { version in
        [true, false].map { Row(end: end, version: version, isClient: $0) }
      }
    }

    func start(_ certificates: Certificates) throws -> PythonTLS.Started {
      try PythonTLS.start("ending", certificates, asServer: isClient, version: version, end: end)
    }

    var ending: Ending {
      switch end {
      case .notify: .peerFinished
      case .fin: .truncated
      case .rst: .discardedByPeer
      }
    }
  }

  private func check(_ report: CloseReport, _ row: Row) {
    // A reset may come before or after the acknowledgement of our own end.
    #expect(report.ending == row.ending || row.end == .rst && report.ending == .reset, "\(report)")
    #expect(report.closeNotify?.received == (row.end == .notify))
    #expect(report.closeNotify?.sent == true || row.end == .rst)
    #expect(report.isDelivered == (row.end != .rst))
  }

  @Test("in a thread, the end that the peer gave is the end that is read, and stays it", arguments: Row.all)
  func inThread(_ row: Row) throws {
    let started = try row.start(certificates)
    let child = started.child
    let connection = try started.connection.secured(as: started.role, within: .seconds(20))
    #expect(connection.tls?.version == "TLSv\(row.version)")
    #expect(try connection.receive(exactly: 17, within: .seconds(20)) == Array("DELETE FROM users".utf8))
    try child.write("end\n")
    for _ in 0..<3 {
      do throws(SocketError) {
        #expect(try connection.receive(upTo: 100, within: .seconds(20)) == nil)
        #expect(row.end == .notify)
      } catch { #expect(error.cause == row.end.cause, "\(error)") }
    }
    let report = connection.close()
    check(report, row)
    #expect(report.bytesDiscarded == 0)
    if row.end != .rst { #expect(try child.readLine(within: .seconds(20)) == "close_notify") }
    #expect(try child.wait() == .exited(0))
  }

  @Test("in a task, too", arguments: Row.all)
  func inTask(_ row: Row) async throws {
    let started = try row.start(certificates)
    let child = started.child
    let connection = try await started.connection.secured(as: started.role, within: .seconds(20))
    #expect(try await connection.receive(exactly: 17, within: .seconds(20)) == Array("DELETE FROM users".utf8))
    try child.write("end\n")
    for _ in 0..<3 {
      do throws(SocketError) {
        #expect(try await connection.receive(upTo: 100, within: .seconds(20)) == nil)
        #expect(row.end == .notify)
      } catch { #expect(error.cause == row.end.cause, "\(error)") }
    }
    let report = await connection.close()
    check(report, row)
    #expect(report.bytesDiscarded == 0)
    if row.end != .rst { #expect(try child.readLine(within: .seconds(20)) == "close_notify") }
    #expect(try child.wait() == .exited(0))
  }

  @Test("a close without reading tells the end as well", arguments: Row.all)
  func closing(_ row: Row) throws {
    let started = try row.start(certificates)
    let connection = try started.connection.secured(as: started.role, within: .seconds(20))
    try started.child.write("end\n")
    let report = connection.close(.lingering(within: .seconds(20), idle: .seconds(20), discarding: 1000))
    check(report, row)
    if row.end != .rst {
      #expect(report.bytesDiscarded == 17)
      #expect(try started.child.readLine(within: .seconds(20)) == "close_notify")
    }
  }

  @Test("a half-close keeps the answer", arguments: ["1.2", "1.3"], [true, false])
  func halfClose(_ version: String, _ isClient: Bool) throws {
    let started = try PythonTLS.start("answer", certificates, asServer: isClient, version: version)
    let connection = try started.connection.secured(as: started.role, within: .seconds(20))
    try connection.send([UInt8](repeating: 7, count: 500_000))
    let half = connection.finishSending()
    var count = 0
    while let more = try half.receive(upTo: 1 << 16, within: .seconds(20)) { count += more.count }
    #expect(count == 500_000)
    #expect(half.close().ending == .peerFinished)
    #expect(try started.child.readLine(within: .seconds(20)) == "500000")
  }

  @Test("tickets that lie unread: a peer that reads late gets a million bytes whole, 20 of 20 times")
  func tickets() throws {
    let started = try PythonTLS.start("late", certificates, asServer: true)
    let peer = started.connection.remoteAddress
    let address = try #require(peer)
    let (child, role) = (started.child, started.role)
    var connection = try started.connection.secured(as: role, within: .seconds(20))
    for round in 1...20 {
      try connection.send([UInt8](repeating: 7, count: 1 << 20), within: .seconds(20))
      let report = connection.close()
      #expect(report.ending == .peerFinished, "\(report)")
      #expect(report.closeNotify == .init(sent: true, received: true))
      #expect(report.bytesDiscarded == 0)
      #expect(try child.readLine(within: .seconds(20)) == "1048576 close_notify", "round \(round)")
      connection = try Connection.connect(to: address).secured(as: role, within: .seconds(20))
    }
    connection.abort()
  }
}
#endif
