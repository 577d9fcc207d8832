internal import CFin
internal import FinBase
internal import Glibc

extension Cgroup {
  /// Finds cgroups by their numbers, which are the inodes of their folders.
  ///
  /// The search walks the hierarchy from its root until all are found, and gives up after 20,000 folders. In a
  /// container the hierarchy is that container's part, and a cgroup outside of it is not found.
  static func find(_ numbers: Set<UInt64>) -> [UInt64: Cgroup] {
    var wanted = numbers
    var found: [UInt64: Cgroup] = [:]
    guard let root = roots.first(where: { (try? Files.status($0 + "/cgroup.controllers")) != nil }) else { return [:] }
    let reader = FolderReader()
    var paths = [""]
    var next = 0
    while next < paths.count, next < 20_000, !wanted.isEmpty {
      let path = paths[next]
      next += 1
      guard let folder = try? Descriptor(root + path, flags: O_RDONLY | CInt(FIN_O_DIRECTORY)) else { continue }
      try? reader.forEachFolder(in: folder.number) { name, number in
        let inner = path + "/" + name
        paths.append(inner)
        if wanted.remove(number) != nil { found[number] = Cgroup(path: inner.utf8) }
      }
    }
    return found
  }

  /// The places where the cgroup v2 hierarchy is mounted: alone, or beside that of v1.
  private static let roots = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"]
}

extension Census {
  /// Reads the names of the cgroups of sockets whose process is unknown.
  mutating func readCgroups() {
    var wanted: Set<UInt64> = []
    var last: UInt64 = 0
    for index in sockets.indices {
      // The root cgroup has the number 1, and belongs to no unit.
      guard let number = sockets[index].cgroup, number > 1, number != last,
        holders.first(of: sockets[index].inode) == nil
      else { continue }
      last = number
      wanted.insert(number)
    }
    cgroups = wanted.isEmpty ? [:] : Cgroup.find(wanted)
  }
}
