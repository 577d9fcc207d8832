import Glibc
import Peers
import SystemPackage

extension KernelView {
  /// A file of `/proc`, whole. Below `/proc/thread-self/net` it is that of the thread's network namespace.
  static func text(_ path: String) throws -> String {
    let descriptor = try FileDescriptor.open(FilePath(path), .readOnly, options: .closeOnExec)
    defer { try? descriptor.close() }
    var bytes: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 16_384)
    while case let count = try unsafe block.withUnsafeMutableBytes({ try unsafe descriptor.read(into: $0) }),
      count > 0
    { bytes += block[..<count] }
    return String(decoding: bytes, as: UTF8.self)
  }
}
