import Dispatch
import Glibc

/// A descriptor of this process and its target.
public struct OpenDescriptor: Hashable, Sendable, CustomStringConvertible {
  public let number: CInt
  /// The target of the link in `/proc/self/fd`: `socket:[12345]`, `/dev/net/tun`, `anon_inode:[eventfd]`.
  public let target: String

  public var description: String { "\(number) > \(target)" }

  /// The inode number after `socket:`, which the tables of `/proc/net` list too.
  public var socketInode: UInt64? {
    guard target.hasPrefix("socket:["), target.hasSuffix("]") else { return nil }
    return UInt64(target.dropFirst(8).dropLast())
  }
}

public struct DescriptorFlags: Hashable, Sendable {
  public let closesOnExec: Bool
  public let isNonBlocking: Bool

  public init(closesOnExec: Bool, isNonBlocking: Bool) {
    self.closesOnExec = closesOnExec
    self.isNonBlocking = isNonBlocking
  }
}

extension KernelView {
  /// Every descriptor of the calling thread's table, in order, without the one that reads the directory.
  ///
  /// Tests that run at the same time open and close descriptors too. Compare whole lists only in an exit test, where no
  /// other test runs, and use `lastingDescriptors` there.
  public static func openDescriptors() throws(RigError) -> [OpenDescriptor] {
    guard let directory = unsafe opendir("/proc/thread-self/fd") else {
      throw .last("opendir /proc/thread-self/fd")
    }
    defer { unsafe closedir(directory) }
    let own = unsafe dirfd(directory)
    var found: [OpenDescriptor] = []
    while let entry = unsafe readdir(directory) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      guard let number = CInt(name), number != own else { continue }
      // A descriptor that was closed meanwhile is left out.
      guard let target = readLink("/proc/thread-self/fd/\(number)") else { continue }
      found.append(OpenDescriptor(number: number, target: target))
    }
    return found.sorted { $0.number < $1.number }
  }

  /// Every descriptor of this process except the temporary ones of Dispatch, on which Swift's tasks run. Two such lists
  /// can be compared.
  ///
  /// Dispatch makes a poller with its first timer, whenever that is, and keeps it. It makes the timers' own descriptors
  /// (timerfd) as it needs them; no other code here uses timerfds.
  public static func lastingDescriptors() throws(RigError) -> [OpenDescriptor] {
    dispatchHasItsPoller
    return try openDescriptors().filter { $0.target != "anon_inode:[timerfd]" }
  }

  /// Runs one Dispatch timer, after which Dispatch has its poller.
  private static let dispatchHasItsPoller: Void = {
    let fired = DispatchSemaphore(value: 0)
    let timer = DispatchSource.makeTimerSource()
    timer.setEventHandler { fired.signal() }
    timer.schedule(deadline: .now())
    timer.resume()
    fired.wait()
    timer.cancel()
  }()

  /// Whether this process has no child, running or unreaped.
  public static var hasNoChildren: Bool {
    var information = unsafe siginfo_t()
    return unsafe waitid(P_ALL, 0, &information, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD
  }

  /// The number of threads of this process.
  public static func threadCount() throws(RigError) -> Int {
    let line = try readText("/proc/self/status").split(separator: "\n").first { $0.hasPrefix("Threads:") }
    return Int(line?.split(separator: "\t").last ?? "") ?? 0
  }

  /// The flags of a descriptor, or nil when it is not open.
  public static func descriptorFlags(_ descriptor: CInt) -> DescriptorFlags? {
    let flags = fcntl(descriptor, F_GETFD)
    let status = fcntl(descriptor, F_GETFL)
    guard flags >= 0, status >= 0 else { return nil }
    return DescriptorFlags(closesOnExec: flags & FD_CLOEXEC != 0, isNonBlocking: status & O_NONBLOCK != 0)
  }
}
