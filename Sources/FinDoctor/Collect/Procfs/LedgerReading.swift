internal import CFin
internal import FinBase
internal import Glibc
internal import Synchronization

extension Census {
  /// Reads the data that these processes publish about their sockets, for the sockets that they hold.
  ///
  /// It takes a few system calls for a process, and none for one that publishes nothing.
  /// - Parameter pids: The processes that will be reported on.
  package mutating func readLedgers(of pids: some Sequence<Int32>) {
    let wanted = Set(pids.filter { ledgers[$0] == nil && !holders.ledgers(of: $0).isEmpty })
    if wanted.isEmpty { return }
    let cookies = cookies(of: wanted)
    for pid in wanted.sorted() {
      var reading = LedgerReading(pid)
      for descriptor in holders.ledgers(of: pid) { reading.read(descriptor) }
      ledgers[pid] = reading.joined(cookies[pid] ?? [:])
      gaps.unreadLedgers += reading.complaints
    }
  }

  /// The data that the program holding this socket publishes about it.
  package func published(_ socket: InetSocket) -> PublishedSocket? { published(inode: socket.inode) }

  /// The data that the program holding the socket of this inode publishes about it.
  package func published(inode: UInt32) -> PublishedSocket? {
    if ledgers.isEmpty { return nil }
    return holders.first(of: inode).flatMap { ledgers[$0.pid]?.sockets[$0.descriptor] }
  }

  /// The cookie of the socket behind each descriptor; nil for a socket that no table lists.
  private func cookies(of pids: Set<Int32>) -> [Int32: [Int32: UInt64?]] {
    var all: [Int32: [Int32: UInt64?]] = [:]
    func add(_ inode: UInt32, _ cookie: UInt64) {
      for holder in holders[inode] where pids.contains(holder.pid) {
        all[holder.pid, default: [:]].updateValue(cookie, forKey: holder.descriptor)
      }
    }
    for index in sockets.indices { add(sockets[index].inode, sockets[index].cookie) }
    for index in unixSockets.indices { add(unixSockets[index].inode, unixSockets[index].cookie) }
    for socket in detached where pids.contains(socket.pid) {
      all[socket.pid, default: [:]].updateValue(nil, forKey: socket.descriptor)
    }
    return all
  }
}

/// Reads the ledgers of one process.
///
/// A process may offer anything under the name of a ledger: a pipe, a device, a file that never ends or never answers.
/// So the kind of the file is checked before it is opened, and only a file that the kernel keeps in memory is opened.
struct LedgerReading {
  /// The most ledgers that are read from a process: more than a reader can use, and a bound for a process that makes
  /// them without end.
  private static let most = 8
  private static let tries = 8

  private let pid: Int32
  private let ownNumber: Int32
  private var taken = 0
  private var found: [(cookie: UInt64, descriptor: Int32, socket: PublishedSocket)] = []
  private(set) var complaints: [String] = []
  private let now = UInt64(SystemClock.monotonic)

  init(_ pid: Int32) {
    self.pid = pid
    ownNumber = Self.ownNumber(of: pid)
  }

  private mutating func complain(_ text: String) { complaints.append("the ledger of process \(pid) \(text)") }

  mutating func read(_ descriptor: Int32) {
    taken += 1
    guard taken <= Self.most else {
      if taken == Self.most + 1 { complain("is one of many: no more than \(Self.most) were read") }
      return
    }
    do throws(KernelError) {
      guard let file = try Self.open("/proc/\(pid)/fd/\(descriptor)") else {
        return complain("is not a memory file and was not opened")
      }
      let size = UInt64(max(0, try file.status().st_size))
      // The program is still creating the ledger.
      if size == 0 { return }
      try read(file, size)
    } catch {
      if !error.isGone { complain("could not be read: \(error)") }
    }
  }

  private mutating func read(_ file: borrowing Descriptor, _ size: UInt64) throws(KernelError) {
    let beginning = try file.read(128, at: 0)
    let ledger: LedgerFile
    do throws(LedgerFile.Failure) { ledger = try LedgerFile(beginning, size: size) } catch {
      switch error {
      case .foreign: return complain("is not in the format of a ledger")
      case .version(let number): return complain("has version \(number), which this fin cannot read")
      case .absurd: return complain("is malformed")
      }
    }
    var names: [ArraySlice<UInt8>: String] = [:]
    var (unsettled, absurd) = (0, 0)
    let atOnce = max(1, 65536 / ledger.recordSize)
    var place = 0
    while place < ledger.count {
      let wanted = min(atOnce, ledger.count - place)
      let offset = UInt64(ledger.headerSize) + UInt64(place) * UInt64(ledger.recordSize)
      let first = try file.read(wanted * ledger.recordSize, at: offset)
      // The second read must not happen before the first.
      atomicMemoryFence(ordering: .acquiringAndReleasing)
      let second = try file.read(first.count, at: offset)
      let whole = min(first.count, second.count) / ledger.recordSize
      for number in 0..<whole {
        let range = number * ledger.recordSize..<(number + 1) * ledger.recordSize
        var record = LedgerFile.record(first[range], again: second[range], now: now, names: &names)
        if record == .changing {
          record = try settled(file, offset + UInt64(range.lowerBound), ledger.recordSize, &names)
        }
        switch record {
        case .free: break
        case .changing: unsettled += 1
        case .absurd: absurd += 1
        case .socket(let cookie, let descriptor, var socket):
          socket.isInherited = ledger.pid != ownNumber
          found.append((cookie, descriptor, socket))
        }
      }
      // The file is shorter than its header says.
      if whole < wanted { break }
      place += whole
    }
    if unsettled > 0 { complain("changed too fast: \(NumberText.noun(unsettled, "record")) could not be read") }
    if absurd > 0 { complain("has \(NumberText.noun(absurd, "malformed record"))") }
    if ledger.withoutRoom > 0 {
      complain("had no room for \(NumberText.noun(Int(clamping: ledger.withoutRoom), "socket"))")
    }
  }

  /// Reads a record again that was being written, a limited number of times.
  private func settled(
    _ file: borrowing Descriptor, _ offset: UInt64, _ size: Int, _ names: inout [ArraySlice<UInt8>: String]
  ) throws(KernelError) -> LedgerFile.Record {
    for _ in 0..<Self.tries {
      let first = try file.read(size, at: offset)
      atomicMemoryFence(ordering: .acquiringAndReleasing)
      let second = try file.read(size, at: offset)
      let record = LedgerFile.record(first[...], again: second[...], now: now, names: &names)
      if record != .changing { return record }
    }
    return .changing
  }

  /// Keeps the ledger entries for sockets that this process holds, matched by cookie, or by descriptor for a socket
  /// that no table lists.
  func joined(_ cookies: [Int32: UInt64?]) -> ProgramLedger {
    var ledger = ProgramLedger(when: now)
    var byCookie: [UInt64: Int] = [:]
    for (place, entry) in found.enumerated() {
      byCookie[entry.cookie] = byCookie[entry.cookie] ?? place
      guard let cookie = cookies[entry.descriptor], cookie == nil || cookie == entry.cookie,
        ledger.sockets[entry.descriptor] == nil
      else { continue }
      ledger.sockets[entry.descriptor] = entry.socket
    }
    // A second descriptor of the same socket, made without Fin: the line that opened it is the same.
    for (descriptor, cookie) in cookies where ledger.sockets[descriptor] == nil {
      guard let cookie, let place = byCookie[cookie] else { continue }
      ledger.sockets[descriptor] = found[place].socket
      ledger.sockets[descriptor]?.isInherited = true
    }
    return ledger
  }

  // MARK: Opening

  /// Opens the file at this path for reading, if the kernel keeps it in memory.
  private static func open(_ path: String) throws(KernelError) -> Descriptor? {
    let place = try Descriptor(path, flags: CInt(FIN_O_PATH))
    guard let device = memoryDevice, fin_device_of_file(place.number) == device else { return nil }
    // This opens the file that was checked, whatever that descriptor refers to by now.
    return try Descriptor("/proc/self/fd/\(place.number)", flags: O_RDONLY | O_NONBLOCK | O_NOCTTY)
  }

  /// The device of all files in memory, taken from one that is created for this.
  private static let memoryDevice: UInt64? = {
    let number = unsafe fin_memory_file("fin")
    guard number >= 0 else { return nil }
    let own = Descriptor(owning: number)
    let device = fin_device_of_file(own.number)
    return device == 0 ? nil : device
  }()

  /// The number of a process in its own PID namespace: the last one in `NSpid`.
  private static func ownNumber(of pid: Int32) -> Int32 {
    guard let status = try? Files.read("/proc/\(pid)/status", limit: 65536) else { return pid }
    let line = status.split(separator: 10).first { $0.starts(with: "NSpid:".utf8) }
    return line.flatMap { Array(Fields($0)).last }.flatMap { Int32(decimal: $0) } ?? pid
  }
}
