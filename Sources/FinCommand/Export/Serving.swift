import Fin
import Glibc
import Synchronization

/// The signals that end `fin export`: SIGTERM, and SIGINT of a terminal.
struct EndSignals {
  private var all = sigset_t()

  /// Blocks the signals in this thread and in those that it starts from now on. Make it before the first of them.
  init() {
    unsafe sigemptyset(&all)
    for signal in [SIGTERM, SIGINT, SIGUSR1] { unsafe sigaddset(&all, signal) }
    unsafe pthread_sigmask(SIG_BLOCK, &all, nil)
  }

  /// Waits for one of them, or for ``wake()``. One that came before the call counts.
  /// - Returns: Whether it asks for the end.
  func wait() -> Bool {
    var all = all
    var signal: CInt = 0
    while unsafe sigwait(&all, &signal) != 0 {}
    return signal != SIGUSR1
  }

  /// Ends a wait from another thread.
  static func wake() { kill(getpid(), SIGUSR1) }
}

/// The listeners that are served, each in a task. The main thread waits for ``EndSignals`` and then looks here.
final class Serving: Sendable {
  private struct State {
    var handles: [ListenerHandle] = []
    var failures: [(address: String, error: SocketError)] = []
    var running = 0
    var isStopped = false
  }

  private let state = Mutex(State())

  /// The addresses, with the ports that the kernel has chosen.
  var addresses: [SocketAddress] { state.withLock { $0.handles.compactMap(\.localAddress) } }
  /// The listeners that could not be opened, or that failed.
  var failures: [(address: String, error: SocketError)] { state.withLock(\.failures) }
  /// The number of listeners that are open or have failed.
  var begun: Int { state.withLock { $0.handles.count + $0.failures.count } }
  var isRunning: Bool { state.withLock { $0.running > 0 } }

  /// Opens a listener and serves it, in a task.
  func begin(_ address: String, _ endpoint: Endpoint, _ server: ExportServer) {
    state.withLock { $0.running += 1 }
    Task.detached {
      var failure: SocketError?
      do throws(SocketError) {
        let listener = try await Listener.bind(endpoint)
        self.note(listener.handle)
        failure = await server.serve(listener).failure
      } catch {
        failure = error
      }
      self.state.withLock { state in
        state.running -= 1
        if let failure { state.failures.append((address, failure)) }
      }
      EndSignals.wake()
    }
  }

  private func note(_ handle: ListenerHandle) {
    let isLate = state.withLock { state in
      state.handles.append(handle)
      return state.isStopped
    }
    if isLate { handle.stop(within: .zero) }
    EndSignals.wake()
  }

  /// Stops all listeners. Requests that are being answered have this time.
  func stop(within time: Timeout) {
    let handles = state.withLock { state in
      state.isStopped = true
      return state.handles
    }
    for handle in handles { handle.stop(within: time) }
  }
}
