import Peers
import Testing

/// Runs the tests of a suite on threads of their own, three at a time: they stage situations of other processes and wait.
struct OnThreads: TestTrait, SuiteTrait, TestScoping {
  private static let threads = BlockingThreads(count: 3)

  var isRecursive: Bool { true }

  func provideScope(
    for test: Test, testCase: Test.Case?, performing body: @concurrent @Sendable () async throws -> Void
  ) async throws {
    try await withTaskExecutorPreference(OnThreads.threads) { try await body() }
  }
}

extension Trait where Self == OnThreads {
  static var onThreads: Self { OnThreads() }
}
