import Fin
import FinBase
import FinTerminal
import Synchronization

/// A connection that was passed on, and its end.
struct RelayedConnection: Sendable {
  /// The address of the client; for a Unix socket, its process.
  var client = "unknown"
  /// The client for which a proxy speaks.
  var original: String?
  /// The address of the target that took it.
  var target: String?
  /// The reason for which nothing was passed on.
  var reason: String?
  /// The attempts to connect to a target that failed.
  var attempts: [DialAttempt] = []
  /// The report of the pump; `nil` when nothing was passed on.
  var report: PumpReport?
  var nanoseconds: Int64 = 0

  /// Whether the end of the relay's time has cut it short.
  var isCutShort: Bool { report.map { $0.forward.ending == .closed || $0.backward.ending == .closed } ?? false }
}

/// The way of a client's connection to a target, to its end.
struct RelayConversation: Sendable {
  typealias Securing = @Sendable (consuming Connection) throws(SocketError) -> Connection

  /// The descriptors of one connection that is passed on: two sockets, two pipes, and two to wait with.
  static let descriptors = 8

  let targets: [Endpoint]
  let timeouts: Timeouts
  let idle: Duration
  let halfClosed: Duration
  let whole: Duration?
  let grace: Duration
  let sendsProxy: Bool
  /// Secures the client's connection.
  let securing: Securing?
  /// Secures the connection to the target.
  let securingTarget: Securing?
  let meter: PumpMeter

  /// Passes a connection on, and closes it.
  func run(_ connection: consuming Connection) -> RelayedConnection {
    let began = SystemClock.monotonic
    var relayed = RelayedConnection(
      client: Self.name(of: connection), original: connection.originalAddress.map { "\($0)" })
    let header = sendsProxy ? Self.header(for: connection) : []
    do throws(SocketError) {
      let client = try secure(connection, securing)
      pass(client, header, &relayed)
    } catch { relayed.reason = "\(error)" }
    relayed.nanoseconds = SystemClock.monotonic - began
    return relayed
  }

  private func pass(_ client: consuming Connection, _ header: [UInt8], _ relayed: inout RelayedConnection) {
    do throws(SocketError) {
      let target = try reach(header, &relayed)
      relayed.report = Connection.pump(
        client, target, idle: Timeout(idle), halfClosed: Timeout(halfClosed),
        within: whole.map { Timeout($0) } ?? .never, delivering: grace, meter: meter)
    } catch {
      relayed.reason = "\(error)"
      client.abort()
    }
  }

  /// Connects to the first target that answers, and prepares the connection.
  private func reach(_ header: [UInt8], _ relayed: inout RelayedConnection) throws(SocketError) -> Connection {
    var options = DialOptions()
    let log = RelayAttempts()
    options.onFailure = { log.add($0) }
    defer { relayed.attempts = log.all }
    let target = try Connection.connect(toFirstOf: targets, timeouts: timeouts, options: options)
    relayed.target = target.remoteAddress.map { "\($0)" }
    if !header.isEmpty {
      do throws(SocketError) { try target.send(header) } catch {
        target.abort()
        throw error
      }
    }
    return try secure(target, securingTarget)
  }

  private func secure(_ connection: consuming Connection, _ way: Securing?) throws(SocketError) -> Connection {
    guard let way else { return connection }
    return try way(connection)
  }

  /// The header that tells a target the client's address, and where the client came in.
  private static func header(for connection: borrowing Connection) -> [UInt8] {
    ProxyAnnouncement.header(
      client: connection.originalAddress ?? connection.remoteAddress, server: connection.localAddress)
  }

  private static func name(of connection: borrowing Connection) -> String {
    if let credentials = (try? connection.peerCredentials()) ?? nil { return "pid \(credentials.pid)" }
    return connection.remoteAddress.map { "\($0)" } ?? "unknown"
  }
}

/// The attempts of one dial that failed.
private final class RelayAttempts: Sendable {
  private let list = Mutex<[DialAttempt]>([])

  var all: [DialAttempt] { list.withLock { $0 } }

  func add(_ failure: DialAttempt) { list.withLock { $0.append(failure) } }
}
