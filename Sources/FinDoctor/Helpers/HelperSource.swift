internal import CFin
internal import FinBase
internal import Glibc

/// The process that forks the helpers of `fin`.
///
/// It was forked while `fin` was small and had one thread. So its own forks are small too, they are whole programs, and
/// a helper that is left behind keeps little memory. It waits for nothing but its channel.
enum HelperSource {
  /// Forks a helper for each descriptor that arrives, until the other end of the channel is closed.
  static func serve(on channel: CInt) {
    // Standard output above all: a helper that is left behind must not keep a reader of it waiting.
    guard dup2(channel, 0) == 0 else { return }
    closeAll(from: 1)
    signal(SIGCHLD, SIG_IGN)
    // Ctrl-C reaches every process of the group of `fin`. A look that it interrupts is finished first, and has all that
    // its helpers had to read.
    setpgid(0, 0)
    var none = rlimit(rlim_cur: 0, rlim_max: 0)
    unsafe setrlimit(__rlimit_resource_t(4), &none)  // RLIMIT_CORE
    _ = unsafe chdir("/")
    _ = fin_keep_capabilities(kept)
    let own = getpid()
    while true {
      var mark: UInt8 = 0
      var descriptor: CInt = -1
      let count = try? calling { unsafe Int(fin_receive_packet(0, &mark, 1, &descriptor, 0)) }
      guard let count, count > 0 else { return }
      guard descriptor >= 0 else { continue }
      if fin_fork() == 0 {
        // A helper that waits where a signal reaches it ends with this process.
        fin_set_parent_death_signal(SIGKILL)
        guard getppid() == own, dup2(descriptor, 0) == 0 else { _exit(1) }
        closeAll(from: 1)
        HelperWork(on: 0).run()
        _exit(0)
      }
      close(descriptor)
    }
  }

  /// The rights that readings need: `CAP_DAC_READ_SEARCH`, `CAP_NET_ADMIN`, `CAP_SYS_PTRACE`, `CAP_PERFMON`, `CAP_BPF`.
  private static let kept: UInt64 = 1 << 2 | 1 << 12 | 1 << 19 | 1 << 38 | 1 << 39

  private static func closeAll(from first: CInt) {
    if fin_close_from(first) == 0 { return }
    // Before Linux 5.9. At this point the program has opened only a few.
    for number in first..<1024 { close(number) }
  }
}
