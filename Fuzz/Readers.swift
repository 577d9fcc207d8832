import FinBase

@testable import FinDoctor

/// Datagrams of `sock_diag` and of `rtnetlink`.
func readNetlink(_ bytes: [UInt8]) {
  for transport in Transport.allCases {
    var damage = NetlinkSocket.Damage()
    var count = 0
    _ = unsafe NetlinkSocket.walk(bytes.span.bytes, sequence: 1, &damage) { payload in
      guard let row = InetDiag.row(payload, transport: transport, namespace: 0) else { return false }
      count += 1
      _ = (row.identity, row.state.description, row.localAddress, row.multipath, row.drops, row.hasFinishedSending)
      _ = AgeBounds.inState(row)
      return true
    }
    require(count * 88 <= bytes.count, "more rows than bytes")
  }
  var unix = UnixSockets()
  var damage = NetlinkSocket.Damage()
  _ = unsafe NetlinkSocket.walk(bytes.span.bytes, sequence: 1, &damage) {
    UnixDiag.read($0, namespace: 0, into: &unix)
  }
  var all = UnixSockets()
  all.append(unix, namespace: 1)
  let census = Census(unixSockets: all.rows, unixNames: all.names, unixWaiting: all.waiting)
  for row in census.unixSockets { requirePrintable(census.name(of: row)) }
  _ = unsafe NetlinkSocket.walk(bytes.span.bytes, sequence: 1, answers: LinkDump.newLink, &damage) {
    guard $0.byteCount >= LinkDump.fixedLength else { return false }
    requirePrintable(LinkDump.link($0)?.name)
    return true
  }
  _ = unsafe HelperWork.ends(bytes.span.bytes, 1)
}

/// The `fdinfo` of epoll sets, rings and Unix sockets.
func readFdinfo(_ bytes: [UInt8]) {
  var count = 0
  _ = Watchers.Interest.forEach(in: bytes, epoll: 3) { _ in
    count += 1
    return count < 20
  }
  require(count * 20 <= bytes.count + 1, "more entries than bytes")
  Fdinfo.forEachRegisteredSocket(in: bytes) { _ in }
  require((Fdinfo.descriptorsInMessages(in: bytes) ?? 0) >= 0, "fewer messages than none")
}

/// The texts below `/proc`. The first byte selects one, so that the corpus of each grows by itself.
func readProc(_ bytes: [UInt8]) {
  guard let kind = bytes.first else { return }
  let text = Array(bytes.dropFirst())
  var program = Program(pid: 7, name: "x")
  switch kind % 12 {
  case 0: program.take(stat: text)
  case 1: program.take(limits: text)
  case 2:
    program.take(cgroup: text)
    requirePrintable(program.cgroupPath)
    requirePrintable(program.unit)
    requirePrintable(program.container)
  case 3:
    for name in ["python3.11", "node", "java", "sh"] {
      _ = Script.name(executable: name, line: text)
    }
    requirePrintable(visible(Program.fileName(text)))
    requirePrintable(Program.name(text[...], ofFile: Program.fileName(text)))
  case 4:
    _ = ProcessState(stat: text)
    _ = Watchers.BlockedThread(text, thread: 8)
  case 5:
    var counters = Counters()
    counters.take(table: text)
    counters.take(pairs: text)
  case 6:
    let ports = KernelLimits.ranges(text)
    require(ports.allSatisfy { $0.lowerBound <= $0.upperBound }, "an empty range")
  case 7:
    _ = MPTCPSupport.hasSockets("MPTCP", in: text)
  case 8:
    // A line of `syscall`, and behind it the memory of the process.
    let end = text.firstIndex(of: 10) ?? text.endIndex
    guard let set = PollSet(Array(text[..<end])), set.size <= 4 << 20 else { return }
    var memory = text[end...].dropFirst()
    let pieces: [[UInt8]?] = set.pieces.map { piece in
      guard memory.count >= piece.count else { return nil }
      defer { memory.removeFirst(piece.count) }
      return Array(memory.prefix(piece.count))
    }
    require(set.descriptors(in: pieces)?.allSatisfy { $0 >= 0 } ?? true, "a negative descriptor")
  case 9:
    unsafe text.withUnsafeBytes { target in
      guard !target.isEmpty else { return }
      var reading = DescriptorReading()
      unsafe reading.take(Holder(inode: 0, pid: 7, descriptor: 8), target)
    }
  case 10:
    // An executable, which its owner may have written.
    let names = Language.sectionNames { offset, count in
      guard offset <= text.count else { return [] }
      return Array(text[Int(offset)...].prefix(count))
    }
    _ = names.map { Language(sections: $0.split(separator: 0).map { visible($0)[...] }) }
  default:
    _ = Fields(text).compactMap { Int(decimal: $0) ?? Int(hexadecimal: $0) }
    requirePrintable(visible(text))
  }
}

/// A published ledger: 128 bytes of header, then records.
func readLedger(_ bytes: [UInt8]) {
  let head = Array(bytes.prefix(128))
  guard let ledger = try? LedgerFile(head, size: UInt64(bytes.count)) else { return }
  require(
    ledger.headerSize + ledger.count * ledger.recordSize <= bytes.count, "records beyond the end of the file")
  var names: [[UInt8]: String] = [:]
  for number in 0..<ledger.count {
    let start = ledger.headerSize + number * ledger.recordSize
    let record = bytes[start..<start + ledger.recordSize]
    guard case .socket(let cookie, _, let socket) = LedgerFile.record(record, again: record, now: 1500, names: &names)
    else { continue }
    require(cookie != 0, "a socket without a cookie")
    require((socket.opened ?? 0) <= 1500, "a socket of the future")
    requirePrintable(socket.site)
    _ = socket.deadline
  }
}

/// The output of the BPF program, and the kernel's types.
func readBPF(_ bytes: [UInt8]) {
  var count = 0
  unsafe BPFOpenFiles.forEachEntry(in: bytes.span.bytes) { _ in count += 1 }
  require(count * 16 <= bytes.count, "more files than bytes")
  if let types = BTF(bytes) {
    _ = types.offset(of: "pid", in: "task_struct")
    _ = BPFOpenFiles.Layout(types).map { BPFOpenFiles.program($0) }
  }
}

/// The requests to helpers, which come from the same program.
func readHelper(_ bytes: [UInt8]) {
  guard let request = HelperRequest(bytes[...]) else { return }
  require(HelperRequest(request.bytes[...]) == request, "a request is not read as it was written")
}

/// The text of a census file.
func readJSON(_ bytes: [UInt8]) {
  guard let text = try? JSONText(bytes) else { return }
  func walk(_ position: Int) {
    if let members = text.members(at: position) {
      let keys = Set(members.map { bytes[$0.key] })
      require(keys.count == members.count, "a key twice in one object")
      for member in members { walk(member.value) }
    } else if !text.forEachElement(at: position, walk) {
      let number: Int64? = text.number(at: position)
      let small: UInt16? = text.number(at: position)
      require(small == nil || number == small.map(Int64.init), "two numbers from one text")
      _ = (text.flag(at: position), text.string(at: position))
    }
  }
  walk(text.root)
}
