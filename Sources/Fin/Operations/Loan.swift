internal import CFin

/// A record that `withDescriptor` runs on this thread, further up the stack, and has lent the descriptor to its body.
///
/// A close called from that body must not wait for the body to return, so it counts the loans of its own thread and
/// does not wait for them.
@safe
struct Loan {
  private let core: ObjectIdentifier
  private let outer: UnsafeMutableRawPointer?

  /// Runs `body`; meanwhile the calling thread counts as inside `core`.
  static func during<R>(_ core: Core, _ body: () -> R) -> R {
    let outer = unsafe fin_thread_loans()
    var loan = unsafe Loan(core: ObjectIdentifier(core), outer: outer)
    return unsafe withUnsafeMutablePointer(to: &loan) { loan in
      unsafe fin_set_thread_loans(loan)
      defer { unsafe fin_set_thread_loans(outer) }
      return body()
    }
  }

  /// The number of loans of `core` that the calling thread is inside.
  static func count(of core: Core) -> Int {
    var count = 0
    var next = unsafe fin_thread_loans()
    while let loan = unsafe next?.assumingMemoryBound(to: Loan.self) {
      if unsafe loan.pointee.core == ObjectIdentifier(core) { count += 1 }
      unsafe next = loan.pointee.outer
    }
    return count
  }
}
