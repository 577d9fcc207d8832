internal import FinBase

extension Census {
  /// The data to read. Less data takes less time.
  public struct Options: Hashable, Sendable {
    /// The transports to read. MPTCP's subflows are TCP sockets.
    public var transports: Set<Transport> = [.tcp, .udp, .mptcp]
    /// Whether to read Unix sockets.
    public var readsUnixSockets = true
    /// Whether to read `tcp_info` and memory use: without them, times and drops are unknown.
    public var readsDetails = true
    /// Whether to read memory use, if details are read at all: without it, drops are unknown.
    public var readsMemory = true
    /// Whether to read other network namespaces, as far as they may be entered.
    public var readsAllNamespaces = true
    /// Whether to read the processes that hold each socket, and their programs.
    public var readsHolders = true
    /// Whether to find sockets that no table lists. It needs the holders.
    public var readsDetached = true
    /// Whether a BPF program may list the descriptors, where processes have very many of them and root takes the
    /// census. It is loaded into the kernel for a moment and lists them in one pass, in a tenth of the time that
    /// reading their links in `/proc` takes. The result is the same.
    public var loadsProgram = true
    /// Whether to read the kernel's limits.
    public var readsLimits = true
    /// Names of interfaces whose indices are looked up in each namespace that is read.
    package var interfaceNames: Set<String> = []
    /// The delay before a descriptor that no table lists is checked a second time: a program may be between `socket`
    /// and `connect`.
    public var secondLook: Duration = .zero

    /// Options that read everything.
    public init() {}
  }

  /// The reason why no census could be taken.
  public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
    /// A sentence for display.
    public let description: String
  }

  /// Takes a census of the running machine.
  ///
  /// It needs no rights, and counts in ``gaps`` what it may not read. It starts threads of its own, which have
  /// ended when it returns. The call blocks: make it outside of tasks.
  ///
  /// The kernel may wait for another program: for memory on a file system that does not answer, for a lock. Such a
  /// reading is given up after a deadline, and ``gaps`` says which process did not answer. Its thread stays until the
  /// kernel lets go of it, and until then this process cannot end. The command `fin` makes such readings in processes
  /// that it can leave behind.
  /// - Throws: When `/proc` or the kernel's tables cannot be read at all.
  public static func take(_ options: Options = Options()) throws(Failure) -> Census {
    var census = Census(when: Moment(monotonic: UInt64(SystemClock.monotonic), wall: SystemClock.wall))
    let pids: ContiguousArray<Int32>
    do throws(KernelError) {
      pids = try DescriptorReading.processes(in: Descriptor("/proc"))
    } catch {
      throw Failure(description: "/proc cannot be read: \(error)")
    }

    // The kernel dumps its tables on one processor while the descriptors are read on another.
    var places = NamespacePlace.find(pids)
    if !options.readsAllNamespaces {
      census.gaps.namespacesLeftOut = places.count - 1
      places.removeSubrange(1...)
    }
    var dumping = [NamespaceDumps.begin(places, beginsWithOwn: true, options)]
    var reading = DescriptorReading()
    var isInOnePass = false
    if options.readsHolders {
      let inOnePass = options.loadsProgram ? DescriptorReading.readInOnePass(pids) : nil
      isInOnePass = inOnePass != nil
      reading = inOnePass ?? .read(pids, threads: ParallelChunks.usefulThreads)
      if options.readsAllNamespaces {
        let held = NamespacePlace.find(held: reading.namespaces, beyond: places)
        places += held
        if !held.isEmpty { dumping.append(.begin(held, beginsWithOwn: false, options)) }
      }
    }
    census.take(reading)
    census.namespaces = []
    var told = options
    for dumping in dumping {
      var dumps = dumping.join()
      for place in dumps.indices {
        // Taken out of the array, so that its rows have one owner and are not copied when others are appended.
        let dump = dumps[place].take()
        told.transports.subtract(dump?.incomplete ?? [])
        census.take(dump)
      }
    }
    guard census.namespaces.first?.isRead == true else {
      throw Failure(
        description: census.gaps.refusedDumps.first
          ?? "the kernel's tables could not be read: no thread could be started"
      )
    }
    if options.readsHolders, options.readsDetached {
      census.findDetached(told, reading: places, held: reading.namespaces)
    }
    for inode in census.gaps.lockedSockets {
      if let holder = census.holders.first(of: inode) {
        census.gaps.note(.sockets, of: holder.pid)
      }
    }
    if options.readsHolders {
      census.findKeepers(reading: places, isInOnePass: isInOnePass)
      census.readPrograms()
      census.readCgroups()
    }
    return census
  }

  private mutating func take(_ reading: DescriptorReading) {
    for process in reading.processes where !process.isReadable {
      gaps.unreadableProcesses[process.user, default: 0] += 1
    }
    gaps.vanishedProcesses = reading.ended.count
    holders = Holders(
      sockets: reading.sockets, processes: reading.processes, epolls: reading.epolls, ledgers: reading.ledgers,
      rings: reading.rings)
  }

  /// Adds the dump of one namespace.
  mutating func take(_ dump: consuming NamespaceDump?) {
    if dump?.isGone == true {
      gaps.vanishedNamespaces += 1
      return
    }
    guard let dump, dump.namespace.isOwn || dump.namespace.isRead else {
      gaps.skippedNamespaces += 1
      return
    }
    let index = UInt16(clamping: namespaces.count)
    namespaces.append(dump.namespace)
    gaps.damagedAnswers += dump.damagedAnswers
    gaps.interruptedDumps += dump.interruptedDumps
    gaps.socketsWithoutDetails += dump.withoutDetails
    gaps.lockedSockets += dump.locked.map(\.inode)
    for sentence in dump.refused where !gaps.refusedDumps.contains(sentence) {
      gaps.refusedDumps.append(sentence)
    }
    if sockets.isEmpty && index == 0 {
      sockets = dump.sockets
    } else {
      for var row in dump.sockets {
        row.namespace = index
        sockets.append(row)
      }
    }
    append(dump.unix, index)
  }

  /// Appends the Unix sockets of a namespace.
  mutating func append(_ others: UnixSockets, _ index: UInt16, except known: NumberSet = NumberSet()) {
    var all = UnixSockets(rows: unixSockets, names: unixNames, waiting: unixWaiting)
    all.append(others, namespace: index, except: known)
    unixSockets = all.rows
    unixNames = all.names
    unixWaiting = all.waiting
  }

  /// Reads the program of each process that holds a socket. A machine may have thousands of other processes.
  private mutating func readPrograms() {
    var last: Int32 = -1
    var pids: Set<Int32> = []
    for holder in holders.entries where holder.pid != last {
      last = holder.pid
      pids.insert(last)
    }
    for case .ring(let pid) in keepers.values { pids.insert(pid) }
    readPrograms(of: pids.sorted())
  }

  /// Reads the programs of these processes.
  mutating func readPrograms(of pids: [Int32]) {
    Program.read(pids) { program, isSilent in
      programs[program.pid] = program
      if isSilent { gaps.note(.commandLine, of: program.pid) }
    }
  }
}
