import CAllocations
import Fin
import Glibc
import Peers

/// Round trips of 64 bytes on connections after a warm-up, received into one buffer and sent from it.
enum RoundTrips {
  private static let size = 64
  private static let warmUp = 2_000
  private static let trips = 10_000

  static func all() async throws -> [Count] {
    [
      Count("\(trips) round trips, served in a task", try await inTasks(connections: 1), .nothing),
      Count(
        "\(trips) round trips on each of 64 connections, served in tasks", try await inTasks(connections: 64),
        .nothing),
      Count("\(trips) round trips, served in a thread", try inThread(), .nothing),
      Count("\(trips) round trips between two tasks on two loops", try await betweenTasks(), .nothing),
      Count("\(trips) bytes that are there, taken one by one on the main actor", try await withoutWaiting(), .nothing),
      Count(
        "\(trips) round trips, served in a task that receives arrays", try await inTasks(connections: 1, arrays),
        .control(bytes: trips * size)),
    ]
  }

  private static func inTasks(
    connections: Int32, _ handler: @escaping @Sendable (consuming Connection) async throws -> Void = buffer
  ) async throws -> allocations {
    let reactor = try Reactor(loops: 1)
    let listener = try Listener.bind(.loopback(port: 0))
    let (handle, port) = (listener.handle, listener.localAddress.port!)
    let pinging = onThread {
      defer { handle.stop(within: .seconds(1)) }
      return try ping(port, connections)
    }
    let report = await listener.serve(on: reactor, closing: .background, handler)
    reactor.stop()
    if let failure = report.failure { throw failure }
    return try synchronously { try pinging.join(within: .seconds(60)) }
  }

  private static func inThread() throws -> allocations {
    let listener = try Listener.bind(.loopback(port: 0))
    let (handle, port) = (listener.handle, listener.localAddress.port!)
    let pinging = onThread {
      defer { handle.stop(within: .seconds(1)) }
      return try ping(port, 1)
    }
    let report = listener.serve(threads: 1, closing: .background) { connection in
      try withRoom { buffer in
        while try connection.receive(into: &buffer) > 0 {
          try connection.send(buffer.bytes)
          buffer.removeAll()
        }
      }
    }
    if let failure = report.failure { throw failure }
    return try pinging.join(within: .seconds(60))
  }

  /// Counts round trips between a client and a server that both use Fin.
  private static func betweenTasks() async throws -> allocations {
    let reactors = (try Reactor(loops: 1), try Reactor(loops: 1))
    let listener = try Listener.bind(.loopback(port: 0))
    let handle = listener.handle
    let place = Endpoint(listener.localAddress)
    let client = Task(executorPreference: reactors.0.executor) {
      defer { handle.stop(within: .seconds(1)) }
      return try await withConnection(to: place, closing: .background) { connection in
        try await ask(connection)
      }.result
    }
    await listener.serve(on: reactors.1, closing: .background, buffer)
    let asked = try await client.value
    reactors.0.stop()
    reactors.1.stop()
    return asked
  }

  /// Counts receives that never have to wait. A task that never waits must yield from time to time.
  @MainActor private static func withoutWaiting() async throws -> allocations {
    // Makes sure that each thread of the reactor has started and has its name.
    let reactor = try Reactor.shared
    for _ in 0..<Reactor.processors { await Task(executorPreference: reactor.executor) {}.value }
    let pair = try Connection.pair()
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1, alignment: 16)
    defer { unsafe room.deallocate() }
    var byte = unsafe OutputRawSpan(buffer: room, initializedCount: 0)
    // All bytes fit into the socket's buffer.
    let block = [UInt8](repeating: 7, count: 1000)
    for _ in 0..<((warmUp + trips) / block.count) { try await pair.second.send(unsafe block.span.bytes) }
    for trip in 0..<(warmUp + trips) {
      if trip == warmUp { allocations_begin() }
      _ = try await pair.first.receive(into: &byte)
      byte.removeAll()
    }
    let asked = allocations_end()
    pair.first.abort()
    pair.second.abort()
    return asked
  }

  private static func ask(_ connection: borrowing Connection) async throws -> allocations {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: size, alignment: 16)
    defer { unsafe room.deallocate() }
    var buffer = unsafe OutputRawSpan(buffer: room, initializedCount: 0)
    let question = [UInt8](repeating: 7, count: size)
    for trip in 0..<(warmUp + trips) {
      if trip == warmUp { allocations_begin() }
      try await connection.send(unsafe question.span.bytes)
      while buffer.byteCount < size {
        if try await connection.receive(into: &buffer) == 0 { throw RigError("the echo ended") }
      }
      buffer.removeAll()
    }
    return allocations_end()
  }

  private static func ping(_ port: UInt16, _ connections: Int32) throws -> allocations {
    var counted = allocations()
    if unsafe allocations_ping(port, connections, Int32(size), Int32(warmUp), Int32(trips), &counted) != 0 {
      throw RigError("the pinging peer", code: errno)
    }
    return counted
  }

  @Sendable private static func buffer(_ connection: consuming Connection) async throws {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)
    defer { unsafe room.deallocate() }
    var buffer = unsafe OutputRawSpan(buffer: room, initializedCount: 0)
    while try await connection.receive(into: &buffer) > 0 {
      try await connection.send(buffer.bytes)
      buffer.removeAll()
    }
  }

  @Sendable private static func arrays(_ connection: consuming Connection) async throws {
    while let bytes = try await connection.receive(upTo: 4096) { try await connection.send(bytes) }
  }

  private static func withRoom(_ body: (inout OutputRawSpan) throws -> Void) rethrows {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 4096, alignment: 16)
    defer { unsafe room.deallocate() }
    var buffer = unsafe OutputRawSpan(buffer: room, initializedCount: 0)
    try body(&buffer)
  }
}
