internal import CFin
internal import FinBase
internal import Glibc

/// The census of descriptors: a scan of every `/proc/PID/fd` by several threads.
struct DescriptorReading: Sendable {
  var sockets: ContiguousArray<Holder> = []
  var epolls: ContiguousArray<Holder> = []
  var ledgers: ContiguousArray<Holder> = []
  var rings: ContiguousArray<Holder> = []
  var processes: ContiguousArray<HoldingProcess> = []
  /// Descriptors of network namespaces. Such a descriptor keeps a namespace alive that no process needs to be in.
  var namespaces: ContiguousArray<Holder> = []
  /// Processes that ended while they were read.
  var ended: Set<Int32> = []
  /// Processes whose folder could be listed and whose links could not be read.
  private var closed: Set<Int32> = []
  /// The descriptors of processes that have enough of them for several threads to share the work; read in a
  /// second step.
  private var parts: [Part] = []

  /// Some of the descriptors of one process, by number.
  private struct Part: Sendable {
    var pid: Int32
    var folder: String
    var numbers: ArraySlice<Int32>
  }

  /// Returns the numbers of all processes.
  static func processes(in proc: borrowing Descriptor) throws(KernelError) -> ContiguousArray<Int32> {
    var pids: ContiguousArray<Int32> = []
    try FolderReader().forEachNumber(in: proc.number) { pids.append($0) }
    return pids
  }

  /// Reads the descriptors of these processes, link by link.
  /// - Parameters:
  ///   - threads: The number of threads that read, the calling one included.
  ///   - share: A process with more descriptors than this is read in parts of this size.
  static func read(_ pids: ContiguousArray<Int32>, threads: Int, share: Int = 2048) -> DescriptorReading {
    var all = together(threads, pids.count) { $0.read(pids[$1], share: share, with: $2) }
    let parts = all.parts
    all.parts = []
    // One thread lists a folder. Reading the link targets takes four times as long, so all threads share that.
    if !parts.isEmpty { all.append(together(threads, parts.count) { $0.read(parts[$1], with: $2) }) }
    for place in all.processes.indices where all.closed.contains(all.processes[place].pid) {
      all.processes[place].isReadable = false
    }
    return all
  }

  /// Does `count` pieces of work, each on the next thread that is free.
  private static func together(
    _ threads: Int, _ count: Int,
    _ body: @escaping @Sendable (inout DescriptorReading, Int, borrowing FolderReader) -> Void
  ) -> DescriptorReading {
    let next = Counter()
    @Sendable func work() -> DescriptorReading {
      var all = DescriptorReading()
      let reader = FolderReader()
      while true {
        let place = next.take()
        guard place < count else { return all }
        body(&all, place, reader)
      }
    }
    let helpers = (1..<max(1, min(threads, count))).map { _ in JoinableThread { work() } }
    var all = work()
    for helper in helpers { if let some = helper.join() { all.append(some) } }
    return all
  }

  private mutating func append(_ others: DescriptorReading) {
    sockets += others.sockets
    epolls += others.epolls
    ledgers += others.ledgers
    rings += others.rings
    processes += others.processes
    namespaces += others.namespaces
    ended.formUnion(others.ended)
    closed.formUnion(others.closed)
    parts += others.parts
  }

  /// Reads one process. Entries that were read before the process ended are kept: they were true at that moment.
  private mutating func read(_ pid: Int32, share: Int, with reader: borrowing FolderReader) {
    var path = "/proc/\(pid)/fd"
    do throws(KernelError) {
      var folder = try Descriptor(path, flags: O_RDONLY | CInt(FIN_O_DIRECTORY))
      var status = try folder.status()
      if status.st_size == 0, let other = Self.folder(ofOtherThread: pid, reader) {
        path = other
        folder = try Descriptor(path, flags: O_RDONLY | CInt(FIN_O_DIRECTORY))
        status = try folder.status()
      }
      if status.st_size > share {
        var numbers: [Int32] = []
        numbers.reserveCapacity(Int(min(status.st_size, 1 << 20)))
        try reader.forEachNumber(in: folder.number) { numbers.append($0) }
        for start in stride(from: 0, to: numbers.count, by: share) {
          parts.append(
            Part(pid: pid, folder: path, numbers: numbers[start..<min(start + share, numbers.count)]))
        }
        append(pid, status, isReadable: true, hasSome: true)
        return
      }
      let before = sockets.count
      let isRefused = try unsafe reader.forEachLink(in: folder.number) { descriptor, target in
        unsafe take(Holder(inode: 0, pid: pid, descriptor: descriptor), target)
      }
      append(pid, status, isReadable: !isRefused, hasSome: sockets.count > before)
    } catch {
      if error.isGone {
        ended.insert(pid)
      } else if let status = try? Files.status(path) {
        append(pid, status, isReadable: false, hasSome: false)
      } else {
        ended.insert(pid)
      }
    }
  }

  /// The folder of descriptors of a thread that goes on after the first thread of its process has ended
  /// (`pthread_exit` in `main`): the process's own folder is then empty. Nil for a process with one thread.
  private static func folder(ofOtherThread pid: Int32, _ reader: borrowing FolderReader) -> String? {
    let tasks = "/proc/\(pid)/task"
    // A link for each thread, and two of the folder itself. Most processes without descriptors are threads of the
    // kernel.
    guard let status = try? Files.status(tasks), status.st_nlink > 3 else { return nil }
    var threads: [Int32] = []
    if let folder = try? Descriptor(tasks, flags: O_RDONLY | CInt(FIN_O_DIRECTORY)) {
      try? reader.forEachNumber(in: folder.number) { threads.append($0) }
    }
    return threads.lazy.map { "\(tasks)/\($0)/fd" }.first { ((try? Files.status($0))?.st_size ?? 0) > 0 }
  }

  /// Reads a part of a process whose folder was listed before.
  private mutating func read(_ part: Part, with reader: borrowing FolderReader) {
    do throws(KernelError) {
      let folder = try Descriptor(part.folder, flags: O_RDONLY | CInt(FIN_O_DIRECTORY))
      sockets.reserveCapacity(sockets.count + part.numbers.count)
      for descriptor in part.numbers {
        let isRefused = unsafe reader.readLink(descriptor, in: folder.number) { target in
          unsafe take(Holder(inode: 0, pid: part.pid, descriptor: descriptor), target)
        }
        if isRefused {
          closed.insert(part.pid)
          break
        }
      }
    } catch {
      if error.isGone { ended.insert(part.pid) } else { closed.insert(part.pid) }
    }
  }

  mutating func append(_ pid: Int32, _ status: stat, isReadable: Bool, hasSome: Bool) {
    // Before Linux 6.2 the size is 0, whatever is open.
    let count = status.st_size == 0 && hasSome ? nil : UInt32(clamping: status.st_size)
    processes.append(
      HoldingProcess(pid: pid, user: status.st_uid, descriptorCount: count, isReadable: isReadable))
  }

  mutating func take(_ holder: Holder, _ target: UnsafeRawBufferPointer) {
    var holder = holder
    // "socket:[123]", "net:[4026531840]": the first byte decides, which is quick, because there may be very many.
    switch unsafe target[0] {
    case UInt8(ascii: "s"):
      guard let inode = unsafe linkedInode(target, after: "socket:[") else { return }
      holder.inode = inode
      sockets.append(holder)
    case UInt8(ascii: "n"):
      guard let inode = unsafe linkedInode(target, after: "net:[") else { return }
      holder.inode = inode
      namespaces.append(holder)
    case UInt8(ascii: "a"):
      if unsafe target.begins(with: "anon_inode:[eventpoll]") { epolls.append(holder) }
      if unsafe target.begins(with: "anon_inode:[io_uring]") { rings.append(holder) }
    case UInt8(ascii: "/"):
      if unsafe target.begins(with: "/memfd:fin-ledger") { ledgers.append(holder) }
    default: break
    }
  }
}
