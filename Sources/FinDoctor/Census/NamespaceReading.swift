internal import CFin
internal import Glibc

/// A network namespace that was found somewhere, and the path by which it can be entered.
struct NamespacePlace: Sendable {
  var inode: UInt32
  var name: String
  var path: String

  static let own = "/proc/thread-self/ns/net"

  /// Finds the namespaces that processes are in or that have a name, the own one first.
  static func find(_ pids: ContiguousArray<Int32>) -> [NamespacePlace] {
    var found: [NamespacePlace] = []
    var known: Set<UInt32> = []
    func add(_ inode: UInt32, _ name: @autoclosure () -> String, _ path: @autoclosure () -> String) {
      if known.insert(inode).inserted { found.append(NamespacePlace(inode: inode, name: name(), path: path())) }
    }
    add(inode(own) ?? 0, "own", own)
    let device = (try? Files.status(own))?.st_dev
    for name in named() {
      let path = "/run/netns/" + name
      // A file that no namespace is mounted on is an ordinary one, on another file system.
      if let status = try? Files.status(path), status.st_dev == device, let inode = UInt32(exactly: status.st_ino) {
        add(inode, visible(name), path)
      }
    }
    for pid in pids {
      let path = "/proc/\(pid)/ns/net"
      if let inode = inode(path) { add(inode, "pid \(pid)", path) }
    }
    return found
  }

  /// Namespaces that only a descriptor, or a thread apart from its process, holds.
  static func find(held: ContiguousArray<Holder>, beyond known: [NamespacePlace]) -> [NamespacePlace] {
    var seen = Set(known.map(\.inode))
    return held.compactMap { holder in
      guard seen.insert(holder.inode).inserted else { return nil }
      return NamespacePlace(
        inode: holder.inode, name: "fd \(holder.descriptor) of pid \(holder.pid)",
        path: "/proc/\(holder.pid)/fd/\(holder.descriptor)")
    }
  }

  /// The namespaces that single threads of a process are in.
  static func find(threadsOf pid: Int32, beyond known: [NamespacePlace]) -> [NamespacePlace] {
    var seen = Set(known.map(\.inode))
    var threads: [Int32] = []
    if let folder = try? OwnDescriptor("/proc/\(pid)/task") {
      try? FolderReader().forEachNumber(in: folder.number) { threads.append($0) }
    }
    return threads.compactMap { thread in
      let path = "/proc/\(pid)/task/\(thread)/ns/net"
      guard let inode = inode(path), seen.insert(inode).inserted else { return nil }
      return NamespacePlace(inode: inode, name: "thread \(thread) of pid \(pid)", path: path)
    }
  }

  /// The number in `net:[4026531840]`.
  static func inode(_ path: String) -> UInt32? {
    guard let link = try? Files.link(path) else { return nil }
    return unsafe link.withUnsafeBytes { unsafe DescriptorReading.inode($0, after: "net:[") }
  }

  private static func named() -> [String] {
    guard let folder = unsafe opendir("/run/netns") else { return [] }
    defer { unsafe closedir(folder) }
    var names: [String] = []
    while let entry = unsafe readdir(folder) {
      let name = unsafe withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
        unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted()
  }
}
