#if TLS
import Glibc
import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Secured: a pool of secured connections", .needsProgram("openssl"), .onThreads, .timeLimit(.minutes(30)))
struct SecuredPool {
  private let certificates: Certificates
  private let client: TLSClient

  init() throws {
    certificates = try Certificates()
    client = try TLSClient(trust: .roots(path: certificates.root))
  }

  /// How the server ends its first connection, on a signal.
  enum End: CaseIterable { case notify, finAlone }

  /// A server that answers lines, and ends its first connection as the test wants, before it reads the next line.
  private final class Server: Sendable {
    let port: UInt16
    private let owner: Keeper
    private let word = Flag()
    private let lines = Mutex<[String]>([])
    private let connections = Tally()
    private let thread = Kept<Joining<ServerReport>>()

    init(_ tls: TLSServer, _ end: End?) throws {
      owner = Keeper(try Listener.bind(.loopback(port: 0)))
      port = owner.listener.localAddress.port!
      let (owner, word) = (owner, word)
      thread.value = onThread { [self] in
        owner.listener.serve(securing: tls, threads: 4, closing: .background) { connection in
          let isFirst = self.connections.add() == 1
          while true {
            guard let line = try connection.receiveLine() else { return }
            self.lines.withLock { $0.append(line) }
            try connection.send("you said \(line)\n")
            guard isFirst, let end, line == "last" else { continue }
            while !word.isSet { usleep(200) }
            switch end {
            case .notify: return
            case .finAlone:
              _ = try connection.withDescriptor { shutdown($0.rawValue, CInt(SHUT_RDWR)) }
              // The client has ended its side when this returns.
              usleep(200_000)
              return
            }
          }
        }
      }
    }

    var heard: [String] { lines.withLock { $0 } }
    var count: Int { connections.value }
    func act() { word.set() }

    func stop() throws {
      owner.listener.handle.stop(within: .seconds(5))
      _ = try thread.value?.join()
    }
  }

  private struct NoLine: Error {}

  private func ask(_ line: String, on connection: borrowing Connection) throws {
    try connection.send("\(line)\n")
    guard try connection.receiveLine() == "you said \(line)" else { throw NoLine() }
  }

  @Test("one handshake serves many requests: session tickets are no unasked bytes")
  func reuse() throws {
    let server = try Server(try TLSServer(certificates.identity()), nil)
    let pool = ConnectionPool(to: Endpoint(host: "localhost", port: server.port), securing: client)
    for number in 0..<20 { try pool.withConnection { try ask("\(number)", on: $0) } }
    #expect(server.count == 1)
    let report = synchronously { pool.close() }
    #expect(report.reused == 19 && report.retired == [.closing: 1] && report.open == 0, "\(report)")
    try server.stop()
  }

  @Test("a server that is not the wanted one fails the dial, and the caller gets that error")
  func otherName() throws {
    let server = try Server(try TLSServer(certificates.identity(.otherName)), nil)
    let pool = ConnectionPool(to: Endpoint(host: "localhost", port: server.port), securing: client)
    let error = #expect(throws: SocketError.self) { try pool.withConnection { try ask("never", on: $0) } }
    guard case .unverified? = error?.cause else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(synchronously { pool.close() }.dialsFailed == 1 && server.heard.isEmpty)
    try server.stop()
  }

  @Test(
    "close_notify before the request: it is sent again; a FIN alone, which anything on the path can forge: it is not",
    arguments: End.allCases)
  func raced(_ end: End) throws {
    let server = try Server(try TLSServer(certificates.identity()), end)
    let pool = ConnectionPool(to: Endpoint(host: "localhost", port: server.port), securing: client)
    try pool.withConnection { try ask("first", on: $0) }
    try pool.withConnection { try ask("last", on: $0) }
    let bodies = Tally()
    let outcome = Result {
      try pool.withConnection { connection in
        if bodies.add() == 1 {
          server.act()
          try eventually("the server's FIN", equals: .closeWait) { try connection.tcpState() }
        }
        try ask("raced", on: connection)
      }
    }
    switch end {
    case .notify:
      try outcome.get()
      #expect(server.heard == ["first", "last", "raced"])
    case .finAlone:
      #expect(throws: (any Error).self) { try outcome.get() }
      #expect(server.heard == ["first", "last"])
    }
    let report = synchronously { pool.close() }
    #expect(report.repeatedUndelivered == (end == .notify ? 1 : 0) && report.failed == 1, "\(report)")
    try server.stop()
  }
}
#endif
