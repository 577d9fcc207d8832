internal import Glibc

/// The processor time of the calling thread, and how often it has slept: `getrusage(2)` with `RUSAGE_THREAD`.
struct ThreadUse: Sendable {
  let processor: Duration
  /// The number of times that it gave up its processor to wait for something (`ru_nvcsw`).
  let sleeps: Int

  static var now: ThreadUse {
    var usage = rusage()
    // Glibc declares RUSAGE_THREAD, 1, only under a macro that Swift does not set.
    unsafe getrusage(1, &usage)
    let (user, system) = (usage.ru_utime, usage.ru_stime)
    let microseconds = Int64(user.tv_usec) + Int64(system.tv_usec)
    return ThreadUse(
      processor: .seconds(user.tv_sec + system.tv_sec) + .microseconds(microseconds), sleeps: usage.ru_nvcsw)
  }
}
