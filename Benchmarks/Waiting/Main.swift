@preconcurrency import Glibc

/// Puts sockets into one waiting state, and prints the processor time and the memory that this costs while nothing
/// happens.
///
///     fin-waiting list                        the states, one per line
///     fin-waiting STATE WAITERS SECONDS       the processor time and memory of WAITERS waits
///
/// Nothing here runs in Swift's own pool of threads, because its workers need descriptors, and in some states the
/// process has none left.
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
    // Makes the objects that a program has once, however many operations wait in it.
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
    // By then, the work that is done once at the beginning of each wait is over.
    usleep(UInt32(min(1, seconds) * 1_000_000))
    let start = Usage.now
    usleep(UInt32(seconds * 1_000_000))
    let end = Usage.now
    print(
      "waiters=\(stage.expected) ended=\(stage.ended) wall=\(end.wall - start.wall) cpu=\(end.processor - start.processor)",
      "memory=\(start.memory - before.memory) grown=\(end.memory - start.memory)")
    fflush(nil)
    // Exits without waking the waits: the cost of ending them is not measured here.
    _exit(0)
  }
}

/// The processor time and memory that this process has used.
struct Usage {
  /// Processor time of all its threads, in seconds.
  let processor: Double
  /// Wall time, in seconds.
  let wall: Double
  /// Resident anonymous memory, in bytes.
  let memory: Int

  static var now: Usage {
    Usage(processor: seconds(CLOCK_PROCESS_CPUTIME_ID), wall: seconds(CLOCK_MONOTONIC), memory: resident)
  }

  private static func seconds(_ clock: clockid_t) -> Double {
    var time = timespec()
    clock_gettime(clock, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  /// The file with `RssAnon`, opened early because a state may leave no descriptor.
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
