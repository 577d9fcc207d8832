internal import CFin
internal import Glibc
internal import Synchronization

/// The census of descriptors: every `/proc/PID/fd`, by as many threads as there are processors.
struct DescriptorReading: Sendable {
  var sockets: ContiguousArray<Holder> = []
  var epolls: ContiguousArray<Holder> = []
  var ledgers: ContiguousArray<Holder> = []
  var rings: ContiguousArray<Holder> = []
  var processes: ContiguousArray<HoldingProcess> = []
  /// Descriptors that are network namespaces: they keep one alive that no process needs to be in.
  var namespaces: ContiguousArray<Holder> = []
  var vanished = 0

  /// The numbers of all processes.
  static func processes(in proc: borrowing OwnDescriptor) throws(KernelError) -> ContiguousArray<Int32> {
    var pids: ContiguousArray<Int32> = []
    try FolderReader().forEachNumber(in: proc.number) { pids.append($0) }
    return pids
  }

  /// Reads the descriptors of these processes.
  /// - Parameter threads: How many read, this one included.
  static func read(_ pids: ContiguousArray<Int32>, threads: Int) -> DescriptorReading {
    let next = Next()
    let helpers = (1..<max(1, threads)).map { _ in OwnThread { reading(pids, next) } }
    var all = reading(pids, next)
    for helper in helpers { if let some = helper.join() { all.append(some) } }
    return all
  }

  private final class Next: Sendable {
    private let place = Atomic(0)
    func take() -> Int { place.wrappingAdd(1, ordering: .relaxed).oldValue }
  }

  private static func reading(_ pids: ContiguousArray<Int32>, _ next: Next) -> DescriptorReading {
    var all = DescriptorReading()
    let reader = FolderReader()
    while true {
      let place = next.take()
      guard place < pids.count else { return all }
      all.read(pids[place], with: reader)
    }
  }

  private mutating func append(_ others: DescriptorReading) {
    sockets += others.sockets
    epolls += others.epolls
    ledgers += others.ledgers
    rings += others.rings
    processes += others.processes
    namespaces += others.namespaces
    vanished += others.vanished
  }

  /// What is read of one process before it ends stays: it was true at that moment.
  private mutating func read(_ pid: Int32, with reader: borrowing FolderReader) {
    let path = "/proc/\(pid)/fd"
    do throws(KernelError) {
      let folder = try OwnDescriptor(path, flags: O_RDONLY | CInt(FIN_O_DIRECTORY))
      let status = try folder.status()
      let before = sockets.count
      try unsafe reader.forEachLink(in: folder.number) { descriptor, target in
        unsafe take(Holder(inode: 0, pid: pid, descriptor: descriptor), target)
      }
      append(pid, status, isReadable: true, hasSome: sockets.count > before)
    } catch {
      if error.isGone {
        vanished += 1
      } else if let status = try? Files.status(path) {
        append(pid, status, isReadable: false, hasSome: false)
      } else {
        vanished += 1
      }
    }
  }

  private mutating func append(_ pid: Int32, _ status: stat, isReadable: Bool, hasSome: Bool) {
    // Before Linux 6.2 the size is 0 whatever is open.
    let count = status.st_size == 0 && hasSome ? nil : UInt32(clamping: status.st_size)
    processes.append(
      HoldingProcess(pid: pid, user: status.st_uid, descriptorCount: count, isReadable: isReadable))
  }

  private mutating func take(_ holder: Holder, _ target: UnsafeRawBufferPointer) {
    var holder = holder
    // "socket:[123]", "net:[4026531840]": told apart by the first byte, because there are so many of them.
    switch unsafe target[0] {
    case UInt8(ascii: "s"):
      guard let inode = unsafe Self.inode(target, after: "socket:[") else { return }
      holder.inode = inode
      sockets.append(holder)
    case UInt8(ascii: "n"):
      guard let inode = unsafe Self.inode(target, after: "net:[") else { return }
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

  /// The number in brackets behind a prefix.
  static func inode(_ target: UnsafeRawBufferPointer, after prefix: StaticString) -> UInt32? {
    let start = prefix.utf8CodeUnitCount
    guard target.count > start + 1, unsafe target[target.count - 1] == UInt8(ascii: "]"),
      unsafe target.begins(with: prefix)
    else { return nil }
    return unsafe UInt32(decimal: UnsafeRawBufferPointer(rebasing: target[start..<target.count - 1]))
  }
}
