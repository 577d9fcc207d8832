import Peers
public import Testing

/// Gives each test of a suite a thread for itself, from its beginning to its end; six of them run at a time.
///
/// The global pool has a thread for each core, and everything of a thousand tests that are begun at once stands in one queue
/// there. A synchronous test would keep one of the threads until it is over, and whoever awaits something would come back
/// behind all the tests that have not begun: minutes later, when the situation that it made has passed.
public struct OnThreads: TestTrait, SuiteTrait, TestScoping {
  private static let threads = TestThreads(count: 6)
  /// Where tests begin and end, and nothing blocks.
  private static let usher = TestThreads(count: 1).one()

  public var isRecursive: Bool { true }

  /// Of a suite, for the way of its tests to their threads, and of each case, for the thread.
  public func scopeProvider(for test: Test, testCase: Test.Case?) -> OnThreads? {
    test.isSuite || testCase != nil ? self : nil
  }

  public func provideScope(
    for test: Test, testCase: Test.Case?, performing body: @concurrent @Sendable () async throws -> Void
  ) async throws {
    guard testCase != nil else {
      // What a suite begins inherits it: on the pool it would stand behind all tests of other suites.
      return try await withTaskExecutorPreference(OnThreads.usher) { try await body() }
    }
    let thread = OnThreads.threads.one()
    try await withTaskExecutorPreference(thread) {
      defer { thread.end() }
      try await body()
    }
  }
}

extension Trait where Self == OnThreads {
  public static var onThreads: Self { OnThreads() }
}
