import Fin

extension World {
  /// Starts a thread, or a task on the reactor.
  func start<Answer: Sendable>(_ work: @escaping @Sendable () async -> Answer) throws -> Worker<Answer> {
    try Worker(in: self, work)
  }

  /// Calls `Connection.connect(to:)`.
  @inline(never)
  func connect(to peer: SocketAddress, timeouts: Timeouts = .default) async throws(SocketError) -> AnySocket<Connection>
  {
    switch self {
    case .threads:
      return AnySocket(
        try blocking { () throws(SocketError) in try Connection.connect(to: peer, timeouts: timeouts) }, self)
    case .tasks: return AnySocket(try await Connection.connect(to: peer, timeouts: timeouts), self)
    }
  }

  /// Calls `socket.connect(to:)`.
  @inline(never)
  func connect(_ socket: consuming Socket, to peer: SocketAddress) async throws(SocketError) -> AnySocket<Connection> {
    switch self {
    case .threads: return AnySocket(try Blocking.connect(socket, to: peer), self)
    case .tasks: return AnySocket(try await socket.connect(to: peer), self)
    }
  }

  /// Calls `withConnection(to:)`.
  func withConnection<R: Sendable>(
    to endpoint: Endpoint, closing: ClosePolicy = .confirmed,
    _ body: @escaping @Sendable (consuming AnySocket<Connection>) async throws -> R
  ) async throws -> (result: R, end: CloseReport) {
    switch self {
    case .threads: try Blocking.withConnection(to: endpoint, closing: closing, body)
    case .tasks:
      try await Fin.withConnection(to: endpoint, closing: closing) { connection in
        try await body(AnySocket(connection, self))
      }
    }
  }
}

/// One of Fin's sockets, whose operations block or suspend as its world does.
///
/// The operations that throw are never inlined: an optimized build of 6.3.1 crashes
/// (`emitSetAndGetSwiftErrorValueAround`) where a call that suspends and one that does not throw into the same handler.
struct AnySocket<End: SocketProtocol & ~Copyable>: ~Copyable, Sendable {
  let socket: End
  let world: World

  init(_ socket: consuming End, _ world: World) {
    self.socket = socket
    self.world = world
  }

  var localAddress: SocketAddress? { socket.localAddress }
  var phase: Phase { socket.phase }
  var timeouts: Timeouts { socket.timeouts }
}

extension AnySocket: Copyable where End: Copyable {}

extension AnySocket where End: StreamSocketProtocol & ~Copyable {
  func tcpState() throws(SocketError) -> TCPState? { try socket.tcpState() }
}

extension AnySocket where End: Receiving & ~Copyable {
  @inline(never)
  func receive(upTo most: Int, within: Timeout = .default) async throws(SocketError) -> [UInt8]? {
    switch world {
    case .threads: try blocking { () throws(SocketError) in try socket.receive(upTo: most, within: within) }
    case .tasks: try await socket.receive(upTo: most, within: within)
    }
  }

  @inline(never)
  func receiveLine() async throws(SocketError) -> String? {
    switch world {
    case .threads: try blocking { () throws(SocketError) in try socket.receiveLine() }
    case .tasks: try await socket.receiveLine()
    }
  }
}

extension AnySocket where End: Sending & ~Copyable {
  @inline(never)
  func send(_ bytes: [UInt8]) async throws(SocketError) {
    switch world {
    case .threads: try blocking { () throws(SocketError) in try socket.send(bytes) }
    case .tasks: try await socket.send(bytes)
    }
  }

  func send(_ text: String) async throws(SocketError) { try await send([UInt8](text.utf8)) }

  /// Sends until the kernel takes nothing more for a tenth of a second; returns the number of bytes taken.
  func fill() async -> Int {
    let block = [UInt8](repeating: 0x66, count: 65536)
    var count = 0
    switch world {
    case .threads: while let sent = blocking({ Blocking.sendSome(socket, block) }) { count += sent }
    case .tasks:
      while let sent = unsafe try? await socket.sendSome(block.span.bytes, within: Timeout(patience)) { count += sent }
    }
    return count
  }
}

private let patience = Duration.milliseconds(100)

extension AnySocket where End == Connection {
  @discardableResult
  consuming func close(_ policy: ClosePolicy = .confirmed) async -> CloseReport {
    switch world {
    case .threads: Blocking.close(socket, policy)
    case .tasks: await socket.close(policy)
    }
  }

  @discardableResult
  consuming func abort() -> CloseReport { socket.abort() }

  consuming func finishSending() -> AnySocket<ReceivingConnection> {
    let world = world
    return AnySocket<ReceivingConnection>(socket.finishSending(), world)
  }

  consuming func share() -> AnySocket<SharedConnection> {
    let world = world
    return AnySocket<SharedConnection>(socket.share(), world)
  }

  func duplicate() throws(SocketError) -> AnySocket<Connection> { AnySocket(try socket.duplicate(), world) }
}

#if TLS
extension AnySocket where End == Connection {
  @inline(never)
  consuming func secured(as role: TLSRole) async throws(SocketError) -> AnySocket<Connection> {
    let world = world
    switch world {
    case .threads: return AnySocket(try Blocking.secure(socket, role), world)
    case .tasks: return AnySocket(try await socket.secured(as: role), world)
    }
  }
}
#endif

extension AnySocket where End == ReceivingConnection {
  @discardableResult
  consuming func close() async -> CloseReport {
    switch world {
    case .threads: Blocking.close(socket)
    case .tasks: await socket.close()
    }
  }
}

extension AnySocket where End == SharedConnection {
  @discardableResult
  func close(_ policy: ClosePolicy = .confirmed) async -> CloseReport {
    switch world {
    case .threads: blocking { socket.close(policy) }
    case .tasks: await socket.close(policy)
    }
  }

  @discardableResult
  func abort() async -> CloseReport { await close(.abort) }
}

extension AnySocket where End == Listener {
  var handle: ListenerHandle { socket.handle }

  @inline(never)
  func accept(within: Timeout = .default) async throws(SocketError) -> AnySocket<Connection> {
    switch world {
    case .threads: AnySocket<Connection>(try Blocking.accept(from: socket, within: within), world)
    case .tasks: AnySocket<Connection>(try await socket.accept(within: within), world)
    }
  }

  /// - Parameter most: The number of clients served at the same time.
  func serve(
    atMost most: Int, _ handler: @escaping @Sendable (consuming AnySocket<Connection>) async throws -> Void
  ) async -> ServerReport {
    switch world {
    case .threads: Blocking.serve(socket, threads: most, handler)
    case .tasks:
      await socket.serve(connections: most) { connection in
        try await handler(AnySocket<Connection>(connection, .tasks))
      }
    }
  }

  consuming func close() { socket.close() }
}

/// Makes a blocking call from an async function, on a thread that may block.
private func blocking<R: ~Copyable, E: Error>(_ body: () throws(E) -> R) throws(E) -> R { try body() }

/// The blocking operations on values that a closure cannot consume.
private enum Blocking {
  static func close(_ connection: consuming Connection, _ policy: ClosePolicy) -> CloseReport {
    connection.close(policy)
  }

  static func close(_ connection: consuming ReceivingConnection) -> CloseReport { connection.close() }

  static func connect(_ socket: consuming Socket, to peer: SocketAddress) throws(SocketError) -> Connection {
    try socket.connect(to: peer)
  }

  #if TLS
  static func secure(_ connection: consuming Connection, _ role: TLSRole) throws(SocketError) -> Connection {
    try connection.secured(as: role)
  }
  #endif

  static func accept(from listener: borrowing Listener, within: Timeout) throws(SocketError) -> Connection {
    try listener.accept(within: within)
  }

  static func sendSome(_ socket: borrowing some Sending & ~Copyable, _ block: [UInt8]) -> Int? {
    unsafe try? socket.sendSome(block.span.bytes, within: Timeout(patience))
  }

  static func serve(
    _ listener: borrowing Listener, threads: Int,
    _ handler: @escaping @Sendable (consuming AnySocket<Connection>) async throws -> Void
  ) -> ServerReport {
    listener.serve(threads: threads) { connection in
      let parcel = MoveBox(connection)
      try ThisThread.run { try await handler(AnySocket(parcel.take(), .threads)) }
    }
  }

  static func withConnection<R: Sendable>(
    to endpoint: Endpoint, closing: ClosePolicy,
    _ body: @escaping @Sendable (consuming AnySocket<Connection>) async throws -> R
  ) throws -> (result: R, end: CloseReport) {
    try Fin.withConnection(to: endpoint, closing: closing) { connection in
      let parcel = MoveBox(connection)
      return try ThisThread.run { try await body(AnySocket(parcel.take(), .threads)) }
    }
  }
}

/// Moves a noncopyable value into a closure that is called once, which the compiler cannot know.
final class MoveBox<Content: ~Copyable>: @unchecked Sendable {
  private var content: Content?
  init(_ content: consuming Content) { self.content = consume content }
  func take() -> Content { content.take()! }
}
