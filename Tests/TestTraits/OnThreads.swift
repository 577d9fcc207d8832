import Peers
public import Testing

/// Gives each test of a suite a thread for itself, from its beginning to its end; six of them run at a time.
///
/// The global pool has a thread for each core, and everything of a thousand tests that are begun at once stands in one queue
/// there. A synchronous test would keep one of the threads until it is over, and whoever awaits something would come back
/// behind all the tests that have not begun: minutes later, when the situation that it made has passed.
public struct OnThreads: TestTrait, SuiteTrait, TestScoping {
  private static let threads = TestThreads(count: 6)

  public var isRecursive: Bool { true }

  public func provideScope(
    for test: Test, testCase: Test.Case?, performing body: @concurrent @Sendable () async throws -> Void
  ) async throws {
    try await OnThreads.threads.withOne { thread in
      try await withTaskExecutorPreference(thread) { try await body() }
    }
  }
}

extension Trait where Self == OnThreads {
  public static var onThreads: Self { OnThreads() }
}
