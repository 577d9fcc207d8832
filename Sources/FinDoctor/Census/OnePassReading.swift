internal import CFin
internal import Glibc

/// The census of descriptors in one pass of the kernel over its own tables, where there are so many that it pays.
extension DescriptorReading {
  /// Reads all descriptors in one pass.
  /// - Parameters:
  ///   - pids: The processes. Those that have begun since are read as well.
  ///   - least: With fewer descriptors in all, their links are read in less time than a program takes to be loaded.
  ///   - layout: What the program has to know of the kernel.
  /// - Returns: Nil when there are too few, or when the kernel does not let us, or lacks what is needed: then the links tell.
  static func readInOnePass(
    _ pids: ContiguousArray<Int32>, least: Int = 20_000,
    _ layout: @autoclosure () -> OpenFiles.Layout? = OpenFiles.Layout.ofRunningKernel
  ) -> DescriptorReading? {
    // Before Linux 6.2 the size is 0, and nobody knows whether it would pay.
    var count = 0
    let isWorthIt = pids.contains { pid in
      count += (try? Files.status("/proc/\(pid)/fd")).map { Int($0.st_size) } ?? 0
      return count >= least
    }
    guard isWorthIt, let layout = layout() else { return nil }

    var reading = DescriptorReading()
    var others: ContiguousArray<Holder> = []
    reading.sockets.reserveCapacity(count)
    let isTrue = OpenFiles.forEach(layout) { file in
      if file.kind == .socket { reading.sockets.append(file.holder) } else { others.append(file.holder) }
    }
    guard isTrue else { return nil }
    reading.readLinks(of: others)
    let began = Set(reading.sockets.lazy.map(\.pid)).union(others.lazy.map(\.pid)).subtracting(pids)
    for pid in pids + began {
      if let status = try? Files.status("/proc/\(pid)/fd") {
        reading.append(pid, status, isReadable: true, hasSome: status.st_size > 0)
      } else {
        reading.ended.insert(pid)
      }
    }
    return reading
  }

  /// Only the link tells an epoll instance from an event, and a ledger from any other file in memory.
  private mutating func readLinks(of holders: ContiguousArray<Holder>) {
    let reader = FolderReader()
    var rest = holders[...]
    while let pid = rest.first?.pid {
      let some = rest.prefix { $0.pid == pid }
      rest = rest.dropFirst(some.count)
      guard let folder = try? OwnDescriptor("/proc/\(pid)/fd", flags: O_RDONLY | CInt(FIN_O_DIRECTORY)) else {
        continue
      }
      for holder in some {
        unsafe reader.readLink(holder.descriptor, in: folder.number) { target in
          unsafe take(Holder(inode: 0, pid: pid, descriptor: holder.descriptor), target)
        }
      }
    }
  }
}
