import Fin
import Glibc

/// A connection with Fin at one end and plain system calls at the other, which must not notice the difference.
struct FinPair: ~Copyable {
  let fin: AnySocket<Connection>
  let plain: Int32
  let ends: Ends

  /// The values that find both ends in the kernel's table, also after they were closed.
  struct Ends: Sendable {
    /// The descriptor's number on Fin's side. Once Fin has closed it, it may be that of another descriptor.
    let number: Int32
    let finPort: UInt16
    let plainPort: UInt16

    var finRow: TCPTable.Row? { TCPTable.row(local: finPort, remote: plainPort) }
    var plainRow: TCPTable.Row? { TCPTable.row(local: plainPort, remote: finPort) }
    var finState: String { finRow?.state ?? "gone" }
  }

  /// Makes a pair in which Fin connects.
  static func connecting(in world: World, timeouts: Timeouts = .default) async throws -> FinPair {
    let listener = try Pair.listener()
    defer { RawSyscalls.close(listener) }
    let port = RawSyscalls.port(of: listener)
    let fin = try await world.connect(to: .loopback(port: port), timeouts: timeouts)
    let ends = Ends(number: try number(of: fin), finPort: fin.localAddress?.port ?? 0, plainPort: port)
    return FinPair(fin: fin, plain: Int32(RawSyscalls.accept(listener).value), ends: ends)
  }

  /// Makes a pair in which Fin accepts.
  static func accepting(in world: World, timeouts: Timeouts = .default) async throws -> FinPair {
    let listener = AnySocket(try Listener.bind(.loopback(port: 0), timeouts: timeouts), world)
    let port = listener.localAddress?.port ?? 0
    let plain = RawSyscalls.socket()
    let connected = RawSyscalls.connect(plain, port: port)
    guard connected.succeeded else { throw SetupError("connect: \(connected)") }
    let fin = try await listener.accept(within: .seconds(5))
    listener.close()
    let ends = Ends(number: try number(of: fin), finPort: port, plainPort: RawSyscalls.port(of: plain))
    return FinPair(fin: fin, plain: plain, ends: ends)
  }

  /// Returns the descriptor's number of one of Fin's sockets, from the ledger, to query the kernel without Fin.
  static func number<End: ~Copyable>(of held: borrowing AnySocket<End>) throws -> Int32 {
    let cookie = try held.socket.cookie()
    guard let entry = Ledger.current.openSockets().first(where: { $0.cookie == cookie }) else {
      throw SetupError("a socket is not in the ledger")
    }
    return entry.descriptor
  }

  /// Returns the descriptor's number of one of Fin's listeners.
  static func number(of listener: ListenerHandle) throws -> Int32 {
    let entries = Ledger.current.openSockets()
    guard let entry = entries.first(where: { $0.kind == .listener && $0.phase == listener.phase }) else {
      throw SetupError("a listener is not in the ledger")
    }
    return entry.descriptor
  }
}

/// The result of a call of Fin's: its value, or its error.
enum Outcome<Value> {
  case value(Value)
  case failure(SocketError)

  init(_ call: @autoclosure () async throws(SocketError) -> Value) async {
    do { self = .value(try await call()) } catch { self = .failure(error) }
  }

  var value: Value? {
    if case .value(let value) = self { value } else { nil }
  }

  var error: SocketError? {
    if case .failure(let error) = self { error } else { nil }
  }
}

extension Outcome: Sendable where Value: Sendable {}

extension Outcome where Value == [UInt8]? {
  /// The result as a reader of a stream sees it: the bytes, end of file, or the cause of the error.
  var told: String {
    switch self {
    case .value(let bytes?): "\"\(String(decoding: bytes, as: UTF8.self))\""
    case .value(nil): "end of file"
    case .failure(let error): error.told
    }
  }
}

extension SocketError {
  /// The cause, as it is written in a program: ".closed", ".reset".
  var told: String {
    switch cause {
    case .closed: ".closed"
    case .paused: ".paused"
    case .reset: ".reset"
    case .lost: ".lost"
    case .truncated: ".truncated"
    case .unverified: ".unverified"
    case .tls: ".tls"
    case .timedOut: ".timedOut"
    case .cancelled: ".cancelled"
    case .reactorStopped: ".reactorStopped"
    case .finished: ".finished"
    case .peerClosed: ".peerClosed"
    case .endOfStream: ".endOfStream"
    case .limit: ".limit"
    case .descriptorsLost: ".descriptorsLost"
    case .notText: ".notText"
    case .busy: ".busy"
    case .tooManyOperations: ".tooManyOperations"
    case .invalid: ".invalid"
    case .unresolved: ".unresolved"
    case .system: ".system"
    }
  }
}

extension Trial {
  /// Records how a connection of Fin's ended.
  mutating func expect(_ report: CloseReport, ending: Ending, _ ends: FinPair.Ends? = nil) {
    expect("ending", .text("\(report.ending)"), from: "CloseReport", equals: .text("\(ending)"))
  }

  mutating func note(_ report: CloseReport) {
    note("closing took", .seconds(report.duration.inSeconds), from: "CloseReport")
  }
}
