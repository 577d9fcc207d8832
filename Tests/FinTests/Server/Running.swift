import Glibc
import Peers
import Synchronization

@testable import Fin

/// A server in a thread of its own.
struct Running: Sendable {
  let address: SocketAddress
  let handle: ListenerHandle
  let thread: Joining<ServerReport>

  init(
    threads: Int, limits: ServerLimits = .default, closing: ClosePolicy = .lingering, timeouts: Timeouts = .default,
    _ handler: @escaping @Sendable (consuming Connection) throws -> Void
  ) throws {
    let listener = try Listener.bind(.loopback(port: 0), timeouts: timeouts)
    self.init(listener, threads: threads, limits: limits, closing: closing, handler)
  }

  init(
    _ listener: consuming Listener, threads: Int, limits: ServerLimits = .default, closing: ClosePolicy = .lingering,
    script: Script? = nil, _ handler: @escaping @Sendable (consuming Connection) throws -> Void
  ) {
    address = listener.localAddress
    handle = listener.handle
    thread = onThread(taking: listener) { listener in
      Seam.$script.withValue(script) {
        listener.serve(threads: threads, limits: limits, closing: closing, handler)
      }
    }
  }

  var port: UInt16 { address.port! }

  /// Stops the server and waits for its report.
  func stop(within: Timeout = .seconds(10)) throws -> ServerReport {
    handle.stop(within: within)
    return try thread.join(within: .seconds(30))
  }
}

/// A client that uses no code of Fin. A class, so that it fits into an array.
final class Visitor: Sendable {
  let socket: PlainSocket

  init(_ port: UInt16) throws { socket = try PlainSocket.connected(to: "127.0.0.1", port: port) }
  init(_ socket: consuming PlainSocket) { self.socket = socket }

  /// Sends a line, finishes, and returns everything that the server sends until EOF.
  func ask(_ line: String) throws -> String {
    try socket.send(Array("\(line)\n".utf8))
    try socket.finishSending()
    return String(decoding: try socket.receiveAll(), as: UTF8.self)
  }

  /// The result of the next read: the number of bytes, or the error.
  var next: Result<Int, RigError> { Result { () throws(RigError) in try socket.receive().count } }
}

extension Result where Success == Int, Failure == RigError {
  /// The result of a read on a connection that the server reset.
  static var reset: Self { .failure(RigError("recv", code: ECONNRESET)) }
}

/// Echoes every line.
@Sendable func echo(_ connection: consuming Connection) throws {
  while let line = try connection.receiveLine() { try connection.send("\(line)\n") }
}

/// Blocks each thread that passes until the barrier is opened.
final class Barrier: Sendable {
  private let isOpen = Atomic<Bool>(false)
  private let parked = Mutex<[Parker]>([])
  let arrived = Tally()

  /// - Returns: `false` when the barrier was not opened in time.
  @discardableResult
  func pass(within: Duration = .seconds(60)) -> Bool {
    arrived.add()
    let parker = Parker()
    let mustWait = parked.withLock { parked in
      parked.append(parker)
      return !isOpen.load(ordering: .acquiring)
    }
    return !mustWait || parker.park(until: .init(after: within))
  }

  func open() {
    let all = parked.withLock { parked in
      isOpen.store(true, ordering: .releasing)
      return parked
    }
    for parker in all { parker.wake() }
  }

  /// Releases the thread that has waited longest, and no other.
  func letOnePass() {
    let first = parked.withLock { $0.isEmpty ? nil : $0.removeFirst() }
    first?.wake()
  }
}
