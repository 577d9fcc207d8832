internal import Glibc
internal import SystemPackage

extension Syscalls {
  /// `getifaddrs(3)`: the interfaces of the thread's network namespace. It asks the kernel over netlink, which answers
  /// at once.
  static func interfaces() throws(Errno) -> [NetworkInterface] {
    var list: UnsafeMutablePointer<ifaddrs>? = nil
    _ = try call(.getifaddrs) { _ in unsafe Int(getifaddrs(&list)) }
    defer { unsafe freeifaddrs(list) }
    return unsafe NetworkInterface.interfaces(in: list)
  }
}
