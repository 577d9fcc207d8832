/// A suspended task, which has to be resumed exactly once.
@safe
struct Resumption<Value: Sendable>: Sendable {
  private let continuation: UnsafeContinuation<Value, Never>

  init(_ continuation: UnsafeContinuation<Value, Never>) { unsafe self.continuation = continuation }

  func resume(_ value: Value) { unsafe continuation.resume(returning: value) }
}
