#if ServiceLifecycle
public import ServiceLifecycle
internal import Synchronization
internal import SystemPackage

/// A served listener as a service: it stops when the service group shuts down gracefully, and drains first.
///
/// In tasks, on a reactor:
/// ```swift
/// let service = ListenerService(try await Listener.bind("localhost:7777")) { connection in
///   while let line = try await connection.readLine() { try await connection.send("you said \(line)\n") }
/// }
/// try await ServiceGroup(services: [service], gracefulShutdownSignals: [.sigterm], logger: logger).run()
/// ```
/// or in threads, with `threads: 64` and a handler that blocks.
public final class ListenerService: Service {
  private let handle: ListenerHandle
  private let drain: Duration
  /// Serves until the listener is stopped.
  private let serve: @Sendable () async throws(SocketError) -> ServerReport
  private let state = Mutex<(isRunning: Bool, report: ServerReport?)>((false, nil))

  /// What the server did; `nil` until it has stopped.
  public var report: ServerReport? { state.withLock { $0.report } }

  /// Each client in a thread of its own.
  ///
  /// - Parameters: as ``Listener/serve(threads:limits:closing:file:line:_:)``.
  ///   - drain: how long what runs may go on after the shutdown begins.
  public init(
    _ listener: consuming Listener, threads: Int, limits: Limits = .default, closing: ClosePolicy = .lingering,
    drain: Duration = .seconds(10), file: StaticString = #fileID, line: UInt = #line,
    handler: @escaping @Sendable (consuming Connection) throws -> Void
  ) {
    let parts = Parts(listener)
    handle = parts.handle
    self.drain = drain
    serve = { () async throws(SocketError) in
      let report: ServerReport? = await withCheckedContinuation { continuation in
        // A thread of its own: serve blocks, and the pool of Swift's tasks has one thread a core.
        let code = Threads.start {
          let listener = parts.listener
          continuation.resume(
            returning: listener.serve(
              threads: threads, limits: limits, closing: closing, file: file, line: line, handler))
        }
        if code != 0 { continuation.resume(returning: nil) }
      }
      guard let report else { throw SocketError(.accept, .system(.resourceTemporarilyUnavailable), note: "no thread") }
      return report
    }
  }

  /// Each client in a task of its own.
  ///
  /// The handlers are child tasks of the service's: they, too, hear of a graceful shutdown through ServiceLifecycle's
  /// `withGracefulShutdownHandler` and `cancelWhenGracefulShutdown`, and may end their conversations early.
  /// - Parameters: as ``Listener/serve(on:limits:closing:file:line:_:)``.
  ///   - drain: how long what runs may go on after the shutdown begins; then it is cancelled and aborted.
  public init(
    _ listener: consuming Listener, on reactor: Reactor? = nil, limits: Limits = .default,
    closing: ClosePolicy = .lingering, drain: Duration = .seconds(10), file: StaticString = #fileID,
    line: UInt = #line, handler: @escaping @Sendable (consuming Connection) async throws -> Void
  ) {
    let parts = Parts(listener)
    handle = parts.handle
    self.drain = drain
    serve = { () async throws(SocketError) in
      await parts.listener.serve(on: reactor, limits: limits, closing: closing, file: file, line: line, handler)
    }
  }

  /// Serves until the group shuts down gracefully, or the task is cancelled, which aborts what runs.
  ///
  /// - Throws: the `SocketError` that ended the listener, if nobody stopped it; `.invalid` when it has run before.
  public func run() async throws {
    let isFirst = state.withLock { state in
      defer { state.isRunning = true }
      return !state.isRunning
    }
    guard isFirst else { throw SocketError(.accept, .invalid("a listener's service runs once")) }
    let report = try await withTaskCancellationHandler {
      try await withGracefulShutdownHandler {
        try await serve()
      } onGracefulShutdown: { [handle, drain] in
        handle.stop(within: drain)
      }
    } onCancel: { [handle] in
      handle.stop(within: .zero)
    }
    state.withLock { $0.report = report }
    if let failure = report.failure { throw failure }
  }
}

/// A listener in parts: an owner cannot be kept by a closure that is called later.
private struct Parts: Sendable {
  let handle: ListenerHandle
  let timeouts: Timeouts

  init(_ listener: consuming Listener) {
    handle = listener.handle
    timeouts = listener.timeouts
  }

  /// The owner again; asked for once.
  var listener: Listener { Listener(core: handle.core, backlog: handle.backlog, timeouts: timeouts) }
}
#endif
