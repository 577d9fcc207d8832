internal import CFin
internal import FinBase
internal import Glibc
internal import Synchronization

/// The work of a helper: it makes one reading after the other until its channel is closed.
///
/// It runs in a process of its own, or in a thread of its own; only there may a reading wait for another program.
@safe struct HelperWork: ~Copyable {
  private let channel: CInt
  private let room = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 18, alignment: 16)

  /// The packets from a helper begin with one of these, and the number of an error.
  enum Mark {
    static let more: UInt32 = 1
    static let end: UInt32 = 2
    static let cut: UInt32 = 3
    static let headLength = 8
    /// The number in place of a descriptor that was sent and for which the receiver has no room.
    static let droppedDescriptor: CInt = -2
  }

  /// - Parameter channel: The helper's end of the channel.
  init(on channel: CInt) { self.channel = channel }

  deinit { unsafe room.deallocate() }

  /// Tells the number of this process or thread, and makes readings until the other end is closed.
  func run() {
    guard send(Mark.end, code: fin_thread_number()) else { return }
    while true {
      var descriptor: CInt = -1
      guard
        let count = try? calling(
          .again,
          {
            unsafe Int(fin_receive_packet(channel, room.baseAddress!, UInt64(room.count), &descriptor, 0))
          }), count > 0
      else { return }
      // Most requests come without a descriptor.
      defer { if descriptor >= 0 { SystemClose.close(descriptor) } }
      if descriptor == Mark.droppedDescriptor {
        guard send(Mark.end, code: EMFILE) else { return }
        continue
      }
      guard let request = HelperRequest(unsafe Array(room[..<count])[...]) else { return }
      guard perform(request, with: descriptor) else { return }
    }
  }

  /// Makes a reading and sends its answer; false when the channel is closed.
  private func perform(_ request: HelperRequest, with given: CInt) -> Bool {
    do throws(KernelError) {
      switch request {
      case .read(let path, let offset, let limit): return try read(path, offset, limit)
      case .attribute(let name, let path):
        let value = try Files.attribute(name, of: path)
        return send(Mark.more, value) && send(Mark.end)
      case .memoryFile(let path):
        guard let file = try MemoryFile.open(path) else { return send(Mark.end) }
        return send(Mark.end, descriptor: file.number)
      case .options(let pid, let descriptor, let inode, let options):
        let values = try values(of: options, pid, descriptor, inode)
        return send(Mark.more, values) && send(Mark.end)
      case .netlink(let bytes): return try relay(bytes, given)
      case .openFiles(let program, let function):
        let iterator = try BPFCalls.iterate(program, over: function)
        return send(Mark.end, descriptor: iterator.number)
      }
    } catch {
      return send(Mark.end, code: error.code)
    }
  }

  private func read(_ path: String, _ offset: UInt64?, _ limit: Int) throws(KernelError) -> Bool {
    let file = try Descriptor(path, flags: O_RDONLY | O_NONBLOCK | O_NOCTTY)
    var taken = 0
    while taken < limit {
      let wanted = min(65536, limit - taken)
      let count = try calling {
        if let offset { return unsafe pread(file.number, room.baseAddress!, wanted, off_t(offset) + off_t(taken)) }
        return unsafe Glibc.read(file.number, room.baseAddress!, wanted)
      }
      if count == 0 { return send(Mark.end) }
      taken += count
      guard unsafe send(Mark.more, code: 0, UnsafeRawBufferPointer(rebasing: room[..<count])) else { return false }
    }
    return send(Mark.cut)
  }

  /// Copies a descriptor, reads its options, and closes the copy at once.
  private func values(
    of options: [HelperRequest.Option], _ pid: Int32, _ descriptor: Int32, _ inode: UInt32
  ) throws(KernelError) -> [UInt8] {
    let process = Descriptor(owning: CInt(try calling { Int(fin_open_process(pid)) }))
    let copy = Descriptor(owning: CInt(try calling { Int(fin_copy_descriptor(process.number, descriptor)) }))
    // The descriptor number may refer to another socket by now.
    guard try copy.status().st_ino == ino_t(inode) else { throw KernelError(code: EBADF) }
    var all: [UInt8] = []
    for option in options {
      var bytes = [UInt8](repeating: 0, count: Int(option.length))
      var length = socklen_t(option.length)
      let code = unsafe bytes.withUnsafeMutableBytes {
        unsafe getsockopt(copy.number, option.level, option.name, $0.baseAddress!, &length)
      }
      let count = code == 0 ? Int32(min(length, option.length)) : -1
      unsafe withUnsafeBytes(of: count) { unsafe all.append(contentsOf: $0) }
      if count > 0 { all += bytes[..<Int(count)] }
    }
    return all
  }

  /// Sends a request to the kernel, and each datagram of its answer to the other end, up to the last one.
  private func relay(_ request: [UInt8], _ netlink: CInt) throws(KernelError) -> Bool {
    _ = try calling {
      unsafe request.withUnsafeBytes { unsafe Int(fin_netlink_send(netlink, $0.baseAddress!, UInt64($0.count))) }
    }
    let sequence = unsafe request.withUnsafeBytes { unsafe $0.loadUnaligned(fromByteOffset: 8, as: UInt32.self) }
    while true {
      var sender: UInt32 = 0
      var cut: CInt = 0
      let count = try calling {
        unsafe Int(fin_netlink_receive(netlink, room.baseAddress!, UInt64(room.count), &sender, &cut))
      }
      // Only the kernel's answers count: its port is 0.
      if sender != 0 { continue }
      let datagram = unsafe UnsafeRawBufferPointer(rebasing: room[..<count])
      let isLast = unsafe Self.ends(datagram.bytes, sequence)
      guard unsafe send(cut == 0 ? Mark.more : Mark.cut, code: 0, datagram) else { return false }
      if isLast { return send(Mark.end) }
    }
  }

  /// Whether a datagram has the end of an answer: an error, or the end of a dump.
  static func ends(_ bytes: RawSpan, _ sequence: UInt32) -> Bool {
    var offset = 0
    while offset + 16 <= bytes.byteCount {
      let length = unsafe Int(bytes.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self))
      let type = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset + 4, as: UInt16.self)
      let number = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: offset + 8, as: UInt32.self)
      guard length >= 16 else { return false }
      // NLMSG_ERROR and NLMSG_DONE.
      if number == sequence, type == 2 || type == 3 { return true }
      offset += (length + 3) & ~3
    }
    return false
  }

  private func send(_ mark: UInt32, _ bytes: [UInt8]) -> Bool {
    unsafe bytes.withUnsafeBytes { unsafe send(mark, code: 0, $0) }
  }

  private func send(_ mark: UInt32, code: CInt = 0, descriptor: CInt = -1) -> Bool {
    unsafe send(mark, code: code, UnsafeRawBufferPointer(start: nil, count: 0), descriptor)
  }

  private func send(_ mark: UInt32, code: CInt, _ bytes: UnsafeRawBufferPointer, _ descriptor: CInt = -1) -> Bool {
    let head = UInt64(mark) | UInt64(UInt32(bitPattern: code)) << 32
    let sent = try? calling {
      unsafe withUnsafeBytes(of: head) { head in
        unsafe Int(
          fin_send_packet(
            channel, head.baseAddress!, UInt64(head.count), bytes.baseAddress, UInt64(bytes.count), descriptor, 0))
      }
    }
    return sent != nil
  }
}

/// The calls that load a BPF iterator.
enum BPFCalls {
  /// Loads a program, and returns the descriptor from which its output is read. It needs `CAP_BPF` and `CAP_PERFMON`.
  static func iterate(_ program: [UInt64], over function: UInt32) throws(KernelError) -> Descriptor {
    let loaded = Descriptor(
      owning: CInt(try calling { unsafe Int(fin_bpf_load(program, UInt32(program.count), function)) }))
    let link = Descriptor(owning: CInt(try calling { Int(fin_bpf_link(loaded.number)) }))
    return Descriptor(owning: CInt(try calling { Int(fin_bpf_iterate(link.number)) }))
  }
}

/// Files that the kernel keeps in memory.
enum MemoryFile {
  /// Opens the file at this path for reading, if the kernel keeps it in memory; nil for any other file.
  ///
  /// A process may offer anything under the name of a ledger: a pipe, a device, a file that never ends or answers.
  /// So the kind of the file is checked before it is opened.
  static func open(_ path: String) throws(KernelError) -> Descriptor? {
    let place = try Descriptor(path, flags: CInt(FIN_O_PATH))
    guard fin_device_of_file(place.number) == (try device()) else { return nil }
    // This opens the file that was checked, whatever that descriptor refers to by now.
    return try Descriptor("/proc/thread-self/fd/\(place.number)", flags: O_RDONLY | O_NONBLOCK | O_NOCTTY)
  }

  /// The device of all files in memory, taken from one that is created for this.
  private static func device() throws(KernelError) -> UInt64 {
    let known = knownDevice.load(ordering: .relaxed)
    if known != 0 { return known }
    // A failure is not remembered: there may be a descriptor for it the next time.
    let own = Descriptor(owning: CInt(try calling { unsafe Int(fin_memory_file("fin")) }))
    let device = fin_device_of_file(own.number)
    guard device != 0 else { throw KernelError.last }
    knownDevice.store(device, ordering: .relaxed)
    return device
  }

  private static let knownDevice = Atomic<UInt64>(0)
}
