internal import CFin

/// A number that the calling thread has lent to its caller: `withDescriptor` runs on this thread, further up the stack.
///
/// A close that is called in there must not wait for itself to come out; it counts the loans of its own thread.
@safe
struct Loan {
  private let core: ObjectIdentifier
  private let outer: UnsafeMutableRawPointer?

  /// Runs `body`, during which the calling thread counts as inside `core`.
  static func during<R>(_ core: Core, _ body: () -> R) -> R {
    let outer = unsafe fin_thread_loans()
    var loan = unsafe Loan(core: ObjectIdentifier(core), outer: outer)
    return unsafe withUnsafeMutablePointer(to: &loan) { loan in
      unsafe fin_set_thread_loans(loan)
      defer { unsafe fin_set_thread_loans(outer) }
      return body()
    }
  }

  /// How often the calling thread is inside `core` by a loan.
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
