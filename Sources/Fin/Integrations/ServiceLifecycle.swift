#if ServiceLifecycle
public import ServiceLifecycle
internal import Synchronization
internal import SystemPackage

/// A listener, served in threads, as a service: it stops when the service group shuts down gracefully, and drains first.
///
/// ```swift
/// let service = ListenerService(try Listener.bind("localhost:7777"), threads: 64) { connection in … }
/// try await ServiceGroup(services: [service], gracefulShutdownSignals: [.sigterm], logger: logger).run()
/// ```
public final class ListenerService: Service {
  private let handle: ListenerHandle
  private let drain: Duration
  private let serve: @Sendable () -> ServerReport
  private let state = Mutex<(isRunning: Bool, report: ServerReport?)>((false, nil))

  /// What the server did; `nil` until it has stopped.
  public var report: ServerReport? { state.withLock { $0.report } }

  /// - Parameters: as ``Listener/serve(threads:limits:closing:file:line:_:)``.
  ///   - drain: how long what runs may go on after the shutdown begins.
  public init(
    _ listener: consuming Listener, threads: Int, limits: Limits = .default, closing: ClosePolicy = .lingering,
    drain: Duration = .seconds(10), file: StaticString = #fileID, line: UInt = #line,
    handler: @escaping @Sendable (consuming Connection) throws -> Void
  ) {
    let handle = listener.handle
    let timeouts = listener.timeouts
    self.handle = handle
    self.drain = drain
    serve = {
      Listener(core: handle.core, backlog: handle.backlog, timeouts: timeouts)
        .serve(threads: threads, limits: limits, closing: closing, file: file, line: line, handler)
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
    let report = await withTaskCancellationHandler {
      await withGracefulShutdownHandler {
        await withCheckedContinuation { (continuation: CheckedContinuation<ServerReport?, Never>) in
          // A thread of its own: serve blocks, and the pool of Swift's tasks has one thread a core.
          let code = Threads.start { [self] in continuation.resume(returning: serve()) }
          if code != 0 { continuation.resume(returning: nil) }
        }
      } onGracefulShutdown: { [handle, drain] in
        handle.stop(within: drain)
      }
    } onCancel: { [handle] in
      handle.stop(within: .zero)
    }
    guard let report else { throw SocketError(.accept, .system(.resourceTemporarilyUnavailable), note: "no thread") }
    state.withLock { $0.report = report }
    if let failure = report.failure { throw failure }
  }
}
#endif
