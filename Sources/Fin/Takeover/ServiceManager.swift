internal import FinBase
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// The service manager that started this process, such as systemd: sd_notify(3).
///
/// A program reports its state to it, over the datagram socket that `NOTIFY_SOCKET` names: a path, or an abstract name
/// with an `@`. Without that variable there is no service manager, and each call does nothing and returns `false`.
/// ```swift
/// try ServiceManager.notify(.ready, .status("serving on 8080"))
/// ```
/// A datagram that was sent was queued, and no more: `awaitBarrier(within:)` waits until the manager has
/// processed it.
public enum ServiceManager {
  /// A state of this program, for `notify(_:within:)`.
  public enum Message: Hashable, Sendable {
    /// The program serves: `READY=1`. After ``reloading`` it ends the reload.
    case ready
    /// The program reads its configuration again: `RELOADING=1`, with `MONOTONIC_USEC`, which systemd 253 demands.
    case reloading
    /// The program stops: `STOPPING=1`.
    case stopping
    /// A line about the state for a person: `STATUS=…`, without a line break.
    case status(String)
    /// The main process is another one from now on: `MAINPID=…`. For a successor that took over.
    case mainPID(Int32)
    /// The program is alive: `WATCHDOG=1`, at least every ``watchdogInterval``.
    case watchdog
    /// Starting or stopping takes longer, by this much from now: `EXTEND_TIMEOUT_USEC=…`.
    case extendTimeout(Duration)
  }

  /// The longest time between two ``Message/watchdog``, if the service manager watches this process: `WATCHDOG_USEC`,
  /// `WATCHDOG_PID` (sd_watchdog_enabled(3)). Send one in half of it.
  public static var watchdogInterval: Duration? {
    interval(Environment.value("WATCHDOG_USEC"), pid: Environment.value("WATCHDOG_PID"), process: getpid())
  }

  /// Reports one or more states in one datagram.
  ///
  /// - Parameters:
  ///   - messages: the states.
  ///   - within: the time to wait while the manager's queue is full; ``Timeouts/send`` by default.
  /// - Returns: whether there is a service manager. The datagram is in its queue then.
  /// - Throws: `.invalid` when a status has a line break, or when `NOTIFY_SOCKET` is not a Unix address; `.system` when
  ///   nothing is bound to it; `.timedOut`.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  @discardableResult
  public static func notify(_ messages: Message..., within: Timeout = .default) throws(SocketError) -> Bool {
    guard let channel = try NotifyChannel.current() else { return false }
    try channel.send(try NotifyChannel.text(messages), within)
    return true
  }

  /// Reports one or more states in one datagram, in a task. It throws as in a thread, and `.cancelled`.
  @discardableResult
  public static func notify(_ messages: Message..., within: Timeout = .default) async throws(SocketError) -> Bool {
    guard let channel = try NotifyChannel.current() else { return false }
    try await channel.send(try NotifyChannel.text(messages), within)
    return true
  }

  /// Waits until the service manager has processed everything that this process has reported: `BARRIER=1`
  /// (sd_notify_barrier(3)).
  ///
  /// A program that reports and exits at once needs it: the manager asks whose process sent a datagram, and a process
  /// that is gone has no answer.
  /// - Parameter within: the time to wait for the manager, 5 s by default.
  /// - Returns: whether there is a service manager.
  /// - Throws: `.timedOut` when the manager has not answered in time; otherwise as `notify(_:within:)`.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  @discardableResult
  public static func awaitBarrier(within: Timeout = .seconds(5)) throws(SocketError) -> Bool {
    guard let channel = try NotifyChannel.current() else { return false }
    try channel.awaitBarrier(within)
    return true
  }

  /// Waits until the service manager has processed everything that this process has reported, in a task.
  @discardableResult
  public static func awaitBarrier(within: Timeout = .seconds(5)) async throws(SocketError) -> Bool {
    guard let channel = try NotifyChannel.current() else { return false }
    try await channel.awaitBarrier(within)
    return true
  }

  static func interval(_ microseconds: String?, pid: String?, process: Int32) -> Duration? {
    guard let microseconds, let count = Int64(microseconds), count > 0 else { return nil }
    if let pid, Int32(pid) != process { return nil }
    return .microseconds(count)
  }
}

/// The socket that a service manager receives at.
struct NotifyChannel {
  let address: SocketAddress

  /// - Returns: `nil` without a variable, or with an empty one.
  init?(_ text: String?) throws(SocketError) {
    guard let text, !text.isEmpty else { return nil }
    let refusal = SocketError(.send, .invalid("NOTIFY_SOCKET is \"\(text)\", and not a path or an abstract name"))
    let path: UnixPath?
    switch text.utf8.first {
    case UInt8(ascii: "@"): path = try? UnixPath(abstract: text.utf8.dropFirst())
    case UInt8(ascii: "/"): path = try? UnixPath(path: text.utf8)
    default: path = nil
    }
    guard let path else { throw refusal }
    address = .unix(path)
  }

  static func current() throws(SocketError) -> NotifyChannel? {
    try NotifyChannel(Environment.value("NOTIFY_SOCKET"))
  }

  /// The lines of a datagram.
  static func text(_ messages: [ServiceManager.Message]) throws(SocketError) -> [UInt8] {
    var lines: [String] = []
    for message in messages {
      switch message {
      case .ready: lines.append("READY=1")
      case .reloading: lines += ["RELOADING=1", "MONOTONIC_USEC=\(SystemClock.monotonic / 1000)"]
      case .stopping: lines.append("STOPPING=1")
      case .status(let text):
        // A line break would begin another assignment, which the author of the text would choose.
        guard !text.utf8.contains(where: { $0 == 10 || $0 == 13 || $0 == 0 }) else {
          throw SocketError(.send, .invalid("a status is one line"))
        }
        lines.append("STATUS=\(text)")
      case .mainPID(let pid): lines.append("MAINPID=\(pid)")
      case .watchdog: lines.append("WATCHDOG=1")
      case .extendTimeout(let time): lines.append("EXTEND_TIMEOUT_USEC=\(max(time, .zero).inNanoseconds / 1000)")
      }
    }
    return Array(lines.joined(separator: "\n").utf8)
  }

  // MARK: Sending

  private func connected() throws(SocketError) -> DatagramSocket {
    let socket = try DatagramSocket(.unix)
    do { try socket.connect(to: address) } catch {
      socket.close()
      throw error
    }
    return socket
  }

  func send(_ bytes: [UInt8], passing numbers: [CInt] = [], _ within: Timeout) throws(SocketError) {
    let socket = try connected()
    defer { socket.reference.core.end() }
    try socket.perform(.using, .send, LazyDeadline(within, or: socket.timeouts.send), NotifyState()) {
      core, state, access throws(SocketError) in
      try core.sendDatagram(bytes, passing: numbers, &state.pause, access)
    }
  }

  func send(_ bytes: [UInt8], passing numbers: [CInt] = [], _ within: Timeout) async throws(SocketError) {
    let socket = try connected().share()
    do throws(SocketError) {
      try await socket.perform(.using, .send, LazyDeadline(within, or: socket.timeouts.send), NotifyState()) {
        core, state, access throws(SocketError) in
        try core.sendDatagram(bytes, passing: numbers, &state.pause, access)
      }
    } catch {
      await socket.close()
      throw error
    }
    await socket.close()
  }

  func awaitBarrier(_ within: Timeout) throws(SocketError) {
    let barrier = try Barrier()
    defer { barrier.ours.abort() }
    try send(Barrier.text, passing: [barrier.passed], within)
    barrier.release()
    _ = try barrier.ours.receive(upTo: 1, within: within)
  }

  func awaitBarrier(_ within: Timeout) async throws(SocketError) {
    let barrier = try Barrier()
    do throws(SocketError) {
      try await send(Barrier.text, passing: [barrier.passed], within)
      barrier.release()
      _ = try await barrier.ours.receive(upTo: 1, within: within)
    } catch {
      await barrier.ours.close(.abort)
      throw error
    }
    await barrier.ours.close(.abort)
  }

  /// Two ends of a connection: one is passed to the manager, which closes it when it has read the datagrams before it.
  private final class Barrier: Sendable {
    static let text = Array("BARRIER=1".utf8)
    let ours: SharedConnection
    private let theirs: Mutex<OwnedDescriptor?>
    let passed: CInt

    init() throws(SocketError) {
      let pair = try Connection.pair()
      ours = pair.first.share()
      let number = try pair.second.detach().descriptor.rawValue
      passed = number
      theirs = Mutex(OwnedDescriptor(owning: number))
    }

    /// Closes this process's descriptor of the end that was passed.
    func release() { _ = theirs.withLock { $0.take() } }
  }
}

private struct NotifyState: OperationState {
  var pause = Backoff()
}
