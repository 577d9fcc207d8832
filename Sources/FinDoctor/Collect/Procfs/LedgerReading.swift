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
    var budget = Budget.ledgerBytes
    for pid in wanted.sorted() {
      var reading = LedgerReading(pid, user: programs[pid]?.user, cookies[pid] ?? [:], budget: budget)
      for descriptor in holders.ledgers(of: pid) { reading.read(descriptor) }
      ledgers[pid] = reading.joined()
      gaps.unreadLedgers += reading.complaints
      if reading.isSilent { gaps.note(.ledger, of: pid) }
      budget = reading.budget
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
/// So a helper opens it, and only a file that the kernel keeps in memory. Its size says nothing: it may have holes,
/// which take no memory, and several descriptors may refer to the same one.
struct LedgerReading {
  private static let tries = 8

  private let pid: Int32
  private let user: UInt32?
  private let ownNumber: Int32
  /// The cookie of the socket behind each of the process's descriptors; nil for a socket that no table lists.
  private let cookies: [Int32: UInt64?]
  private let held: Set<UInt64>
  /// The bytes that may still be read.
  private(set) var budget: Int
  private var records = Budget.ledgerRecords
  private var taken = 0
  private var inodes: Set<UInt> = []
  private var found: [(cookie: UInt64, descriptor: Int32, socket: PublishedSocket)] = []
  private(set) var complaints: [String] = []
  private(set) var isSilent = false
  private let now = UInt64(SystemClock.monotonic)

  init(_ pid: Int32, user: UInt32? = nil, _ cookies: [Int32: UInt64?] = [:], budget: Int = Budget.ledgerBytes) {
    self.pid = pid
    self.user = user
    self.cookies = cookies
    self.budget = budget
    held = Set(cookies.values.compactMap { $0 })
    ownNumber = Self.ownNumber(of: pid)
  }

  private mutating func complain(_ text: String) { complaints.append("the ledger of process \(pid) \(text)") }

  mutating func read(_ descriptor: Int32) {
    taken += 1
    guard taken <= Budget.ledgers else {
      if taken == Budget.ledgers + 1 { complain("is one of many: no more than \(Budget.ledgers) were read") }
      return
    }
    do throws(KernelError) {
      let answer = Helpers.perform(.memoryFile(path: "/proc/\(pid)/fd/\(descriptor)"), of: pid, user: user)
      if answer.isSilent {
        isSilent = true
        return
      }
      if let failure = answer.failure { throw failure }
      guard answer.descriptor >= 0 else { return complain("is not a memory file and was not opened") }
      // The kernel has all of this file: reading it waits for no other program.
      let file = Descriptor(owning: answer.descriptor)
      let status = try file.status()
      guard inodes.insert(UInt(status.st_ino)).inserted else { return }
      let size = UInt64(max(0, status.st_size))
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
    var names: [[UInt8]: String] = [:]
    var (unsettled, absurd) = (0, 0)
    let atOnce = max(1, 65536 / ledger.recordSize)
    var place = 0
    while place < ledger.count {
      // A hole has no records.
      place += Self.records(ofHoleAt: place, in: file, ledger)
      if place >= ledger.count { break }
      let wanted = min(atOnce, ledger.count - place)
      guard records >= wanted, budget >= 2 * wanted * ledger.recordSize else {
        complain("is longer than the limit: its records from number \(place) on were not read")
        break
      }
      records -= wanted
      budget -= 2 * wanted * ledger.recordSize
      let offset = UInt64(ledger.headerSize) + UInt64(place) * UInt64(ledger.recordSize)
      let first = try file.read(wanted * ledger.recordSize, at: offset)
      // The second read must not happen before the first.
      atomicMemoryFence(ordering: .acquiringAndReleasing)
      let second = try file.read(first.count, at: offset)
      let whole = min(first.count, second.count) / ledger.recordSize
      for number in 0..<whole {
        let range = number * ledger.recordSize..<(number + 1) * ledger.recordSize
        var record = LedgerFile.record(
          first[range], again: second[range], now: now, names: &names, isWanted: isHeld)
        if record == .changing {
          record = try settled(file, offset + UInt64(range.lowerBound), ledger.recordSize, &names)
        }
        switch record {
        case .free, .other: break
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

  /// Whether the process holds the socket of a record. Records about other sockets are of no use.
  private func isHeld(_ cookie: UInt64, _ descriptor: Int32) -> Bool {
    held.contains(cookie) || cookies[descriptor] != nil
  }

  /// Reads a record again that was being written, a limited number of times.
  private func settled(
    _ file: borrowing Descriptor, _ offset: UInt64, _ size: Int, _ names: inout [[UInt8]: String]
  ) throws(KernelError) -> LedgerFile.Record {
    for _ in 0..<Self.tries {
      let first = try file.read(size, at: offset)
      atomicMemoryFence(ordering: .acquiringAndReleasing)
      let second = try file.read(size, at: offset)
      let record = LedgerFile.record(
        first[...], again: second[...], now: now, names: &names, isWanted: isHeld)
      if record != .changing { return record }
    }
    return .changing
  }

  /// The number of whole records in the hole that begins at this record; 0 where there is data.
  private static func records(ofHoleAt place: Int, in file: borrowing Descriptor, _ ledger: LedgerFile) -> Int {
    let start = ledger.headerSize + place * ledger.recordSize
    guard let data = file.data(from: start) else { return ledger.count - place }
    return max(0, data - start) / ledger.recordSize
  }

  /// Keeps the ledger entries for sockets that this process holds, matched by cookie, or by descriptor for a socket
  /// that no table lists.
  func joined() -> ProgramLedger {
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

  /// The number of a process in its own PID namespace: the last one in `NSpid`.
  private static func ownNumber(of pid: Int32) -> Int32 {
    guard let status = try? Files.read("/proc/\(pid)/status", limit: 65536) else { return pid }
    let line = status.split(separator: 10).first { $0.starts(with: "NSpid:".utf8) }
    return line.flatMap { Array(Fields($0)).last }.flatMap { Int32(decimal: $0) } ?? pid
  }
}
