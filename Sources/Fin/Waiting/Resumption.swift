/// A suspended task, which has to be resumed exactly once.
@safe
struct Resumption<Value: Sendable>: Sendable {
  private let continuation: UnsafeContinuation<Value, Never>

  init(_ continuation: UnsafeContinuation<Value, Never>) { unsafe self.continuation = continuation }

  func resume(_ value: Value) { unsafe continuation.resume(returning: value) }

  /// Suspends the task, after `body` has received the way to resume it.
  ///
  /// The standard library's `withUnsafeContinuation` first switches to the executor of the caller, on which the task
  /// already is: the runtime then searches the task's records for the executor that it prefers. This is the form of it
  /// that stays where it is.
  @inline(__always)
  nonisolated(nonsending) static func suspend(_ body: (Resumption<Value>) -> Void) async -> Value {
    unsafe await _unsafeInheritExecutor_withUnsafeContinuation { body(unsafe Resumption($0)) }
  }
}
