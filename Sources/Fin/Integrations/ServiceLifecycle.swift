#if ServiceLifecycle
internal import FinBase
public import ServiceLifecycle
internal import Synchronization
internal import SystemPackage

/// A served listener as a service. A graceful shutdown of the service group stops the listener, and the service drains
/// before it ends.
///
/// In tasks, on a reactor:
/// ```swift
/// let service = ListenerService(try await Listener.bind("localhost:7777")) { connection in
///   while let line = try await connection.receiveLine() { try await connection.send("you said \(line)\n") }
/// }
/// try await ServiceGroup(services: [service], gracefulShutdownSignals: [.sigterm], logger: logger).run()
/// ```
/// or in threads, with `threads: 64` and a handler that blocks.
public final class ListenerService: Service {
  private let handle: ListenerHandle
  private let after: Duration
  private let drain: Duration
  /// Serves until the listener is stopped.
  private let serve: @Sendable () async throws(SocketError) -> ServerReport
  private let state = Mutex<(isRunning: Bool, report: ServerReport?)>((false, nil))

  /// The server's report; `nil` until the server has stopped.
  public var report: ServerReport? { state.withLock { $0.report } }

  /// Serves each client in a thread of its own.
  ///
  /// - Parameters: as ``Listener/serve(threads:limits:closing:onFailure:file:line:_:)``.
  ///   - after: the time for which clients are still accepted after the shutdown begins.
  ///   - drain: the time after that for which running handlers may go on.
  public init(
    _ listener: consuming Listener, threads: Int, limits: ServerLimits = .default, closing: ClosePolicy = .lingering,
    after: Duration = .zero, drain: Duration = .seconds(10), onFailure: (@Sendable (HandlerFailure) -> Void)? = nil,
    file: StaticString = #fileID, line: UInt = #line, handler: @escaping @Sendable (consuming Connection) throws -> Void
  ) {
    let parts = Parts(listener)
    handle = parts.handle
    self.after = after
    self.drain = drain
    serve = { () async throws(SocketError) in
      let report: ServerReport? = await withCheckedContinuation { continuation in
        // On its own thread: serve blocks, and Swift's cooperative thread pool has one thread per core.
        let code = DetachedThread.start {
          let listener = parts.listener
          continuation.resume(
            returning: listener.serve(
              threads: threads, limits: limits, closing: closing, onFailure: onFailure, file: file, line: line,
              handler))
        }
        if code != 0 { continuation.resume(returning: nil) }
      }
      guard let report else { throw SocketError(.accept, .system(.resourceTemporarilyUnavailable), note: "no thread") }
      return report
    }
  }

  /// Serves each client in a task of its own.
  ///
  /// The handlers are child tasks of the service's task. They too are notified of a graceful shutdown by
  /// ServiceLifecycle's `withGracefulShutdownHandler` and `cancelWhenGracefulShutdown`, and may end their
  /// conversations early.
  /// - Parameters: as ``Listener/serve(on:connections:limits:closing:onFailure:file:line:_:)``.
  ///   - after: the time for which clients are still accepted after the shutdown begins.
  ///   - drain: the time after that for which running handlers may go on; then they are cancelled and
  ///     their connections aborted.
  public init(
    _ listener: consuming Listener, on reactor: Reactor? = nil, connections: Int = 65_536,
    limits: ServerLimits = .default, closing: ClosePolicy = .lingering, after: Duration = .zero,
    drain: Duration = .seconds(10), onFailure: (@Sendable (HandlerFailure) -> Void)? = nil,
    file: StaticString = #fileID, line: UInt = #line,
    handler: @escaping @Sendable (consuming Connection) async throws -> Void
  ) {
    let parts = Parts(listener)
    handle = parts.handle
    self.after = after
    self.drain = drain
    serve = { () async throws(SocketError) in
      await parts.listener.serve(
        on: reactor, connections: connections, limits: limits, closing: closing, onFailure: onFailure, file: file,
        line: line, handler)
    }
  }

  /// Serves until the group shuts down gracefully, or until the task is cancelled, which aborts the
  /// running connections.
  ///
  /// - Throws: the `SocketError` that ended the listener, unless it was stopped; `.invalid` when the service has run
  ///   before; `.system` with `EAGAIN` when the thread of a service in threads could not be started.
  public func run() async throws {
    let isFirst = state.withLock { state in
      defer { state.isRunning = true }
      return !state.isRunning
    }
    guard isFirst else { throw SocketError(.accept, .invalid("a listener's service runs once")) }
    let report = try await withTaskCancellationHandler {
      try await withGracefulShutdownHandler {
        try await serve()
      } onGracefulShutdown: { [handle, after, drain] in
        handle.stop(after: after, within: Timeout(drain))
      }
    } onCancel: { [handle] in
      handle.stop(within: .zero)
    }
    state.withLock { $0.report = report }
    if let failure = report.failure { throw failure }
  }
}

/// The parts of a listener: a closure that is called later cannot keep the noncopyable owner.
private struct Parts: Sendable {
  let handle: ListenerHandle
  let timeouts: Timeouts

  init(_ listener: consuming Listener) {
    handle = listener.handle
    timeouts = listener.timeouts
  }

  /// Makes the owner again; called once.
  var listener: Listener { Listener(core: handle.core, backlog: handle.backlog, timeouts: timeouts) }
}
#endif
