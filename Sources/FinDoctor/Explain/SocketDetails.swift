internal import CFin
internal import FinBase
internal import Glibc

/// Readings about one socket that a census does not contain.
package struct SocketDetails: Sendable {
  /// The flags of each descriptor that holds the socket, `O_NONBLOCK` and `O_CLOEXEC` among them.
  package var flags: [Holder: UInt32] = [:]
  /// The retry limits of the kernel in the socket's namespace.
  package var patience = TCPRetryLimits()
  /// The socket's options; nil when they were not requested or may not be read.
  package var options: SocketOptions?
  /// Readings that failed, one sentence each.
  package var hidden: [String] = []

  /// Creates empty readings.
  package init() {}

  /// Reads from the kernel what is needed about one socket.
  /// - Parameters:
  ///   - socket: The socket.
  ///   - census: The census that contains it.
  ///   - readsOptions: Whether to copy its descriptor for a moment and read the options. While the copy is open, a
  ///     close by the program does not end the connection.
  package static func read(_ socket: SocketReference, in census: Census, readsOptions: Bool = false) -> SocketDetails {
    var all = SocketDetails()
    let holders = census.holders[census.inode(of: socket)]
    for holder in holders.prefix(64) {
      if let flags = flags(of: holder) { all.flags[holder] = flags }
    }
    if case .inet(let place) = socket { all.patience = .read(in: census.namespace(of: census.sockets[place])) }
    if readsOptions, let holder = holders.first {
      do throws(KernelError) {
        all.options = try SocketOptions.read(holder)
      } catch {
        all.hidden.append("the options of descriptor \(holder.descriptor) of process \(holder.pid): \(error)")
      }
    }
    return all
  }

  /// Parses the line `flags:	02004002`, which is octal.
  private static func flags(of holder: Holder) -> UInt32? {
    guard let bytes = try? Files.read("/proc/\(holder.pid)/fdinfo/\(holder.descriptor)", limit: 4096),
      let line = bytes.split(separator: 10).first(where: { $0.begins(with: "flags:") })
    else { return nil }
    // The descriptor number may refer to another file by now.
    if let inode = bytes.split(separator: 10).first(where: { $0.begins(with: "ino:") }),
      Fields(inode.dropFirst(4)).first.flatMap({ UInt32(decimal: $0) }) != holder.inode
    {
      return nil
    }
    return Fields(line.dropFirst(6)).first.flatMap { UInt32(String(decoding: $0, as: UTF8.self), radix: 8) }
  }
}
