import Glibc
import Peers
import SystemPackage
import Testing

@testable import Fin

/// The way between a client and a server of the tests.
enum PumpPath: String, CaseIterable, Sendable, CustomTestStringConvertible {
  case inThread = "a pump in a thread"
  case inTask = "a pump in a task"

  var testDescription: String { rawValue }
}

/// The times of a pump in a test.
struct PumpSetting: Sendable {
  var idle: Timeout = .seconds(600)
  var halfClosed: Timeout = .seconds(60)
  var within: Timeout = .never
  var delivering: Duration = .seconds(10)
  /// Whether SIGPIPE would end the process in the pump's thread too. The threads of event loops and of Swift's pool
  /// block all signals; those of a program, and of its executors, need not.
  var takesSignals = false

  private static let thread = OwnThread()

  fileprivate func errand(_ body: @escaping @Sendable () async throws -> PumpReport) -> TestTask<PumpReport> {
    guard takesSignals else { return FinTests.errand(body) }
    return FinTests.errand(on: PumpSetting.thread) {
      var pipe = sigset_t()
      unsafe sigemptyset(&pipe)
      unsafe sigaddset(&pipe, SIGPIPE)
      unsafe pthread_sigmask(SIG_UNBLOCK, &pipe, nil)
      return try await body()
    }
  }
}

/// A pump that runs.
struct RunningPump: Sendable {
  let meter: PumpMeter
  let join: @Sendable () throws -> PumpReport
  let cancel: @Sendable () -> Void
  let isFinished: @Sendable () -> Bool

  /// Starts a pump between two connections.
  init(
    _ path: PumpPath, _ first: consuming Connection, _ second: consuming Connection,
    _ setting: PumpSetting = PumpSetting()
  ) {
    let (shelves, meter) = ([first.detaching(), second.detaching()], PumpMeter())
    self.meter = meter
    switch path {
    case .inThread:
      let thread = onThread { () throws -> PumpReport in
        Connection.pump(
          shelves[0].take(), shelves[1].take(), idle: setting.idle, halfClosed: setting.halfClosed,
          within: setting.within, delivering: setting.delivering, meter: meter)
      }
      join = { try thread.join(within: .seconds(60)) }
      cancel = {}
      isFinished = { thread.isFinished }
    case .inTask:
      let task = setting.errand { () async throws -> PumpReport in
        await Connection.pump(
          shelves[0].take(), shelves[1].take(), idle: setting.idle, halfClosed: setting.halfClosed,
          within: setting.within, delivering: setting.delivering, meter: meter)
      }
      join = { try task.join() }
      cancel = { task.cancel() }
      isFinished = { task.isFinished }
    }
  }
}

/// A client and a server, plain sockets both, and the pump between them.
struct Pumped: ~Copyable {
  let client: PlainSocket
  let server: PlainSocket
  let pump: RunningPump

  init(
    _ path: PumpPath, client kind: StreamKind = .ipv4, server serverKind: StreamKind = .ipv4,
    _ setting: PumpSetting = PumpSetting()
  ) throws {
    let near = try Stranger.over(kind)
    let far = try Stranger.over(serverKind)
    client = near.plain
    server = far.plain
    pump = RunningPump(path, near.ours, far.ours, setting)
  }
}

/// A connection of Fin's, and a plain socket as its peer.
struct Stranger: ~Copyable {
  let ours: Connection
  let plain: PlainSocket

  static func over(_ kind: StreamKind) throws -> Stranger {
    switch kind {
    case .ipv4, .ipv6: return try overTCP(kind == .ipv4 ? "127.0.0.1" : "::1")
    case .unix, .pair: return try overUnix()
    #if TLS
    case .secured: throw RigError("a plain socket speaks no TLS")
    #endif
    }
  }

  private init(_ ours: consuming Connection, _ plain: consuming PlainSocket) {
    self.ours = ours
    self.plain = plain
  }

  private static func overTCP(_ host: String) throws -> Stranger {
    let listener = try PlainSocket.listening(on: host)
    let name = host.contains(":") ? "[\(host)]:\(listener.port)" : "\(host):\(listener.port)"
    let connection = try Connection.connect(to: try SocketAddress(parsing: name))
    let plain = try listener.accept()
    return Stranger(connection, plain)
  }

  private static func overUnix() throws -> Stranger {
    let pair = try Connection.pair()
    let plain = PlainSocket(adopting: try blocking(pair.second.detach()))
    return Stranger(pair.first, plain)
  }

  private static func blocking(_ detached: DetachedDescriptor) throws -> CInt {
    let number = detached.descriptor.rawValue
    let flags = fcntl(number, F_GETFL)
    guard flags >= 0, fcntl(number, F_SETFL, flags & ~O_NONBLOCK) == 0 else { throw RigError("fcntl") }
    return number
  }
}

/// A client and a server that are connected directly.
struct DirectPair: ~Copyable {
  let client: PlainSocket
  let server: PlainSocket

  init() throws {
    let listener = try PlainSocket.listening()
    let client = try PlainSocket.connected(to: "127.0.0.1", port: listener.port)
    let server = try listener.accept()
    self.client = client
    self.server = server
  }
}
