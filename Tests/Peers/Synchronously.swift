/// Calls `body` as a synchronous function.
///
/// In an asynchronous test, as every exit test is, it makes the compiler choose the blocking overloads inside `body`.
public func synchronously<R>(_ body: () throws -> R) rethrows -> R { try body() }
