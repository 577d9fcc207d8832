import Peers
public import Testing

/// A trait that gives each test of a suite its own thread, from beginning to end; eight tests run at a time.
///
/// The global pool has one thread per core, and the jobs of a thousand tests that begin at once share one queue there.
/// A synchronous test would keep one of these threads until it is over, and a test that awaits something would resume
/// behind all the tests that have not begun: minutes later, when the situation that it set up has passed.
public struct OnThreads: TestTrait, SuiteTrait, TestScoping {
  /// The network namespace of the test program.
  private static let home = try? KernelView.namespace(of: "self")
  private static let threads = TestThreads(count: 8)
  /// The executor on which tests begin and end. Nothing blocks there.
  private static let usher = TestThreads(count: 1).one()

  public var isRecursive: Bool { true }

  /// Applies to a suite, whose tests then start on `usher`, and to each test case, which then gets its thread.
  public func scopeProvider(for test: Test, testCase: Test.Case?) -> OnThreads? {
    test.isSuite || testCase != nil ? self : nil
  }

  public func provideScope(
    for test: Test, testCase: Test.Case?, performing body: @concurrent @Sendable () async throws -> Void
  ) async throws {
    guard testCase != nil else {
      // The suite's child tasks inherit the executor. On the pool they would queue behind all tests of other suites.
      return try await withTaskExecutorPreference(OnThreads.usher) { try await body() }
    }
    let thread = OnThreads.threads.one()
    try await withTaskExecutorPreference(thread) {
      defer { thread.end() }
      // A thread in a foreign namespace would break tests that have nothing to do with the one that left it there.
      try #expect(KernelView.namespace() == OnThreads.home, "the thread was in a foreign network namespace")
      try await body()
      try #expect(KernelView.namespace() == OnThreads.home, "the test left its thread in a foreign network namespace")
    }
  }
}

extension Trait where Self == OnThreads {
  public static var onThreads: Self { OnThreads() }
}
