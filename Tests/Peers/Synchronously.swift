/// Runs `body` here and now, as a synchronous function: in a test that is asynchronous (every exit test is), the verbs that
/// block are chosen inside it.
public func synchronously<R>(_ body: () throws -> R) rethrows -> R { try body() }
