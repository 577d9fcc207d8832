import FinDoctor
import Glibc

/// The metrics of this process, with the names and meanings that all exporters give them.
enum OwnProcess {
  static func samples() -> [MetricSample] {
    var all: [MetricSample] = []
    var usage = rusage()
    if unsafe getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 {
      let time = seconds(usage.ru_utime) + seconds(usage.ru_stime)
      all.append(MetricSample(.processorTime, [], .number(time)))
    }
    let sizes = (TextFile.read("/proc/self/statm") ?? "").split { $0 == " " || $0 == "\n" }
    if sizes.count > 1, let pages = Int(sizes[1]) {
      all.append(MetricSample(.residentMemory, [], .count(pages * max(1, sysconf(CInt(_SC_PAGESIZE))))))
    }
    if let count = descriptorCount() { all.append(MetricSample(.ownDescriptors, [], .count(count))) }
    var limit = rlimit()
    if unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 {
      all.append(MetricSample(.ownDescriptorLimit, [], .count(Int(clamping: limit.rlim_cur))))
    }
    if let start { all.append(MetricSample(.startTime, [], .number(start))) }
    return all
  }

  private static func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) / 1e6 }

  /// The number of this process's descriptors, without the one that counts them.
  private static func descriptorCount() -> Int? {
    guard let folder = unsafe opendir("/proc/self/fd") else { return nil }
    defer { unsafe _ = closedir(folder) }
    var count = 0
    while unsafe readdir(folder) != nil { count += 1 }
    // Two entries are the folder and its parent.
    return max(0, count - 3)
  }

  /// The time when this process started, in seconds since 1970.
  private static let start: Double? = {
    guard let stat = TextFile.read("/proc/self/stat"), let name = stat.lastIndex(of: ")"),
      let system = TextFile.read("/proc/stat"),
      let boot = system.split(separator: "\n").first(where: { $0.hasPrefix("btime ") })
        .flatMap({ Double($0.dropFirst(6)) })
    else { return nil }
    // The fields after the name; the start is the 22nd field of all.
    let fields = stat[stat.index(after: name)...].split(separator: " ")
    guard fields.count > 19, let ticks = Double(fields[19]) else { return nil }
    return boot + ticks / Double(max(1, sysconf(CInt(_SC_CLK_TCK))))
  }()
}
