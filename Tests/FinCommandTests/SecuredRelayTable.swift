#if TLS
import Fin
import Glibc
import Peers
import SystemPackage
import TestTraits
import Testing

@testable import FinCommand

@Suite(
  "Secured: fin relay with TLS on either side gives what a direct secured connection gives",
  .enabled(if: Programs.find("openssl") != nil, "needs the program openssl on PATH"), .onThreads,
  .timeLimit(.minutes(30)))
struct SecuredRelayTable {
  /// Which sides of the relay are secured.
  struct Sides: Sendable, CustomTestStringConvertible {
    let client: Bool
    let server: Bool

    var testDescription: String { "client \(client ? "secured" : "plain"), server \(server ? "secured" : "plain")" }

    static let all = [(true, false), (false, true), (true, true)].map { Sides(client: $0.0, server: $0.1) }
  }

  /// The events between the two ends, and the view of each of them.
  struct Scene: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let play: @Sendable (SharedConnection, SharedConnection) throws -> [String]

    static let all = [
      Scene(testDescription: "a half-close, then an answer of 1 MB") { client, server in
        try client.send(numbered(100), within: .seconds(60))
        try client.finishSending()
        let question = Self.drain(server)
        let answer = onThread { Self.drain(client) }
        try server.send(numbered(1_000_000), within: .seconds(60))
        try server.finishSending()
        return [question, try answer.join()]
      },
      Scene(testDescription: "an answer 6 s after the client's end") { client, server in
        try client.finishSending()
        let question = Self.drain(server)
        var early = "bytes"
        do throws(SocketError) { _ = try client.receive(upTo: 1, within: .seconds(6)) } catch {
          early = "\(error.cause)"
        }
        try server.send("late")
        try server.finishSending()
        return [question, early, Self.drain(client)]
      },
      Scene(testDescription: "the server resets after 10,000 bytes") { client, server in
        try server.send(numbered(10_000))
        let bytes = try client.receive(exactly: 10_000, within: .seconds(60))
        server.abort()
        return ["\(bytes == numbered(10_000))", Self.drain(client)]
      },
      Scene(testDescription: "the client resets after 10,000 bytes") { client, server in
        try client.send(numbered(10_000))
        let bytes = try server.receive(exactly: 10_000, within: .seconds(60))
        client.abort()
        return ["\(bytes == numbered(10_000))", Self.drain(server)]
      },
      Scene(testDescription: "the server ends with a question unread") { client, server in
        try client.send(numbered(10_000))
        let first = try server.receive(exactly: 1, within: .seconds(60))
        try server.send("no\n")
        let answer = try client.receive(exactly: 3, within: .seconds(60))
        server.abort()
        return ["\(String(describing: first)) \(String(describing: answer))", Self.drain(client)]
      },
      Scene(testDescription: "sending to a client that reset") { client, server in
        client.abort()
        return [Self.failureOfSend(server), Self.failureOfSend(server)]
      },
    ]

    private static func drain(_ connection: SharedConnection) -> String {
      var bytes: [UInt8] = []
      var end = "end"
      do throws(SocketError) {
        while let more = try connection.receive(upTo: 1 << 16, within: .seconds(60)) { bytes += more }
      } catch { end = "\(error.cause)" }
      return "\(bytes.count) bytes, \(bytes == numbered(bytes.count)), \(end)"
    }

    /// The error of the first send that fails.
    private static func failureOfSend(_ connection: SharedConnection) -> String {
      while true {
        do throws(SocketError) { try connection.send([1], within: .seconds(60)) } catch { return "\(error.cause)" }
      }
    }
  }

  /// The certificate of all servers here, in a folder.
  private static func certificate(_ scratch: Scratch) async throws {
    let words =
      "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost -addext "
      + "subjectAltName=DNS:localhost,IP:127.0.0.1 -out \(scratch.path)/it.pem -keyout \(scratch.path)/it.key"
    let made = try await Fin.run(program: "openssl", words.split(separator: " ").map(String.init))
    #expect(made.status == 0, "\(made.complaints)")
  }

  /// Connects to a port, and accepts at the listener.
  private static func link(
    to port: UInt16, _ listener: borrowing Listener, _ sides: Sides, _ folder: String
  ) throws -> (client: SharedConnection, server: SharedConnection) {
    let trust = try TLSClient(trust: .roots(path: folder + "/it.pem"))
    let settings = try TLSServer(.init(certificates: folder + "/it.pem", key: folder + "/it.key"))
    let client = try Connection.connect(to: .loopback(port: port), within: .seconds(60))
    let securing = onThread(taking: client) { client throws in
      if !sides.client { return client.share() }
      return try client.secured(as: .client(for: "localhost", trust), within: .seconds(60)).share()
    }
    let accepted = try listener.accept(within: .seconds(60))
    let server =
      sides.server ? try accepted.secured(as: .server(settings), within: .seconds(60)).share() : accepted.share()
    return (try securing.join(), server)
  }

  @Test("each scene", arguments: Scene.all, Sides.all)
  func each(_ scene: Scene, _ sides: Sides) async throws {
    let scratch = try Scratch()
    try await Self.certificate(scratch)
    let folder = scratch.path
    try synchronously { () throws in
      let listener = try Listener.bind(.loopback(port: 0))
      let target = listener.localAddress.port!
      var words = ["relay", "127.0.0.1:0", "127.0.0.1:\(target)", "--json"]
      if sides.client { words += ["--tls", "--cert", folder + "/it.pem", "--key", folder + "/it.key"] }
      if sides.server { words += ["--target-tls", "--target-name", "localhost", "--target-ca", folder + "/it.pem"] }
      let relay = try Talker(words)
      let port = try Relaying.port(of: relay)
      let direct = try Self.link(to: target, listener, Sides(client: true, server: true), folder)
      let expected = onThread { try scene.play(direct.client, direct.server) }
      let relayed = try Self.link(to: port, listener, sides, folder)
      let seen = try scene.play(relayed.client, relayed.server)
      #expect(try seen == expected.join())
      for connection in [direct.client, direct.server, relayed.client, relayed.server] { connection.abort() }
      let line = try relay.child.readLine(within: .seconds(60)) ?? ""
      #expect(line.contains(#""event":"ended""#), "\(line)")
      listener.close()
    }
  }
}
#endif
