internal import CFin
internal import FinBase
internal import Glibc
internal import Synchronization
internal import SystemPackage

extension ListenerHandle {
  /// Stops the listener at the first of these signals, and ends the drain at once at the second one.
  ///
  /// ```swift
  /// try listener.handle.stop(on: [SIGTERM, SIGINT], after: .seconds(5), within: .seconds(20))
  /// let report = listener.serve(threads: 64) { connection in … }
  /// ```
  /// The signals lose the action that they had in this program, for the rest of its run. After the second one they have
  /// their default action, so that a third one ends a program that does not. Several listeners may stop at the same
  /// signal. A program that starts later by `exec` does not inherit any of this, and a forked child keeps the default
  /// action. It works without libdispatch: a handler writes to a pipe, which a thread of Fin's reads.
  /// - Parameters:
  ///   - signals: the numbers of the signals.
  ///   - after: the time for which clients are still accepted, as in ``stop(after:within:)``.
  ///   - within: the time for the queue and for running handlers.
  /// - Throws: `.invalid` for a signal that cannot be caught, such as `SIGKILL`; `.system` when there is no descriptor
  ///   or no thread. Signals before the one that failed are heard.
  public func stop(on signals: [Int32], after: Duration = .zero, within: Timeout = .default) throws(SocketError) {
    let hub: SignalHub
    do throws(Errno) { hub = try SignalHub.shared } catch { throw core.error(.accept, .system(error), note: "signals") }
    let stop = SignalHub.Stop(handle: self, after: after, within: within)
    for signal in signals { try hub.hear(signal, stop) }
  }
}

/// The one place of the process where signals become stops of listeners.
private final class SignalHub: Sendable {
  /// A listener that a signal stops.
  final class Stop: Sendable {
    let handle: ListenerHandle
    let after: Duration
    let within: Timeout
    let count = Atomic<Int>(0)

    init(handle: ListenerHandle, after: Duration, within: Timeout) {
      self.handle = handle
      self.after = after
      self.within = within
    }
  }

  private static let common = Mutex<SignalHub?>(nil)

  static var shared: SignalHub {
    get throws(Errno) {
      try common.withLock { common throws(Errno) in
        if let hub = common { return hub }
        let hub = try SignalHub()
        common = hub
        return hub
      }
    }
  }

  private let reading: CInt
  private let writing: CInt
  private let stops = Mutex<[Int32: [Stop]]>([:])

  /// Opens the pipe and starts its thread. Both last as long as the process.
  private init() throws(Errno) {
    var ends: [CInt] = [-1, -1]
    do throws(KernelError) { _ = try calling { unsafe Int(fin_signal_pipe(&ends)) } } catch {
      throw Errno(rawValue: error.code)
    }
    (reading, writing) = (ends[0], ends[1])
    let code = DetachedThread.start(stack: 256 << 10) { [reading] in SignalHub.listen(at: reading) }
    guard code == 0 else {
      for end in ends { Syscalls.close(end) }
      throw Errno(rawValue: code)
    }
  }

  func hear(_ signal: Int32, _ stop: Stop) throws(SocketError) {
    let code = stops.withLock { stops in
      let code = fin_hear_signal(signal, writing)
      if code == 0 { stops[signal, default: []].append(stop) }
      return code
    }
    if code == EINVAL { throw stop.handle.core.error(.accept, .invalid("signal \(signal) cannot be caught")) }
    if code != 0 { throw stop.handle.core.error(.accept, .system(Errno(rawValue: code)), note: "signal \(signal)") }
  }

  private static func listen(at pipe: CInt) {
    while true {
      var byte: UInt8 = 0
      let count = unsafe read(pipe, &byte, 1)
      if count == 1, let hub = try? shared { hub.deliver(Int32(byte)) }
      // The pipe is never closed; an interruption is repeated.
      if count == 0 { return }
    }
  }

  private func deliver(_ signal: Int32) {
    let due = stops.withLock { $0[signal] ?? [] }
    for stop in due {
      switch stop.count.wrappingAdd(1, ordering: .relaxed).newValue {
      case 1: stop.handle.stop(after: stop.after, within: stop.within)
      default: stop.handle.stop(within: .zero)
      }
    }
    // The last word: what still runs after two signals can be ended by the next one.
    guard !due.isEmpty, due.allSatisfy({ $0.count.load(ordering: .relaxed) > 1 }) else { return }
    stops.withLock { stops in
      guard stops[signal]?.count == due.count else { return }
      let ended = Set(due.map(ObjectIdentifier.init))
      for (number, others) in stops where others.allSatisfy({ ended.contains(ObjectIdentifier($0)) }) {
        stops[number] = nil
        fin_unhear_signal(number)
      }
    }
  }
}
