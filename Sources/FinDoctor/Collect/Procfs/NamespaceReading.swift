internal import CFin
internal import FinBase
internal import Glibc

/// A network namespace that was found, and the paths by which it can be entered.
struct NamespacePlace: Sendable {
  var inode: UInt32
  var name: String
  /// The paths, tried in order. Processes come and go: where one has ended, the next is the way in.
  var paths: [String]

  init(inode: UInt32, name: String, path: String) {
    self.inode = inode
    self.name = name
    paths = [path]
  }

  /// Moves the calling thread into the namespace. It stays there.
  func enter() throws(KernelError) {
    var failure = KernelError.gone
    for path in paths {
      do throws(KernelError) {
        let entrance = try Descriptor(path)
        // Another process may have the number of one that has ended.
        guard try entrance.status().st_ino == UInt(inode) else { continue }
        _ = try calling { Int(fin_enter_network(entrance.number)) }
        return
      } catch {
        failure = error
      }
    }
    throw failure
  }

  /// Finds the paths that lead into it now; nil when there is none. Returns itself when `/proc` cannot be read.
  func foundAgain() -> NamespacePlace? {
    guard let pids = try? DescriptorReading.processes(in: Descriptor("/proc")) else { return self }
    if let place = Self.find(pids).first(where: { $0.inode == inode }) { return place }
    // A descriptor may hold it, or a thread that has left its process's namespace.
    return paths.contains { Self.inode($0) == inode } ? self : nil
  }

  static let own = "/proc/thread-self/ns/net"

  /// Finds the namespaces that processes are in or that have a name, the process's own one first.
  static func find(_ pids: ContiguousArray<Int32>) -> [NamespacePlace] {
    var found = Places(beyond: [])
    found.add(inode(own) ?? 0, "own", own)
    let device = (try? Files.status(own))?.st_dev
    for name in named() {
      let path = "/run/netns/" + name
      // A file on which no namespace is mounted is an ordinary one, on another file system.
      if let status = try? Files.status(path), status.st_dev == device, let inode = UInt32(exactly: status.st_ino) {
        found.add(inode, visible(name), path)
      }
    }
    for pid in pids {
      let path = "/proc/\(pid)/ns/net"
      if let inode = inode(path) { found.add(inode, "pid \(pid)", path) }
    }
    return found.all
  }

  /// A list of namespaces without duplicates, each with the first few paths into it.
  private struct Places {
    private(set) var all: [NamespacePlace] = []
    /// The index of each namespace; nil for those that need no second path.
    private var known: [UInt32: Int?] = [:]

    init(beyond others: [NamespacePlace]) {
      for other in others { known.updateValue(nil, forKey: other.inode) }
    }

    mutating func add(_ inode: UInt32, _ name: @autoclosure () -> String, _ path: @autoclosure () -> String) {
      if let place = known[inode] {
        if let place, all[place].paths.count < 8 { all[place].paths.append(path()) }
      } else {
        known[inode] = all.count
        all.append(NamespacePlace(inode: inode, name: name(), path: path()))
      }
    }
  }

  /// Finds a way into a namespace: its name, a process that is in it, or a descriptor that holds it.
  static func finding(_ inode: UInt32) -> NamespacePlace? {
    guard let pids = try? DescriptorReading.processes(in: Descriptor("/proc")) else { return nil }
    let places = find(pids)
    if let place = places.first(where: { $0.inode == inode }) { return place }
    let reading = DescriptorReading.read(pids, threads: 1)
    return find(held: reading.namespaces, beyond: places).first { $0.inode == inode }
  }

  /// Finds the namespaces that these descriptors hold, beyond those that are known.
  static func find(held: ContiguousArray<Holder>, beyond known: [NamespacePlace]) -> [NamespacePlace] {
    var found = Places(beyond: known)
    for holder in held {
      found.add(
        holder.inode, "fd \(holder.descriptor) of pid \(holder.pid)", "/proc/\(holder.pid)/fd/\(holder.descriptor)")
    }
    return found.all
  }

  /// Finds the namespaces that single threads of a process are in, beyond those that are known.
  static func find(threadsOf pid: Int32, beyond known: [NamespacePlace]) -> [NamespacePlace] {
    var found = Places(beyond: known)
    if let folder = try? Descriptor("/proc/\(pid)/task") {
      try? FolderReader().forEachNumber(in: folder.number) { thread in
        let path = "/proc/\(pid)/task/\(thread)/ns/net"
        if let inode = inode(path) { found.add(inode, "thread \(thread) of pid \(pid)", path) }
      }
    }
    return found.all
  }

  /// The number in `net:[4026531840]`.
  static func inode(_ path: String) -> UInt32? {
    guard let link = try? Files.link(path) else { return nil }
    return unsafe link.withUnsafeBytes { unsafe linkedInode($0, after: "net:[") }
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
