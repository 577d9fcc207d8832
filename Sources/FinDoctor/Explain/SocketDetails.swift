internal import FinBase

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
    all.readFlags(of: Array(holders.prefix(64)), in: census)
    if case .inet(let place) = socket { all.patience = .read(in: census.namespace(of: census.sockets[place])) }
    if readsOptions, let holder = holders.first {
      do throws(KernelError) {
        all.options = try SocketOptions.read(holder, user: census.programs[holder.pid]?.user)
      } catch {
        all.hidden.append("the options of descriptor \(holder.descriptor) of process \(holder.pid): \(error)")
      }
    }
    return all
  }

  /// Reads the flags of descriptors. A number may refer to another file by now, even to one that does not answer.
  mutating func readFlags(of holders: [Holder], in census: Census) {
    let readings = holders.map {
      Helpers.Reading(
        pid: $0.pid, user: census.programs[$0.pid]?.user,
        request: .read(path: "/proc/\($0.pid)/fdinfo/\($0.descriptor)", limit: 4096))
    }
    Helpers.perform(readings) { place, answer in
      let holder = holders[place]
      if answer.isSilent {
        let sentence = "process \(holder.pid) did not answer: the flags of its descriptors are unknown"
        if !hidden.contains(sentence) { hidden.append(sentence) }
      } else if answer.failure == nil {
        flags[holder] = Self.flags(in: answer.bytes, of: holder)
      }
    }
  }

  /// Parses the line `flags:	02004002`, which is octal.
  private static func flags(in bytes: [UInt8], of holder: Holder) -> UInt32? {
    guard let line = bytes.split(separator: 10).first(where: { $0.begins(with: "flags:") }) else { return nil }
    // The descriptor number may refer to another file by now.
    if let inode = bytes.split(separator: 10).first(where: { $0.begins(with: "ino:") }),
      Fields(inode.dropFirst(4)).first.flatMap({ UInt32(decimal: $0) }) != holder.inode
    {
      return nil
    }
    return Fields(line.dropFirst(6)).first.flatMap { UInt32(String(decoding: $0, as: UTF8.self), radix: 8) }
  }
}
