internal import FinBase
internal import Glibc

extension Program {
  /// Reads a process's program from `/proc`; nil when the process has ended.
  ///
  /// A value that may not be read is left out. Other users may have chosen the bytes: all of them are escaped.
  package static func read(_ pid: Int32) -> Program? {
    var found: Program?
    read([pid]) { program, _ in found = program }
    return found
  }

  /// Reads the programs of several processes, and calls `body` with each and with whether it did not answer: then its
  /// command line is unknown.
  static func read(_ pids: [Int32], _ body: (Program, _ isSilent: Bool) -> Void) {
    var programs = pids.compactMap { readAtOnce($0) }
    // A command line is read from the memory of the process, which may be on a file system that does not answer, and
    // whose map may be locked.
    let readings = programs.map {
      Helpers.Reading(
        pid: $0.pid, user: $0.user, request: .read(path: "/proc/\($0.pid)/cmdline", limit: Budget.commandLine))
    }
    Helpers.perform(readings) { place, answer in
      programs[place].take(commandLine: answer.bytes)
      body(programs[place], answer.isSilent)
    }
  }

  /// Reads what the kernel answers without waiting for the process.
  private static func readAtOnce(_ pid: Int32) -> Program? {
    let folder: Descriptor
    do throws(KernelError) { folder = try Descriptor("/proc/\(pid)") } catch { return nil }
    guard let comm = try? Files.read("comm", in: folder.number, limit: 64), let status = try? folder.status() else {
      return nil
    }
    // The kernel ends the short name with a line feed, and the name may hold others.
    let short = comm.last == 10 ? comm.dropLast() : comm[...]
    var program = Program(pid: pid, name: visible(short), user: status.st_uid)
    if let path = try? Files.link("exe", in: folder.number), !path.isEmpty {
      program.executable = visible(path)
      program.fileName = visible(fileName(path))
      program.name = name(short, ofFile: fileName(path))
    }
    if let bytes = try? Files.read("stat", in: folder.number, limit: 4096) { program.take(stat: bytes) }
    if let bytes = try? Files.read("limits", in: folder.number, limit: 8192) { program.take(limits: bytes) }
    if let bytes = try? Files.read("cgroup", in: folder.number, limit: 16384) { program.take(cgroup: bytes) }
    return program
  }

  /// Reads a command line, in which a zero ends each word.
  private mutating func take(commandLine line: [UInt8]) {
    var line = line
    if line.isEmpty { return }
    script = Script.name(executable: fileName, line: line).map { visible($0) }
    while line.last == 0 { line.removeLast() }
    commandLine = visible(line.map { $0 == 0 ? 32 : $0 })
  }

  /// The name for display: the file name where the short one is its beginning, cut by the kernel, else the short one.
  static func name(_ short: ArraySlice<UInt8>, ofFile file: ArraySlice<UInt8>) -> String {
    short.isEmpty || short.count >= 15 && file.starts(with: short) ? visible(file) : visible(short)
  }

  /// The last component of a path. The kernel appends ` (deleted)` to the path of a file that was replaced.
  static func fileName(_ path: [UInt8]) -> ArraySlice<UInt8> {
    var path = path[...]
    let deleted = Array(" (deleted)".utf8)
    if path.count > deleted.count, path.suffix(deleted.count).elementsEqual(deleted) { path.removeLast(deleted.count) }
    return path.suffix(from: path.lastIndex(of: UInt8(ascii: "/")).map { $0 + 1 } ?? path.startIndex)
  }

  /// Reads `PID (name) state parent group …`. The name may hold any byte; the last parenthesis ends it.
  mutating func take(stat bytes: [UInt8]) {
    guard let end = bytes.lastIndex(of: UInt8(ascii: ")")) else { return }
    let fields = Array(Fields(bytes[(end + 1)...]))
    if fields.count > 1 { parent = Int32(decimal: fields[1]) }
    if fields.count > 2 { group = Int32(decimal: fields[2]) }
    // Field 22 of the manual, counted from 1, where the state is field 3.
    if fields.count > 19, let start = UInt64(decimal: fields[19]) {
      started = start
      let (seconds, ticks) = start.quotientAndRemainder(dividingBy: UInt64(ThisProcess.ticksPerSecond))
      let sinceBoot = Duration.seconds(seconds) + .milliseconds(ticks * 1000 / UInt64(ThisProcess.ticksPerSecond))
      age = max(.zero, SystemClock.sinceBoot - sinceBoot)
    }
  }

  /// Reads the line `Max open files   1024   524288   files`.
  mutating func take(limits bytes: [UInt8]) {
    for line in bytes.split(separator: 10) where line.begins(with: "Max open files") {
      let words = Array(Fields(line))
      if words.count > 3 { descriptorLimit = UInt64(decimal: words[3]) }
    }
  }

  /// Reads `0::/system.slice/nginx.service`: the line of cgroup v2, else the first line with a path, such as
  /// systemd's own.
  mutating func take(cgroup bytes: [UInt8]) {
    let lines = bytes.split(separator: 10)
    guard let line = lines.first(where: { $0.begins(with: "0::") }) ?? lines.first(where: { $0.contains(47) }),
      let slash = line.firstIndex(of: UInt8(ascii: "/"))
    else { return }
    let cgroup = Cgroup(path: line[slash...])
    (cgroupPath, unit, container) = (cgroup.path, cgroup.unit, cgroup.container)
  }
}
