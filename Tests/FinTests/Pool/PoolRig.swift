import Glibc
import Peers
import Synchronization

@testable import Fin

/// A server of plain C calls, with a thread for each connection, that knows which requests its program has had.
///
/// A request has 100 bytes, the first 20 of them its number, and the answer is `ok`.
final class RequestServer: Sendable {
  static let requestSize = 100

  private struct Book {
    var executions: [Int: Int] = [:]
    var accepted = 0
  }

  let address: SocketAddress
  private let book = Mutex(Book())
  private let stopping = Flag()
  private let crew = Mutex<[Joining<Bool>]>([])

  /// - Parameter behave: serves one connection; the number counts the connections from 1.
  init(_ behave: @escaping @Sendable (RequestServer, borrowing PlainSocket, _ connection: Int) throws -> Void) throws {
    let listener = try PlainSocket.listening()
    address = .loopback(port: listener.port)
    let accepting = onThread(taking: listener) { [self] listener in
      while !stopping.isSet {
        guard let socket = try? listener.accept(), !stopping.isSet else { continue }
        let number = book.withLock { book in
          book.accepted += 1
          return book.accepted
        }
        // A failure is the end of the connection, which the client judges.
        let serving = onThread(taking: socket) { socket in
          // Longer than any test: an idle connection ends when its client or the test says so.
          socket.setPatience(microseconds: 60_000_000)
          try? behave(self, socket, number)
          return true
        }
        crew.withLock { $0.append(serving) }
      }
      return true
    }
    crew.withLock { $0.append(accepting) }
  }

  /// Ends the server, and waits for its threads.
  func stop() throws {
    stopping.set()
    _ = try? PlainSocket.connected(to: "127.0.0.1", port: address.port!)
    while let thread = crew.withLock({ $0.popLast() }) { _ = try thread.join() }
  }

  var isStopping: Bool { stopping.isSet }

  /// The number of connections so far.
  var accepted: Int { book.withLock { $0.accepted } }

  /// How many times each request was executed.
  var executions: [Int: Int] { book.withLock { $0.executions } }

  @discardableResult
  func execute(_ request: [UInt8]) -> Int {
    let number = Int(String(decoding: request.prefix(20), as: UTF8.self)) ?? -1
    book.withLock { $0.executions[number, default: 0] += 1 }
    return number
  }

  /// Answers requests until the client finishes.
  func answerAll(_ socket: borrowing PlainSocket) throws {
    while let request = try Self.request(from: socket) {
      execute(request)
      try socket.send(Array("ok".utf8))
    }
  }

  /// The next request; `nil` when the client has finished, or sends none in time.
  static func request(from socket: borrowing PlainSocket) throws -> [UInt8]? {
    var request: [UInt8] = []
    while request.count < requestSize {
      let more: [UInt8]
      do { more = try socket.receive(upTo: requestSize - request.count) } catch {
        if error.code == EAGAIN, request.isEmpty { return nil }
        throw error
      }
      if more.isEmpty { return nil }
      request += more
    }
    return request
  }
}

extension PlainSocket {
  /// How long a receive waits.
  func setPatience(microseconds: Int) {
    var time = timeval(tv_sec: microseconds / 1_000_000, tv_usec: microseconds % 1_000_000)
    unsafe setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, socklen_t(MemoryLayout<timeval>.size))
  }
}

struct NoAnswer: Error {}

/// The bytes of a request.
func poolRequest(_ number: Int) -> [UInt8] {
  let digits = Array(String(number).utf8)
  return [UInt8](repeating: 0x30, count: 20 - digits.count) + digits
    + [UInt8](repeating: 0x78, count: RequestServer.requestSize - 20)
}

/// One request with its answer.
func exchange(_ number: Int, on connection: borrowing Connection) async throws {
  try await connection.send(poolRequest(number))
  guard let answer = try await connection.receive(exactly: 2), answer == Array("ok".utf8) else { throw NoAnswer() }
}

/// One request with its answer, in a thread.
func exchangeInThread(_ number: Int, on connection: borrowing Connection) throws {
  try connection.send(poolRequest(number))
  guard let answer = try connection.receive(exactly: 2), answer == Array("ok".utf8) else { throw NoAnswer() }
}

extension ConnectionPool {
  convenience init(_ address: SocketAddress, _ limits: PoolLimits = PoolLimits(), on reactor: Reactor? = nil) {
    self.init(to: Endpoint(address), limits: limits, on: reactor)
  }

  /// Closes the pool, in the test's own thread.
  func closed(within: Timeout = .seconds(10)) -> PoolReport { synchronously { close(within: within) } }
}
