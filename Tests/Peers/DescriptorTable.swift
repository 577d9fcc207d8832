import CPeers
import Glibc

/// The descriptor table of a thread and of the threads that it starts, in which a test can use up all descriptors.
///
/// Only here may a test do that. libdispatch, on whose threads Swift's tasks and these tests run, opens a file of
/// `/proc` for each of its threads every second, and ends the process if it gets no descriptor. Its threads keep the
/// process's first table, in which numbers stay free: both tables have the same limit, but not the same open files.
public struct DescriptorTable: Sendable {
  private init() {}

  /// Runs `body` on its own thread with its own table, which begins as a copy. For an exit test.
  ///
  /// Open sockets inside `body`: one that was open before stays open in the first table when it is closed here. Do not
  /// leave work to Swift's thread pool: its threads use the first table, where these numbers mean something else.
  /// - Throws: The error of `body`; `RigError` if the kernel cannot make a second table; `TimedOut`.
  public static func apart(
    within limit: Duration = .seconds(120), _ body: @escaping @Sendable (DescriptorTable) throws -> Void
  ) throws {
    let thread = onThread { () throws -> Bool in
      guard peers_unshare_descriptors() == 0 else { throw RigError.last("close_range") }
      try body(DescriptorTable())
      return true
    }
    _ = try thread.join(within: limit)
  }

  /// Runs `body` while exactly `count` descriptors can be opened, then closes the descriptors that filled the table.
  public func leaving<R>(_ count: Int = 0, _ body: () throws -> R) throws -> R {
    let before = Self.limit
    try lowerLimit(leaving: Self.margin + count)
    var taken: [CInt] = []
    while case let number = dup(0), number >= 0 { taken.append(number) }
    for number in taken.suffix(count) { close(number) }
    defer {
      Self.limit = before
      for number in taken.dropLast(count) { close(number) }
    }
    return try body()
  }

  /// Lowers the process's limit permanently, so that `count` numbers remain above the highest open one.
  ///
  /// Free numbers below it remain too.
  public func lowerLimit(leaving count: Int) throws {
    precondition(count >= Self.margin, "the first table needs free numbers too")
    let highest = try KernelView.openDescriptors().map(\.number).max() ?? 2
    Self.limit.rlim_cur = rlim_t(Int(highest) + 1 + count)
  }

  /// Raises the process's soft limit to `count` if it is lower, up to the hard limit, and returns the resulting limit.
  @discardableResult
  public static func raiseLimit(to count: Int) -> Int {
    limit.rlim_cur = max(limit.rlim_cur, min(rlim_t(count), limit.rlim_max))
    return Int(limit.rlim_cur)
  }

  /// The count of numbers that stay free in the first table, however many are used in another one.
  private static let margin = 32

  private static var limit: rlimit {
    get {
      var limit = rlimit()
      unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
      return limit
    }
    set {
      var limit = newValue
      unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
  }
}
