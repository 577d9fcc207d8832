internal import CFin
internal import FinBase
internal import Glibc

/// The census of descriptors by a BPF iterator, in one pass over the kernel's tables, where there are enough to be
/// worth it.
extension DescriptorReading {
  /// Reads all descriptors in one pass.
  /// - Parameters:
  ///   - pids: The processes. Those that have started since are read as well.
  ///   - least: With fewer descriptors in all, reading their links takes less time than loading a BPF program.
  ///   - layout: The kernel's layout that the BPF program needs.
  /// - Returns: Nil when there are too few descriptors, or when the kernel refuses or lacks a feature: then the links
  ///   have to be read.
  static func readInOnePass(
    _ pids: ContiguousArray<Int32>, least: Int = 20_000,
    _ layout: @autoclosure () -> BPFOpenFiles.Layout? = BPFOpenFiles.Layout.ofRunningKernel
  ) -> DescriptorReading? {
    // Where a filter of system calls forbids the calls, it may kill the process that makes them: then a helper has to.
    guard Helpers.source != nil || !ThisProcess.hasSystemCallFilter else { return nil }
    // Before Linux 6.2 the size is 0: then the count is unknown, and the links are read.
    var count = 0
    let isWorthIt = pids.contains { pid in
      count += (try? Files.status("/proc/\(pid)/fd")).map { Int($0.st_size) } ?? 0
      return count >= least
    }
    guard isWorthIt, let layout = layout() else { return nil }

    var reading = DescriptorReading()
    var others: ContiguousArray<Holder> = []
    reading.sockets.reserveCapacity(count)
    let isTrue = BPFOpenFiles.forEach(layout) { file in
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

  /// Reads in one pass which descriptors hold these sockets.
  /// - Returns: Nil when the kernel refuses or lacks a feature: then the links have to be read.
  static func holdersInOnePass(of inodes: [UInt32]) -> ContiguousArray<Holder>? {
    guard let layout = BPFOpenFiles.Layout.ofRunningKernel else { return nil }
    var found: ContiguousArray<Holder> = []
    // With more inodes, comparing each file with all of them takes longer than listing every file.
    let only = inodes.count <= 256 ? inodes : nil
    let isTrue = BPFOpenFiles.forEach(layout, only: only) { file in
      if file.kind == .socket { found.append(file.holder) }
    }
    return isTrue ? found : nil
  }

  /// Reads the links of the other files: only the link tells an epoll instance from an eventfd, and a ledger from any
  /// other file in memory.
  private mutating func readLinks(of holders: ContiguousArray<Holder>) {
    let reader = FolderReader()
    var rest = holders[...]
    while let pid = rest.first?.pid {
      let some = rest.prefix { $0.pid == pid }
      rest = rest.dropFirst(some.count)
      guard let folder = try? Descriptor("/proc/\(pid)/fd", flags: O_RDONLY | CInt(FIN_O_DIRECTORY)) else {
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
