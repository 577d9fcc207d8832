internal import CFin
internal import Glibc
internal import SystemPackage

/// How a thread waits for a socket, also for one whose error queue holds something.
///
/// `poll(2)` tells of such a queue at once and each time, whatever was asked for; no `recv` and no `send` empties it.
/// What it holds is an error that no call has reported (`IP_RECVERR`), which becomes the operation's; or a message that
/// the program asked for and reads by itself, such as the times of its sends (`SO_TIMESTAMPING`): that stays there, and
/// the wait is for the next edge.
struct StandingErrors {
  /// The last wait told of an error, and of nothing else.
  private var isStanding = false
  private var watch: EdgeWatch?

  /// Waits until the socket may have what `direction` wants, `waker` is woken, or the deadline passes.
  ///
  /// - Parameter direction: `nil` when nothing is wanted of the socket.
  /// - Returns: `false` when the deadline passed first.
  /// - Throws: what a report of the error queue says.
  mutating func wait(
    on core: Core, _ world: World, for direction: Direction?, _ waker: Waker?, until deadline: Deadline
  ) throws(Errno) -> Bool {
    let bell = waker?.descriptor ?? -1
    guard let direction else { return try Syscalls.poll(-1, 0, and: bell, until: deadline) != nil }
    // A second time, and the operation found nothing between.
    if isStanding { return try waitForEdge(on: core, world, waker, until: deadline) }
    let events = direction == .input ? CInt(POLLIN) : CInt(POLLOUT)
    guard let told = try Syscalls.poll(core.number(world), events, and: bell, until: deadline) else { return false }
    isStanding = told.first == CInt(POLLERR)
    return true
  }

  private mutating func waitForEdge(
    on core: Core, _ world: World, _ waker: Waker?, until deadline: Deadline
  ) throws(Errno) -> Bool {
    if let watch { return try watch.wait(waker: waker, until: deadline) }
    if let report = core.takeReport(world), let code = report.code { throw code }
    guard let watch = try? EdgeWatch.pool.borrow() else {
      // No descriptor for it: looks at intervals.
      let end = min(deadline, Deadline(after: .milliseconds(20)))
      return try Syscalls.poll(-1, 0, and: waker?.descriptor ?? -1, until: end) != nil || !deadline.hasPassed
    }
    self.watch = watch
    // The state in which the watch begins is its first edge: the operation looks once more.
    try watch.add(core.number(world))
    return try watch.wait(waker: waker, until: deadline)
  }

  /// Before the descriptor can be released: the watch is on the description.
  mutating func end(on core: Core, _ world: World) {
    guard let watch else { return }
    watch.remove(core.number(world))
    EdgeWatch.pool.giveBack(watch)
    self.watch = nil
  }
}

extension Core {
  /// Takes the oldest report of an error from the error queue, where the program asked for reports. Each is then told
  /// once, and none stays to fill the buffer that datagrams need. What tells of no error is lost by it: who asks for
  /// reports leaves the queue to us.
  func takeReport(_ world: World) -> QueuedReport? {
    guard kind == .datagram, family != .unix, Syscalls.reportsErrors(number(world), isIPv6: family == .ipv6) else {
      return nil
    }
    while let report = (try? Syscalls.takeReport(number(world))) ?? nil {
      if report.code != nil { return report }
    }
    return nil
  }
}
