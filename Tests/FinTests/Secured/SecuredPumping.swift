#if TLS
import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Secured: a pump keeps the ends of secured connections", .needsProgram("openssl"), .onThreads)
struct SecuredPumping {
  private let certificates: Certificates

  init() throws { certificates = try Certificates() }

  /// Which sides of a relay are secured.
  struct Sides: Sendable, CustomTestStringConvertible {
    let client: Bool
    let server: Bool
    let path: PumpPath

    var testDescription: String {
      "client \(client ? "secured" : "plain"), server \(server ? "secured" : "plain"), \(path.rawValue)"
    }

    static let all = PumpPath.allCases.flatMap { path in
      [(true, false), (false, true), (true, true)].map { Sides(client: $0.0, server: $0.1, path: path) }
    }
  }

  /// A scene between two connections of Fin's, and what is seen in it.
  private typealias Scene = @Sendable (SharedConnection, SharedConnection) throws -> [String]

  private func link(_ isSecured: Bool) throws -> ConnectionPair {
    guard isSecured else { return try StreamKind.ipv4.connected() }
    return try securedPair(
      TLSServer(certificates.identity()), TLSClient(trust: .roots(path: certificates.root)))
  }

  /// Plays a scene over a direct secured connection, and through a pump.
  @discardableResult
  private func expectSame(_ sides: Sides, _ scene: @escaping Scene) throws -> PumpReport {
    let direct = try link(true)
    let (one, other) = (direct.first.share(), direct.second.share())
    let expected = onThread { try scene(one, other) }
    let near = try link(sides.client)
    let far = try link(sides.server)
    let (client, server) = (near.first.share(), far.second.share())
    let pump = RunningPump(sides.path, near.second, far.first)
    #expect(try scene(client, server) == expected.join())
    one.abort()
    other.abort()
    client.close()
    server.close()
    return try pump.join()
  }

  private static func drain(_ connection: SharedConnection) -> String {
    var bytes: [UInt8] = []
    var end = "end"
    do throws(SocketError) {
      while let more = try connection.receive(upTo: 1 << 16, within: .seconds(60)) { bytes += more }
    } catch { end = "\(error.cause)" }
    return "\(bytes.count) bytes, \(bytes == numbered(bytes.count)), \(end)"
  }

  @Test("a half-close, then an answer of 1 MB: close_notify counts as the FIN, each way", arguments: Sides.all)
  func halfClose(_ sides: Sides) throws {
    let report = try expectSame(sides) { client, server in
      try client.send(numbered(100))
      try client.finishSending()
      let question = Self.drain(server)
      let answer = onThread { Self.drain(client) }
      try server.send(numbered(1_000_000))
      try server.finishSending()
      return [question, try answer.join()]
    }
    #expect(report.forward == PumpedStream(bytes: 100, ending: .finished))
    #expect(report.backward == PumpedStream(bytes: 1_000_000, ending: .finished))
    #expect(report.isDelivered, "\(report.first), \(report.second)")
    #expect(report.first.closeNotify == (sides.client ? .init(sent: true, received: true) : nil))
    #expect(report.second.closeNotify == (sides.server ? .init(sent: true, received: true) : nil))
  }

  @Test("a reset after 10,000 bytes is a reset after 10,000 bytes, each way", arguments: Sides.all)
  func resets(_ sides: Sides) throws {
    let back = try expectSame(sides) { client, server in
      try server.send(numbered(10_000))
      let bytes = try client.receive(exactly: 10_000, within: .seconds(60))
      server.abort()
      return ["\(bytes == numbered(10_000))", Self.drain(client)]
    }
    #expect(back.backward == PumpedStream(bytes: 10_000, ending: .reset) && back.forward.ending == .undeliverable)
    let there = try expectSame(sides) { client, server in
      try client.send(numbered(10_000))
      let bytes = try server.receive(exactly: 10_000, within: .seconds(60))
      client.abort()
      return ["\(bytes == numbered(10_000))", Self.drain(server)]
    }
    #expect(there.forward == PumpedStream(bytes: 10_000, ending: .reset) && there.backward.ending == .undeliverable)
  }

  @Test("an answer 6 s after the client's end", arguments: Sides.all)
  func lateAnswer(_ sides: Sides) throws {
    let report = try expectSame(sides) { client, server in
      try client.finishSending()
      let question = Self.drain(server)
      let early = Result { () throws(SocketError) in try client.receive(upTo: 1, within: .seconds(6)) }.failure
      try server.send("late")
      try server.finishSending()
      return [question, "\(String(describing: early?.cause))", Self.drain(client)]
    }
    #expect(report.backward == PumpedStream(bytes: 4, ending: .finished) && report.isDelivered, "\(report)")
  }

  @Test("a server that ends with a question unread, and both after the other's reset", arguments: Sides.all)
  func unreadAndReset(_ sides: Sides) throws {
    try expectSame(sides) { client, server in
      try client.send(numbered(10_000))
      // Some of it is read, so that it has all arrived.
      let first = try server.receive(exactly: 1, within: .seconds(60))
      try server.send("no\n")
      let answer = try client.receive(exactly: 3, within: .seconds(60))
      server.abort()
      return ["\(first as Any) \(answer as Any)", Self.drain(client)]
    }
    for isBack in [false, true] {
      try expectSame(sides) { client, server in
        let (gone, other) = isBack ? (server, client) : (client, server)
        gone.abort()
        return (0..<2).map { _ -> String in
          // The reset may come while the first bytes are on their way.
          var cause: SocketError.Cause?
          while cause == nil {
            do throws(SocketError) { try other.send([1], within: .seconds(60)) } catch { cause = error.cause }
          }
          return cause.map { "\($0)" } ?? ""
        }
      }
    }
  }

  @Test("a stream without its close_notify: the other side is reset, after what came", arguments: Sides.all)
  func truncated(_ sides: Sides) throws {
    let near = try link(sides.client)
    let far = try link(sides.server)
    let (client, server) = (near.first.share(), far.second.share())
    let pump = RunningPump(sides.path, near.second, far.first)
    // The secured side is cut: FIN alone.
    let (cut, other) = sides.client ? (client, server) : (server, client)
    try cut.send(numbered(1000))
    #expect(try other.receive(exactly: 1000, within: .seconds(60)) == numbered(1000))
    try cut.withDescriptor { descriptor in _ = shutdown(descriptor.rawValue, CInt(SHUT_WR)) }
    #expect(Self.drain(other) == "0 bytes, true, \(SocketError.Cause.reset)")
    let report = try pump.join()
    let stream = sides.client ? report.forward : report.backward
    #expect(stream == PumpedStream(bytes: 1000, ending: .truncated), "\(report)")
    client.abort()
    server.abort()
  }

  @Test("a secured reader that is slow gets all that came before a reset", arguments: PumpPath.allCases)
  func deliveredFirst(_ path: PumpPath) throws {
    let near = try link(false)
    let far = try link(true)
    let (client, server) = (near.first.share(), far.second.share())
    let pump = RunningPump(path, near.second, far.first)
    let sender = onThread { () throws -> Bool in
      try client.send(numbered(400_000), within: .seconds(60))
      return true
    }
    _ = try sender.join()
    try eventually("the pump to have all", equals: 400_000) { pump.meter.bytesForward }
    client.abort()
    #expect(Self.drain(server) == "400000 bytes, true, \(SocketError.Cause.reset)")
    #expect(try pump.join().forward == PumpedStream(bytes: 400_000, ending: .reset))
    server.abort()
  }
}

extension Result {
  /// The error, if it is one.
  fileprivate var failure: Failure? {
    if case .failure(let error) = self { error } else { nil }
  }
}
#endif
