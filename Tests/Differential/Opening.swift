import Fin
import Glibc
import Peers
import SystemPackage

/// A connection of Fin and the plain socket of its peer.
struct Opening: ~Copyable {
  let connection: Connection
  let number: CInt
  let peer: CInt

  static func open(_ setting: Setting) throws -> Opening {
    let timeouts = Timeouts(connect: .seconds(20), send: .seconds(30), receive: .seconds(30), accept: .seconds(20))
    let connection: Connection
    let other: PlainSocket
    let narrow = setting.buffers == .small
    func narrowed(_ number: CInt) { if narrow { Kernel.set(number, SOL_SOCKET, SO_RCVBUF, 2304) } }
    switch (setting.medium, setting.role) {
    case (.pair, _):
      let pair = try Connection.pair(timeouts: timeouts)
      connection = pair.first
      let number = try pair.second.detach().descriptor.rawValue
      other = PlainSocket(adopting: number)
    case (.unix, .connect):
      let path = temporaryPath()
      let listener = try PlainSocket.listening(onUnix: path)
      defer { unsafe _ = unlink(path) }
      connection = try Connection.connect(to: .unix(path), timeouts: timeouts)
      other = try listener.accept()
    case (.unix, .accept):
      let path = temporaryPath()
      let listener = try Listener.bind(.unix(path), timeouts: timeouts)
      other = try PlainSocket.connected(toUnix: path)
      connection = try listener.accept()
      listener.close()
    case (let medium, .connect):
      let address = medium == .tcp ? "127.0.0.1" : "::1"
      let listener = try PlainSocket.listening(on: address)
      narrowed(listener.descriptor)
      let to: SocketAddress = medium == .tcp ? .loopback(port: listener.port) : .loopback6(port: listener.port)
      connection = try Connection.connect(to: to, timeouts: timeouts)
      other = try listener.accept()
    case (let medium, .accept):
      let listener = try Listener.bind(medium == .tcp ? .loopback(port: 0) : .loopback6(port: 0), timeouts: timeouts)
      other = try PlainSocket.connected(to: medium == .tcp ? "127.0.0.1" : "::1", port: listener.localAddress.port!)
      narrowed(other.descriptor)
      connection = try listener.accept()
      listener.close()
    }
    if narrow { try connection.set(.sendBuffer, to: 4096) }
    let number = try connection.withDescriptor { $0.rawValue }
    let peer = other.detach()
    // Sends each byte at once, without waiting for the acknowledgement of the previous one (Nagle).
    if setting.isTCP { Kernel.set(peer, CInt(IPPROTO_TCP), TCP_NODELAY, 1) }
    return Opening(connection: connection, number: number, peer: peer)
  }

  static func temporaryPath() -> String { "/tmp/fin-differential-\(getpid())-\(UInt64.random(in: 0 ... .max)).sock" }
}

/// The executors on which the holders' tasks run.
struct Executors: Sendable {
  let reactor: Reactor
  let away: TestThread

  init() throws {
    reactor = try Reactor(loops: 2)
    away = TestThreads(count: 1).one()
  }

  func of(_ world: Setting.World) -> any TaskExecutor { world == .away ? away : reactor.executor }
}
