import CPeers
import Glibc

/// The descriptor table of a thread and of the threads that it starts: the one place where a test takes descriptors away.
///
/// libdispatch, on whose threads Swift's tasks and these tests run, opens a file of `/proc` for each of its threads every
/// second, and ends the process when there is no descriptor for it. Its threads keep the process's first table, in which
/// numbers stay free: the limit is the same for both tables, what is open is not.
public struct DescriptorTable: Sendable {
  private init() {}

  /// Runs `body` on a thread of its own with a table of its own, which begins as a copy; for an exit test.
  ///
  /// A socket is to be opened inside: one that was open before stays open in the first table when it is closed here. No work
  /// inside may be left to Swift's pool, to whose threads the numbers of this table mean nothing.
  /// - Throws: What `body` throws; `RigError` where the kernel has no second table to give; `TimedOut`.
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

  /// Runs `body` while exactly so many descriptors can be had, then gives the others back.
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

  /// Lowers the process's limit for good: so many numbers are left above all that are open, and those that are free below.
  public func lowerLimit(leaving count: Int) throws {
    precondition(count >= Self.margin, "the first table needs room as well")
    let highest = try KernelView.openDescriptors().map(\.number).max() ?? 2
    Self.limit.rlim_cur = rlim_t(Int(highest) + 1 + count)
  }

  /// Raises the process's limit, where it is lower and may be raised; gives what it is then.
  @discardableResult
  public static func raiseLimit(to count: Int) -> Int {
    limit.rlim_cur = max(limit.rlim_cur, min(rlim_t(count), limit.rlim_max))
    return Int(limit.rlim_cur)
  }

  /// Numbers that the first table has free, whatever is taken in another one.
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
