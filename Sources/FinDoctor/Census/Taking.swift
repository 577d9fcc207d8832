extension Census {
  /// What to look at. The less, the faster.
  public struct Options: Hashable, Sendable {
    /// Of which transports. MPTCP's paths are sockets of TCP.
    public var transports: Set<Transport> = [.tcp, .udp, .mptcp]
    /// Unix sockets as well.
    public var readsUnixSockets = true
    /// `tcp_info` and memory: without them, nothing can be said of times and drops.
    public var readsDetails = true
    /// Memory, if details are read at all: without it, nothing can be said of drops.
    public var readsMemory = true
    /// Other network namespaces, as far as they may be entered.
    public var readsAllNamespaces = true
    /// Who holds which socket, and what program it is.
    public var readsHolders = true
    /// Sockets that no table lists. Needs the holders.
    public var readsDetached = true
    /// Where processes have very many descriptors, and root asks, a small program (BPF) is loaded into the kernel for a moment
    /// that lists them in one pass, in a tenth of the time that their links in `/proc` take. What is found is the same.
    public var loadsProgram = true
    /// What the kernel allows.
    public var readsLimits = true
    /// How long to wait before a descriptor that no table lists is looked at a second time: a program may be between
    /// `socket` and `connect`.
    public var secondLook: Duration = .zero

    /// Everything.
    public init() {}
  }

  /// Why there is no census at all.
  public struct Failure: Error, Hashable, Sendable, CustomStringConvertible {
    /// A sentence for a person.
    public let description: String
  }

  /// Takes a census of the running machine.
  ///
  /// It needs no rights; what it may not see it counts in ``blindness``. It makes threads of its own, which have ended when
  /// it returns, and it blocks: call it outside of tasks.
  /// - Throws: When `/proc` or the kernel's tables cannot be read at all.
  public static func take(_ options: Options = Options()) throws(Failure) -> Census {
    var census = Census(when: Clock.now())
    let pids: ContiguousArray<Int32>
    do throws(KernelError) {
      pids = try DescriptorReading.processes(in: OwnDescriptor("/proc"))
    } catch {
      throw Failure(description: "/proc cannot be read: \(error)")
    }

    // The kernel writes its tables on one processor while the descriptors are read on another.
    var places = NamespacePlace.find(pids)
    if !options.readsAllNamespaces {
      census.blindness.namespacesLeftOut = places.count - 1
      places.removeSubrange(1...)
    }
    var dumping = [NamespaceDumps.begin(places, beginsWithOwn: true, options)]
    var reading = DescriptorReading()
    if options.readsHolders {
      let inOnePass = options.loadsProgram ? DescriptorReading.readInOnePass(pids) : nil
      reading = inOnePass ?? .read(pids, threads: Threads.useful)
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
        // Out of the list, so that its rows have one owner and are not copied when others are put behind them.
        let dump = dumps[place].take()
        told.transports.subtract(dump?.incomplete ?? [])
        census.take(dump)
      }
    }
    guard census.namespaces.first?.isRead == true else {
      throw Failure(
        description: census.blindness.refusedDumps.first ?? "the kernel's tables could not be read: no thread to be had"
      )
    }
    if options.readsHolders, options.readsDetached {
      census.findDetached(told, reading: places, held: reading.namespaces)
    }
    if options.readsHolders {
      census.readPrograms()
      census.readCgroups()
    }
    return census
  }

  private mutating func take(_ reading: DescriptorReading) {
    for process in reading.processes where !process.isReadable {
      blindness.unreadableProcesses[process.user, default: 0] += 1
    }
    blindness.vanishedProcesses = reading.ended.count
    holders = Holders(
      sockets: reading.sockets, processes: reading.processes, epolls: reading.epolls, ledgers: reading.ledgers,
      rings: reading.rings)
  }

  /// Puts what one namespace told beside the others.
  mutating func take(_ dump: consuming NamespaceDump?) {
    if dump?.isGone == true {
      blindness.vanishedNamespaces += 1
      return
    }
    guard let dump, dump.namespace.isOwn || dump.namespace.isRead else {
      blindness.skippedNamespaces += 1
      return
    }
    let index = UInt16(clamping: namespaces.count)
    namespaces.append(dump.namespace)
    blindness.damagedAnswers += dump.damagedAnswers
    blindness.interruptedDumps += dump.interruptedDumps
    for sentence in dump.refused where !blindness.refusedDumps.contains(sentence) {
      blindness.refusedDumps.append(sentence)
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

  /// Puts Unix sockets of a namespace behind those that there are.
  mutating func append(_ others: UnixSockets, _ index: UInt16, except known: NumberSet = NumberSet()) {
    var all = UnixSockets(rows: unixSockets, names: unixNames, waiting: unixWaiting)
    all.append(others, namespace: index, except: known)
    unixSockets = all.rows
    unixNames = all.names
    unixWaiting = all.waiting
  }

  /// Of each process that holds a socket, and of those alone: a machine may have thousands that do not.
  private mutating func readPrograms() {
    var last: Int32 = -1
    var pids: Set<Int32> = []
    for holder in holders.entries where holder.pid != last {
      last = holder.pid
      pids.insert(last)
    }
    for pid in pids { programs[pid] = Program.read(pid) }
  }
}
