import ArgumentParser
import Fin
import FinBase
import Glibc

/// A service that needs no program.
enum BuiltInService: String, EnumerableFlag {
  case echo, discard, chargen

  static func help(for value: BuiltInService) -> ArgumentHelp? {
    switch value {
    case .echo: "Send back what a client sends (RFC 862)."
    case .discard: "Receive what a client sends, and drop it (RFC 863)."
    case .chargen: "Send characters until the client finishes (RFC 864)."
    }
  }
}

/// A connection that was served, and its end.
struct ServedConnection: Sendable {
  /// The address of the client; for a Unix socket, its process.
  var client = "unknown"
  /// The client for which a proxy speaks.
  var original: String?
  var bytesReceived = 0
  var bytesSent = 0
  /// The reason for which it was ended early.
  var reason: String?
  var program: ProgramReport?
  /// The results of the handshake of TLS.
  var secured: SecuredFacts?
  var close = CloseReport(ending: .background)
  var nanoseconds: Int64 = 0
}

/// The conversation with a client, by one of the services, to its end.
struct ServeConversation: Sendable {
  enum Service: Sendable {
    case builtIn(BuiltInService)
    /// The command, and the signal mask that it begins with.
    case program([String], sigset_t)
  }

  let service: Service
  let idle: TimeSpan
  let whole: TimeSpan?
  let closing: ClosePolicy

  /// Serves a client, after the handshake of TLS if there is one.
  func serve(
    _ connection: consuming Connection,
    _ securing: (@Sendable (consuming Connection) throws(SocketError) -> Connection)?, _ server: ServeStop
  ) -> ServedConnection {
    guard let securing else { return serve(connection.share(), server) }
    let clock = IdleClock(idle: idle, whole: whole)
    let name = connection.remoteAddress.map { "\($0)" } ?? "unknown"
    do throws(SocketError) { return serve(try securing(connection).share(), server) } catch {
      var served = ServedConnection(client: name, reason: Self.reason(for: error))
      served.close = CloseReport(ending: .aborted)
      served.nanoseconds = clock.age
      return served
    }
  }

  private func serve(_ client: SharedConnection, _ server: ServeStop) -> ServedConnection {
    let clock = IdleClock(idle: idle, whole: whole)
    var served = ServedConnection(client: Self.name(of: client), original: client.originalAddress.map { "\($0)" })
    #if TLS
    served.secured = SecuredFacts(of: client)
    #endif
    switch service {
    case .builtIn(let service):
      do {
        switch service {
        case .echo: try echo(client, clock, &served)
        case .discard: try discard(client, clock, &served)
        case .chargen: try generate(client, clock, &served)
        }
        served.close = client.close(closing)
      } catch {
        served.reason = Self.reason(for: error)
        served.close = client.abort()
      }
    case .program(let words, let mask):
      ProgramConversation.serve(client, words, mask, clock, server.over, closing, &served)
    }
    served.nanoseconds = clock.age
    return served
  }

  private static func name(of client: SharedConnection) -> String {
    if let credentials = try? client.peerCredentials() { return "pid \(credentials.pid)" }
    return client.remoteAddress.map { "\($0)" } ?? "unknown"
  }

  /// The reason of a conversation that the end of the server's time has cut short.
  static let serverStopped = "the server stopped"

  /// The reason for which a conversation was ended early.
  static func reason(for error: any Error) -> String {
    switch error {
    case IdleClock.Limit.idle: "no byte moved for the time that --idle gives"
    case IdleClock.Limit.whole: "it lasted longer than --whole gives"
    case let error as SocketError where error.cause == .closed: serverStopped
    case let error as SocketError: "\(error)"
    default: "\(error)"
    }
  }

  // MARK: The services

  private static let bufferSize = 64 << 10

  private func echo(_ client: SharedConnection, _ clock: IdleClock, _ served: inout ServedConnection) throws {
    var room = [UInt8](repeating: 0, count: Self.bufferSize)
    while true {
      let count = try client.receive(into: &room, clock)
      if count == 0 { return }
      served.bytesReceived += count
      try client.send(room[..<count], clock) { served.bytesSent += $0 }
    }
  }

  private func discard(_ client: SharedConnection, _ clock: IdleClock, _ served: inout ServedConnection) throws {
    var room = [UInt8](repeating: 0, count: Self.bufferSize)
    while true {
      let count = try client.receive(into: &room, clock)
      if count == 0 { return }
      served.bytesReceived += count
    }
  }

  /// All lines of the pattern: each has 72 of the 95 printable characters and begins one further than the one before.
  static let pattern: [UInt8] = (0..<95).flatMap { line in
    (0..<72).map { UInt8(32 + (line + $0) % 95) } + [13, 10]
  }

  private func generate(_ client: SharedConnection, _ clock: IdleClock, _ served: inout ServedConnection) throws {
    var room = [UInt8](repeating: 0, count: Self.bufferSize)
    while true {
      try client.send(Self.pattern[...], clock) { served.bytesSent += $0 }
      if let count = try client.receive(into: &room, within: .zero) {
        if count == 0 { return }
        served.bytesReceived += count
      }
      try clock.check()
    }
  }
}
