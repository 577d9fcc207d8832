import Peers
import SystemPackage
import TestTraits
import Testing

@testable import Fin

@Suite("Connecting to the first of several endpoints that answers", .onThreads, .timeLimit(.minutes(30)))
struct FirstOfTests {
  /// Connects in a thread or in a task, and returns the peer's port.
  private func port(of endpoints: [Endpoint], inTask isInTask: Bool) throws -> UInt16? {
    guard isInTask else {
      let connection = try Connection.connect(toFirstOf: endpoints, within: .seconds(60))
      let port = connection.remoteAddress?.port
      connection.abort()
      return port
    }
    return try errand { () async throws -> UInt16? in
      let connection = try await Connection.connect(toFirstOf: endpoints, within: .seconds(60))
      let port = connection.remoteAddress?.port
      connection.abort()
      return port
    }.join()
  }

  private func endpoint(_ port: UInt16) throws -> Endpoint { try Endpoint(parsing: "127.0.0.1:\(port)") }

  @Test("with all alive, the first one takes the connection; when it refuses, the next one", arguments: [false, true])
  func order(inTask isInTask: Bool) throws {
    let first = try PlainSocket.listening()
    let second = try PlainSocket.listening()
    let third = try PlainSocket.listening()
    let endpoints = try [first.port, second.port, third.port].map(endpoint)
    let ports = (first.port, second.port)
    #expect(try port(of: endpoints, inTask: isInTask) == ports.0)
    first.close()
    #expect(try port(of: endpoints, inTask: isInTask) == ports.1)
  }

  @Test("when none answers, the error has an attempt for each, in order; without an endpoint it is refused")
  func none() throws {
    let endpoints = try [1, 2].map { try endpoint($0) }
    let error = try refusal { () throws(SocketError) in
      try Connection.connect(toFirstOf: endpoints, within: .seconds(60))
    }
    #expect(error.cause == .system(.connectionRefused))
    #expect(error.attempts.map(\.address.port) == [1, 2])
    let empty = try refusal { () throws(SocketError) in try Connection.connect(toFirstOf: []) }
    #expect(empty.cause == .invalid("there is no endpoint to connect to"))
  }

  @Test(
    "a PROXY header that is written is one that is read, with the same client",
    arguments: [
      ("192.0.2.7:4433", "10.0.0.1:80", "192.0.2.7:4433", 28),
      ("[2001:db8::1]:4433", "[::1]:80", "[2001:db8::1]:4433", 52),
      ("192.0.2.7:4433", "[::1]:80", "[::ffff:192.0.2.7]:4433", 52),
    ])
  func header(_ client: String, _ server: String, _ told: String, _ length: Int) throws {
    let bytes = ProxyAnnouncement.header(
      client: try SocketAddress(parsing: client), server: try SocketAddress(parsing: server))
    #expect(bytes.count == length)
    let read = ProxyHeader(reading: (bytes + [1, 2])[...])
    #expect(try read == .header(length: length, client: SocketAddress(parsing: told)))
    let unknown = ProxyAnnouncement.header(client: .unix(.unnamed), server: nil)
    #expect(ProxyHeader(reading: unknown[...]) == .header(length: 16, client: nil))
  }
}
