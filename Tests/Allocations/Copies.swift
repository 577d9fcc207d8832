import CAllocations
import Fin
import Peers
import Synchronization

/// Sends a mebibyte, more than a socket's buffer takes at once, in one call, directly from its storage.
enum Copies {
  private static let size = 1 << 20
  /// The allocations that waiting may make, for a thread's waker for instance; a copy would be a hundred times that.
  private static let mostBytes = 10_000
  private static let text = String(repeating: "16 bytes of ASCII", count: size / 16)
  private static let umlauts = String(repeating: "é", count: size / 2)
  private static let array = [UInt8](repeating: 7, count: size)
  private static let pieces = (0..<16).map { [UInt8](repeating: $0, count: size / 16) }

  static func all() async throws -> [Count] {
    // Initializes them all before the counting begins.
    _ = (text.utf8.count, umlauts.utf8.count, array.count, pieces.count)
    var counts: [Count] = []
    func count(
      _ what: String, _ promise: Count.Promise = .bytes(atMost: mostBytes),
      _ send: @escaping @Sendable (borrowing Connection) async throws -> Void
    ) async throws {
      counts.append(Count("a mebibyte sent in a task from \(what)", try await inTask(send), promise))
    }
    try await count("a string") { try await $0.send(text) }
    try await count("a string that is not ASCII") { try await $0.send(umlauts) }
    try await count("half of a string") {
      try await $0.send(text[text.utf8.index(text.startIndex, offsetBy: size / 2)...])
    }
    try await count("an array") { try await $0.send(array) }
    try await count("a slice of an array") { try await $0.send(array[1...]) }
    try await count("a span") { try await $0.send(unsafe array.span.bytes) }
    try await count("sixteen arrays, gathered") { try await $0.send(gathering: pieces) }
    try await count("a lazy collection", .control(bytes: size)) {
      try await $0.send((0..<size).lazy.map { UInt8($0 & 255) })
    }
    counts.append(
      Count("a mebibyte sent in a thread from a string", try inThread { try $0.send(text) }, .bytes(atMost: mostBytes)))
    counts.append(
      Count("a mebibyte sent in a thread from an array", try inThread { try $0.send(array) }, .bytes(atMost: mostBytes))
    )
    return counts
  }

  private static func inTask(
    _ send: @escaping @Sendable (borrowing Connection) async throws -> Void
  ) async throws -> allocations {
    let reactor = try Reactor(loops: 1)
    let listener = try Listener.bind(.loopback(port: 0))
    let port = listener.localAddress.port!
    let draining = onThread { allocations_drain(port) }
    let connection = try await listener.accept(within: .seconds(20))
    let shelf = Shelf(connection)
    let asked = try await Task(executorPreference: reactor.executor) {
      let connection = shelf.take()
      // The first send includes the allocations that happen only once.
      try await send(connection)
      allocations_begin()
      try await send(connection)
      let asked = allocations_end()
      await connection.close(.lingering)
      return asked
    }.value
    listener.close()
    reactor.stop()
    try check(synchronously { try draining.join(within: .seconds(20)) })
    return asked
  }

  private static func inThread(_ send: @escaping @Sendable (borrowing Connection) throws -> Void) throws -> allocations
  {
    let listener = try Listener.bind(.loopback(port: 0))
    let port = listener.localAddress.port!
    let draining = onThread { allocations_drain(port) }
    let connection = try listener.accept(within: .seconds(20))
    try send(connection)
    allocations_begin()
    try send(connection)
    let asked = allocations_end()
    connection.close(.lingering)
    listener.close()
    try check(draining.join(within: .seconds(20)))
    return asked
  }

  private static func check(_ drained: Int) throws {
    if drained < 2 * (size / 2) { throw RigError("the peer received only \(drained) bytes") }
  }
}

/// Moves a connection into a task.
private final class Shelf: Sendable {
  private let connection: Mutex<Connection?>
  init(_ connection: consuming Connection) { self.connection = Mutex(connection) }
  func take() -> Connection { connection.withLock { $0.take()! } }
}
