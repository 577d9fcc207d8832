import CPeers
import Glibc

/// Runs `body` on a new thread in the network namespace of the caller.
///
/// - Returns: A handle for `join(within:)`. A thread that is never joined is detached.
public func onThread<Value: ~Copyable & Sendable>(
  file: String = #fileID, line: Int = #line, _ body: @escaping @Sendable () throws -> Value
) -> Joining<Value> {
  Joining(origin: "\(file):\(line)", body)
}

/// Runs `body` on a new thread and passes it `value` to keep or consume.
///
/// It moves a noncopyable owner into the thread, because no escaping closure may consume one.
public func onThread<Given: ~Copyable & Sendable, Value: ~Copyable & Sendable>(
  taking value: consuming Given, file: String = #fileID, line: Int = #line,
  _ body: @escaping @Sendable (consuming Given) throws -> Value
) -> Joining<Value> {
  let parcel = Monitor<Given?>(value)
  return Joining(origin: "\(file):\(line)") { () throws -> Value in
    guard let given = parcel.change({ $0.take() }) else { throw RigError("the value was taken already") }
    return try body(given)
  }
}

/// A running thread, and the value or error with which its closure ends.
public final class Joining<Value: ~Copyable & Sendable>: Sendable {
  private struct Course: ~Copyable {
    var thread: pthread_t?
    var number: CInt = 0
    var outcome: Result<Value, any Error>?
  }

  private let course = Monitor(Course())
  private let origin: String

  fileprivate init(origin: String, _ body: @escaping @Sendable () throws -> Value) {
    self.origin = origin
    let course = course
    let work = unsafe Unmanaged.passRetained(
      Work {
        course.change { $0.number = peers_gettid() }
        // The body runs outside the lock, which protects only its outcome.
        let outcome: Result<Value, any Error>
        do { outcome = .success(try body()) } catch { outcome = .failure(error) }
        course.change(with: outcome) { $0.outcome = consume $1 }
      })
    var thread = pthread_t()
    let code = unsafe pthread_create(&thread, nil, Work.start, work.toOpaque())
    if code != 0 {
      unsafe work.release()
      course.change { $0.outcome = .failure(RigError("pthread_create", code: code)) }
    } else {
      course.change { $0.thread = thread }
    }
  }

  deinit {
    if let thread = course.change({ $0.thread.take() }) { pthread_detach(thread) }
  }

  /// Whether the closure has returned or thrown.
  public var isFinished: Bool { course.change { $0.outcome != nil || $0.thread == nil } }

  /// The kernel function in which the thread sleeps (`/proc/self/task/…/wchan`): "0" while it runs, empty if unknown.
  public var place: String {
    let number = course.change { $0.number }
    return (try? readText("/proc/self/task/\(number)/wchan")) ?? ""
  }

  /// Waits for the thread to end and returns its value. A thread can be joined once.
  ///
  /// - Throws: The error of the closure; `TimedOut`, with the kernel function in which the thread sleeps.
  public func join(within limit: Duration = .seconds(60)) throws -> Value {
    let outcome = course.wait(until: .after(limit)) { $0.outcome.take() }
    guard let outcome else {
      let place = self.place
      throw TimedOut("the thread started at \(origin)\(place.isEmpty ? "" : " (it is in \(place))")", after: limit)
    }
    // The thread has stored its outcome and does nothing more, so this join cannot hang.
    if let thread = course.change({ $0.thread.take() }) { pthread_join(thread, nil) }
    return try outcome.get()
  }
}

private final class Work: Sendable {
  let run: @Sendable () -> Void
  init(_ run: @escaping @Sendable () -> Void) { self.run = run }

  static let start: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { argument in
    if let argument = unsafe argument { unsafe Unmanaged<Work>.fromOpaque(argument).takeRetainedValue().run() }
    return nil
  }
}
