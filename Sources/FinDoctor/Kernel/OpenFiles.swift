internal import Glibc

/// The open files of all processes that a census asks for, told by the kernel in one pass over its tables.
///
/// The iterator `task_file` (Linux 5.8) shows each file of each process to a program of thirty instructions, which writes down
/// whose it is, its number, its inode and what kind of thing it is. A link in `/proc` says the same of one descriptor in
/// several microseconds; here it is about half of one. The program refers to nothing but what the kernel's description of
/// its types names, and is gone with the last of its descriptors, at the end of the pass.
struct OpenFiles {
  /// What an open file is, as far as a census asks: the number of the file system that it is a file of.
  enum Kind: UInt32, CaseIterable {
    /// SOCKFS_MAGIC
    case socket = 0x534f_434b
    /// ANON_INODE_FS_MAGIC: an epoll instance, an io_uring, and much else.
    case anonymous = 0x0904_1934
    /// TMPFS_MAGIC: memory files, and those of `/dev/shm` and `/tmp`.
    case memory = 0x0102_1994
    /// NSFS_MAGIC
    case namespace = 0x6e73_6673
  }

  /// One open file.
  struct Entry {
    var kind: Kind
    /// For a socket, the number in `socket:[123]`.
    var holder: Holder
  }

  /// Where the members lie that the program reads, and what it is called by.
  struct Layout: Hashable {
    var iterator: Int
    var pid: Int
    var tgid: Int
    var inode: Int
    var number: Int
    var fileSystem: Int
    var magic: Int

    /// Nil when these types lack one of them, or lay it out in a way that cannot be.
    init?(_ types: KernelTypes) {
      guard let iterator = types.number(of: "bpf_iter_task_file", .function),
        let pid = types.offset(of: "pid", in: "task_struct"), let tgid = types.offset(of: "tgid", in: "task_struct"),
        let inode = types.offset(of: "f_inode", in: "file"), let number = types.offset(of: "i_ino", in: "inode"),
        let fileSystem = types.offset(of: "i_sb", in: "inode"),
        let magic = types.offset(of: "s_magic", in: "super_block"),
        // An instruction has 16 bits for them.
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

    /// That of the running kernel, which does not change; nil where it does not tell.
    static let ofRunningKernel: Layout? = KernelTypes.ofRunningKernel().flatMap { Layout($0) }
  }

  /// Calls `body` with each, those of a process one behind the other.
  ///
  /// It is believed only if it found a socket that was made for this, with our number and the right inode: so that a layout that
  /// is not this kernel's, and a process whose number is another one in the kernel's own count, as in a container, are noticed.
  /// - Returns: Whether that was all of them, and true.
  static func forEach(_ layout: Layout, _ body: (Entry) -> Void) -> Bool {
    let known = OwnDescriptor(adopting: socket(AF_UNIX, CInt(SOCK_DGRAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0))
    guard let inode = try? known.status().st_ino else { return false }
    let own = Holder(inode: UInt32(truncatingIfNeeded: inode), pid: Own.pid, descriptor: known.number)
    var isFound = false
    do throws(KernelError) {
      try KernelIterator(program(layout), over: layout.iterator).forEachPiece { piece in
        var place = 0
        while place + recordSize <= piece.byteCount {
          if let kind = Kind(rawValue: piece.number(at: place + 12)) {
            let holder = Holder(
              inode: piece.number(at: place + 8), pid: piece.number(at: place),
              descriptor: piece.number(at: place + 4))
            if holder == own, kind == .socket { isFound = true } else { body(Entry(kind: kind, holder: holder)) }
          }
          place += recordSize
        }
      }
    } catch {
      return false
    }
    return isFound
  }

  private static let recordSize = 16

  /// The program. It is handed `{ meta, task, descriptor, file }`, eight bytes each.
  static func program(_ layout: Layout) -> [UInt64] {
    var program = KernelProgram()
    let context = KernelProgram.Register.r6
    program.copy(context, .r1)
    // At the end, once, without a file.
    program.load(.r7, context, 8)
    program.leave(ifZero: .r7)
    program.load(.r8, context, 24)
    program.leave(ifZero: .r8)
    // A thread with a table of descriptors of its own: /proc/PID/fd does not show those either.
    program.load(.r1, .r7, layout.tgid, .word)
    program.load(.r2, .r7, layout.pid, .word)
    program.leave(unless: .r1, is: .r2)
    program.store(.r1, at: -16)
    program.load(.r1, context, 16, .word)
    program.store(.r1, at: -12)
    program.load(.r2, .r8, layout.inode)
    program.load(.r1, .r2, layout.number)
    program.store(.r1, at: -8)
    program.load(.r2, .r2, layout.fileSystem)
    program.load(.r1, .r2, layout.magic)
    program.leave(unless: .r1, isOneOf: Kind.allCases.map(\.rawValue))
    program.store(.r1, at: -4)
    // Where to write stands at the beginning of the first part.
    program.load(.r1, context, 0)
    program.load(.r1, .r1, 0)
    program.copy(.r2, .frame)
    program.add(.r2, -16)
    program.set(.r3, Int32(recordSize))
    program.call(127)  // bpf_seq_write
    return program.ended()
  }
}
