internal import FinBase
internal import Glibc

/// The open files that a census needs, of all processes, listed by a BPF iterator in one pass over the kernel's tables.
///
/// The `task_file` iterator (Linux 5.8) shows each file of each process to a BPF program of thirty instructions. The
/// program writes the process, the descriptor's number, the inode and the kind of the file. Reading a link in `/proc`
/// takes several microseconds for the same facts about one descriptor; here it takes about half a microsecond. The
/// program refers only to members that the kernel's BTF names. It is unloaded with the last of its descriptors, at the
/// end of the pass.
struct BPFOpenFiles {
  /// The kind of an open file, as far as a census needs it: the magic number of its file system.
  enum Kind: UInt32, CaseIterable {
    /// `SOCKFS_MAGIC` of linux/magic.h.
    case socket = 0x534f_434b
    /// ANON_INODE_FS_MAGIC: an epoll instance, an io_uring, and much else.
    case anonymous = 0x0904_1934
    /// TMPFS_MAGIC: memory files, and those of `/dev/shm` and `/tmp`.
    case memory = 0x0102_1994
    /// `NSFS_MAGIC` of linux/magic.h.
    case namespace = 0x6e73_6673
  }

  /// One open file.
  struct Entry {
    var kind: Kind
    /// The descriptor and its inode; for a socket, the number in `socket:[123]`.
    var holder: Holder
  }

  /// The offsets of the members that the program reads, and the type number of the iterator's function.
  struct Layout: Hashable {
    var iterator: Int
    var pid: Int
    var tgid: Int
    var inode: Int
    var number: Int
    var fileSystem: Int
    var magic: Int

    /// Looks up the offsets; nil when these types lack a member, or place one where an instruction cannot reach it.
    init?(_ types: BTF) {
      guard let iterator = types.number(of: "bpf_iter_task_file", .function),
        let pid = types.offset(of: "pid", in: "task_struct"), let tgid = types.offset(of: "tgid", in: "task_struct"),
        let inode = types.offset(of: "f_inode", in: "file"), let number = types.offset(of: "i_ino", in: "inode"),
        let fileSystem = types.offset(of: "i_sb", in: "inode"),
        let magic = types.offset(of: "s_magic", in: "super_block"),
        // An instruction has 16 bits for an offset.
        [pid, tgid, inode, number, fileSystem, magic].allSatisfy({ $0 <= Int16.max })
      else { return nil }
      self.iterator = iterator
      self.pid = pid
      self.tgid = tgid
      self.inode = inode
      self.number = number
      self.fileSystem = fileSystem
      self.magic = magic
    }

    /// The layout of the running kernel, which does not change; nil where the kernel provides no BTF or lacks a member.
    static let ofRunningKernel: Layout? = BTF.ofRunningKernel().flatMap { Layout($0) }
  }

  /// Calls `body` for every open file, grouped by process.
  ///
  /// The pass is trusted only if it found a socket that was opened for this purpose, with this process's number and the
  /// right inode. That detects a layout that is not this kernel's, and a process whose number differs in the kernel's
  /// own count, as in a container.
  /// - Parameters:
  ///   - layout: The layout of the kernel's structures.
  ///   - only: The inodes of the files that `body` is called for; nil for those of all files. Each costs an instruction
  ///     for every file.
  ///   - body: Takes a file.
  /// - Returns: Whether the listing is complete and can be trusted; when false, the caller discards it.
  static func forEach(_ layout: Layout, only: [UInt32]? = nil, _ body: (Entry) -> Void) -> Bool {
    let known = Descriptor(owning: socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0))
    guard let inode = try? known.status().st_ino else { return false }
    let own = Holder(inode: UInt32(truncatingIfNeeded: inode), pid: ThisProcess.pid, descriptor: known.number)
    var isFound = false
    do throws(KernelError) {
      let inodes = only.map { $0 + [own.inode] }
      try BPFIterator(program(layout, only: inodes), over: layout.iterator).forEachPiece { piece in
        forEachEntry(in: piece) { entry in
          if entry.holder == own, entry.kind == .socket { isFound = true } else { body(entry) }
        }
      }
    } catch {
      return false
    }
    return isFound
  }

  /// Reads the output of the program: four numbers for each file.
  static func forEachEntry(in bytes: RawSpan, _ body: (Entry) -> Void) {
    var place = 0
    while place + recordSize <= bytes.byteCount {
      if let kind = Kind(rawValue: bytes.number(at: place + 12)) {
        let holder = Holder(
          inode: bytes.number(at: place + 8), pid: bytes.number(at: place), descriptor: bytes.number(at: place + 4))
        body(Entry(kind: kind, holder: holder))
      }
      place += recordSize
    }
  }

  private static let recordSize = 16

  /// The BPF program. Its context is `{ meta, task, descriptor, file }`, eight bytes each.
  static func program(_ layout: Layout, only inodes: [UInt32]? = nil) -> [UInt64] {
    var program = BPFProgram()
    let context = BPFProgram.Register.r6
    program.copy(context, .r1)
    // The kernel makes one last call without a file at the end.
    program.load(.r7, context, 8)
    program.leave(ifZero: .r7)
    program.load(.r8, context, 24)
    program.leave(ifZero: .r8)
    // A thread with a descriptor table of its own is skipped: /proc/PID/fd does not show its descriptors either.
    program.load(.r1, .r7, layout.tgid, .word)
    program.load(.r2, .r7, layout.pid, .word)
    program.leave(unless: .r1, is: .r2)
    program.store(.r1, at: -16)
    program.load(.r1, context, 16, .word)
    program.store(.r1, at: -12)
    program.load(.r2, .r8, layout.inode)
    program.load(.r1, .r2, layout.number)
    if let inodes { program.leave(unless: .r1, isOneOf: inodes) }
    program.store(.r1, at: -8)
    program.load(.r2, .r2, layout.fileSystem)
    program.load(.r1, .r2, layout.magic)
    program.leave(unless: .r1, isOneOf: Kind.allCases.map(\.rawValue))
    program.store(.r1, at: -4)
    // The file to write to is the first member of `meta`.
    program.load(.r1, context, 0)
    program.load(.r1, .r1, 0)
    program.copy(.r2, .frame)
    program.add(.r2, -16)
    program.set(.r3, Int32(recordSize))
    program.call(127)  // bpf_seq_write
    return program.ended()
  }
}
