#if TLS
import Glibc
import Peers
import Synchronization
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Secured: a server secures its clients before their handlers", .needsProgram("openssl"), .onThreads)
struct SecuredServing {
  private let certificates: Certificates
  private let client: TLSClient

  init() throws {
    certificates = try Certificates()
    client = try TLSClient(trust: .roots(path: certificates.root))
  }

  /// The settings of a server, which a test may replace while it runs, and the failures that it reported.
  private final class Settings: Sendable {
    private let value: Mutex<TLSServer>
    let failures = Mutex<[SocketError]>([])
    init(_ value: TLSServer) { self.value = Mutex(value) }
    var current: TLSServer {
      get { value.withLock { $0 } }
      set { value.withLock { $0 = newValue } }
    }
  }

  /// A server that answers a line with the name that its client asked for, and with its proxied address.
  private struct Server {
    let port: UInt16
    var endpoint: Endpoint { Endpoint(host: "localhost", port: port) }
    let settings: Settings
    let stop: (Timeout) throws -> ServerReport

    init(
      _ world: ServingWorld, _ tls: TLSServer, threads: Int = 4, timeouts: Timeouts = .default,
      limits: ServerLimits = .default
    ) throws {
      let owner = Keeper(try Listener.bind(.loopback(port: 0), timeouts: timeouts))
      let settings = Settings(tls)
      let onFailure: @Sendable (HandlerFailure) -> Void = { failure in
        if let error = failure.error as? SocketError { settings.failures.withLock { $0.append(error) } }
      }
      let join: () throws -> ServerReport
      switch world {
      case .threads:
        let thread = onThread {
          owner.listener.serve(
            securing: settings.current, threads: threads, limits: limits, onFailure: onFailure
          ) { connection in
            let line = try connection.receiveLine() ?? ""
            let original = connection.originalAddress.map { " \($0)" } ?? ""
            try connection.send("\(line) \(connection.tls?.serverName ?? "?")\(original)\n")
          }
        }
        join = { try thread.join(within: .seconds(30)) }
      case .tasks:
        let reactor = try Reactor(loops: 2)
        let task = Working(on: reactor.executor) {
          await owner.listener.serve(
            securing: settings.current, on: reactor, limits: limits, onFailure: onFailure
          ) { connection in
            let line = try await connection.receiveLine() ?? ""
            let original = connection.originalAddress.map { " \($0)" } ?? ""
            try await connection.send("\(line) \(connection.tls?.serverName ?? "?")\(original)\n")
          }
        }
        join = { try task.join(within: .seconds(30)) }
      }
      self.settings = settings
      port = owner.listener.localAddress.port!
      stop = { time in
        owner.listener.stop(within: time)
        return try join()
      }
    }
  }

  private func ask(_ endpoint: Endpoint, _ question: String = "who") throws -> (String?, CloseReport) {
    try withConnection(to: endpoint, securing: client, named: "localhost") { connection in
      try connection.send("\(question)\n")
      return try connection.receiveLine(within: .seconds(20))
    }
  }

  @Test(
    "clients are served, in threads and in tasks, and both reports say a clean end", arguments: ServingWorld.allCases)
  func served(_ world: ServingWorld) async throws {
    let server = try Server(world, TLSServer(certificates.identity()))
    for _ in 0..<3 {
      let (line, end) = try synchronously { try ask(server.endpoint) }
      #expect(line == "who localhost")
      #expect(end.ending == .peerFinished)
      #expect(end.closeNotify == .init(sent: true, received: true))
    }
    let (line, end) = try await withConnection(to: server.endpoint, securing: client) { connection in
      try await connection.send("task\n")
      return try await connection.receiveLine(within: .seconds(20))
    }
    #expect(line == "task localhost" && end.ending == .peerFinished)
    let report = try synchronously { try server.stop(.seconds(10)) }
    #expect(report.endings == [.peerFinished: 4], "\(report)")
    #expect(report.securingsFailed == 0 && report.handlersFailed == 0)
  }

  @Test("a handshake that fails reaches no handler, and is counted apart", arguments: ServingWorld.allCases)
  func failed(_ world: ServingWorld) throws {
    let server = try Server(world, TLSServer(certificates.identity()))
    let address = SocketAddress.loopback(port: server.port)
    let plain = try Connection.connect(to: address)
    try plain.send("GET / HTTP/1.0\r\n\r\n")
    let refused = failure(
      securing: try Connection.connect(to: address), as: .client(for: "elsewhere.example", client))
    #expect(says(refused, "and not for elsewhere.example"), "\(String(describing: refused))")
    #expect(try ask(server.endpoint).0 == "who localhost")
    try eventually("both failures are reported") { server.settings.failures.withLock { $0.count == 2 } }
    let both = server.settings.failures.withLock { $0 }
    #expect(both.allSatisfy { if case .tls = $0.cause { true } else { false } }, "\(both)")
    let report = try server.stop(.seconds(10))
    #expect(report.securingsFailed == 2 && report.handlersFailed == 0, "\(report)")
    #expect("\(report)".contains("; 2 not secured (last secure "), "\(report)")
    #expect(report.served == 3 && report.endings[.peerFinished] == 1, "\(report)")
    plain.abort()
  }

  @Test(
    "a client that stalls in its handshake is aborted in the handshake's time, and others are served meanwhile",
    arguments: ServingWorld.allCases)
  func stalled(_ world: ServingWorld) throws {
    let server = try Server(
      world, TLSServer(certificates.identity()), threads: 2, timeouts: Timeouts(handshake: .milliseconds(500)))
    let stalled = try Connection.connect(to: .loopback(port: server.port))
    try stalled.send([0x16, 3, 1])
    #expect(try ask(server.endpoint).0 == "who localhost")
    let error = try refusal { () throws(SocketError) in try stalled.receive(upTo: 1, within: .seconds(20)) }
    #expect(error.cause == .reset)
    let report = try server.stop(.seconds(10))
    #expect(report.securingsFailed == 1 && report.lastSecuringFailure?.cause == .timedOut, "\(report)")
    stalled.abort()
  }

  @Test("a renewed certificate is shown to the clients that come after it", arguments: ServingWorld.allCases)
  func renewed(_ world: ServingWorld) throws {
    let server = try Server(world, TLSServer(certificates.identity()))
    func key() throws -> String? {
      try withConnection(to: server.endpoint, securing: client) { connection in
        connection.tls?.peerCertificate?.keyFingerprint
      }.result
    }
    let first = try key()
    #expect(try key() == first)
    server.settings.current = try TLSServer(certificates.identity())
    let second = try key()
    #expect(second != nil && second != first)
    _ = try server.stop(.seconds(10))
  }

  @Test(
    "behind a proxy, the handshake begins behind the header, in the same segment or not",
    arguments: ServingWorld.allCases, [true, false])
  func proxied(_ world: ServingWorld, _ isTogether: Bool) throws {
    let limits = ServerLimits(proxies: [try #require(AddressPrefix("127.0.0.0/8"))])
    let server = try Server(world, TLSServer(certificates.identity()), limits: limits)
    let plain = try Connection.connect(to: .loopback(port: server.port))
    // With the cork, the kernel waits 200 ms for a full segment: the header and the hello go together.
    var one: CInt = 1
    try plain.withDescriptor { descriptor in
      guard isTogether else { return }
      #expect(
        unsafe setsockopt(descriptor.rawValue, CInt(IPPROTO_TCP), TCP_CORK, &one, socklen_t(MemoryLayout<CInt>.size))
          == 0)
    }
    try plain.send("PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n")
    let ours = try plain.secured(as: .client(for: "localhost", client), within: .seconds(20))
    try ours.send("who\n")
    #expect(try ours.receiveLine(within: .seconds(20)) == "who localhost 192.0.2.1:56324")
    ours.close()
    let report = try server.stop(.seconds(10))
    #expect(report.securingsFailed == 0 && report.proxiesRefused == 0, "\(report)")
  }

  @Test("the name of an endpoint's host is the name that the certificate must have")
  func names() throws {
    #expect(Endpoint("example.net:443").hostName == "example.net")
    #expect(Endpoint("192.0.2.7:443").hostName == "192.0.2.7")
    #expect(Endpoint("[fe80::1%7]:443").hostName == "fe80::1")
    #expect(Endpoint(":443").hostName == "localhost")
    #expect(Endpoint("/run/x.sock").hostName == nil)
    let other = try Server(.threads, TLSServer(certificates.identity(.otherAddress)))
    let error = #expect(throws: SocketError.self) {
      try withConnection(to: Endpoint(host: "127.0.0.1", port: other.port), securing: client) { _ in }
    }
    #expect(says(error, "and not for 127.0.0.1"), "\(String(describing: error))")
    _ = try other.stop(.seconds(10))
  }
}
#endif
