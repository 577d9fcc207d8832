@preconcurrency import Glibc

/// Puts sockets into one waiting state and tells what that costs while nothing happens.
///
///     fin-waiting list                        the states, one a line
///     fin-waiting STATE WAITERS SECONDS       processor time and memory of so many that wait
///
/// Nothing here runs in Swift's own pool of threads, whose workers need descriptors: some states are those of a process that has
/// none left.
@main
enum Main {
  static func main() {
    let words = Array(CommandLine.arguments.dropFirst())
    if words == ["list"] {
      for state in States.all { print(state.name, state.asksAgain ? "asks" : "waits", state.most) }
      return
    }
    guard words.count == 3, let state = States.all.first(where: { $0.name == words[0] }), let waiters = Int(words[1]),
      let seconds = Double(words[2]), waiters > 0
    else {
      fputs("usage: fin-waiting list | STATE WAITERS SECONDS\n", stderr)
      exit(2)
    }
    signal(SIGPIPE, SIG_IGN)
    let stage = Stage(world: state.world, waiters: min(waiters, state.most))
    // What a program has once, whatever waits in it.
    stage.warmUp()
    let before = Usage.now
    do { try state.make(stage) } catch {
      print("failed: \(error)")
      exit(1)
    }
    guard stage.awaitBegun(within: 30) else {
      print("failed: \(stage.begun) of \(stage.expected) began to wait within 30 s")
      exit(1)
    }
    // What is done once, by those who begin to wait, is over by then.
    usleep(UInt32(min(1, seconds) * 1_000_000))
    let start = Usage.now
    usleep(UInt32(seconds * 1_000_000))
    let end = Usage.now
    print(
      "waiters=\(stage.expected) ended=\(stage.ended) wall=\(end.wall - start.wall) cpu=\(end.processor - start.processor)",
      "memory=\(start.memory - before.memory) grown=\(end.memory - start.memory)")
    fflush(nil)
    // Nobody is woken: what an end costs is another matter.
    _exit(0)
  }
}

/// What this process has used.
struct Usage {
  /// Seconds of all its threads on a processor.
  let processor: Double
  /// Seconds.
  let wall: Double
  /// Bytes of its own that are in memory.
  let memory: Int

  static var now: Usage {
    Usage(processor: seconds(CLOCK_PROCESS_CPUTIME_ID), wall: seconds(CLOCK_MONOTONIC), memory: resident)
  }

  private static func seconds(_ clock: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  /// `RssAnon`, as `/proc/self/status` has it.
  private static let status = open("/proc/self/status", O_RDONLY | O_CLOEXEC)

  private static var resident: Int {
    var bytes = [UInt8](repeating: 0, count: 8192)
    let count = pread(status, &bytes, bytes.count, 0)
    let text = String(decoding: bytes.prefix(max(0, count)), as: UTF8.self)
    guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("RssAnon:") }),
      let kib = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
    else { return 0 }
    return kib * 1024
  }
}
