internal import CFin
internal import Glibc

/// What is asked of the kernel about one socket beyond the picture of all.
public struct LifeReadings: Sendable {
  /// The flags of each descriptor that holds it, `O_NONBLOCK` and `O_CLOEXEC` among them.
  public var flags: [Holder: UInt32] = [:]
  /// How long the kernel tries in the socket's namespace.
  public var patience = Patience()
  /// The socket's options; nil when they were not asked for, or may not be read.
  public var options: SocketOptions?
  /// What could not be read, one sentence each.
  public var hidden: [String] = []

  /// Nothing read.
  public init() {}

  /// Asks.
  /// - Parameters:
  ///   - socket: The socket.
  ///   - census: The picture it is in.
  ///   - readsOptions: Whether to take a copy of its descriptor for a moment and ask it. For that moment a close by the program
  ///     ends nothing.
  public static func read(_ socket: SocketReference, in census: Census, readsOptions: Bool = false) -> LifeReadings {
    var all = LifeReadings()
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

  /// `flags:	02004002`, octal.
  private static func flags(of holder: Holder) -> UInt32? {
    guard let bytes = try? Files.read("/proc/\(holder.pid)/fdinfo/\(holder.descriptor)", limit: 4096),
      let line = bytes.split(separator: 10).first(where: { $0.begins(with: "flags:") })
    else { return nil }
    // The number may mean another file by now.
    if let inode = bytes.split(separator: 10).first(where: { $0.begins(with: "ino:") }),
      Words(inode.dropFirst(4)).first.flatMap({ UInt32(decimal: $0) }) != holder.inode
    {
      return nil
    }
    return Words(line.dropFirst(6)).first.flatMap { UInt32(String(decoding: $0, as: UTF8.self), radix: 8) }
  }
}
