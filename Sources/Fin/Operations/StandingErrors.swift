internal import CFin
internal import Glibc
internal import SystemPackage

/// The waits of a thread for a socket, also for one whose error queue is not empty.
///
/// While the error queue holds an entry, `poll(2)` returns at once, each time and whatever events were requested; no
/// `recv` and no `send` empties the queue. An entry may be an error that no call has reported (`IP_RECVERR`), which
/// becomes the error of the operation. Or it is a message that the program asked for and reads itself, such as the
/// timestamps of its sends (`SO_TIMESTAMPING`): that stays there, and the thread waits for the next edge.
///
/// The end of a datagram socket's input is a condition of the same kind; see ``Core/inputHasEnded(_:)``.
struct StandingErrors {
  /// Whether the last wait ended with an error condition, and with nothing else.
  private var isStanding = false
  /// Whether the last wait found that a `shutdown(SHUT_RD)` ended the input.
  private var hasInputEnded = false
  private var watch: EdgeWatch?

  /// Waits until the socket may be ready in `direction`, `waker` is woken, or the deadline passes.
  ///
  /// - Parameter direction: `nil` when the wait is not for the socket.
  /// - Returns: `false` when the deadline passed first.
  /// - Throws: the error of a report in the error queue; `ESHUTDOWN` when the input of a datagram socket has ended and
  ///   the attempt since the last wait found its queue empty.
  mutating func wait(
    on core: Core, _ access: Access, for direction: Direction?, _ waker: Waker?, until deadline: Deadline
  ) throws(Errno) -> Bool {
    let bell = waker?.descriptor ?? -1
    guard let direction else { return try Syscalls.poll(-1, 0, and: bell, until: deadline) != nil }
    // The second wait in a row that meets the error condition: the operation found nothing in between.
    if isStanding { return try waitForEdge(on: core, access, waker, until: deadline) }
    if hasInputEnded { throw Errno.socketShutdown }
    var events = direction == .input ? CInt(POLLIN) : CInt(POLLOUT)
    let endsSilently = direction == .input && core.kind == .datagram
    if endsSilently { events |= CInt(FIN_POLLRDHUP) }
    guard let told = try Syscalls.poll(core.waitingNumber(access), events, and: bell, until: deadline) else {
      return false
    }
    isStanding = told.first == CInt(POLLERR)
    hasInputEnded = endsSilently && told.first & CInt(FIN_POLLRDHUP) != 0
    return true
  }

  private mutating func waitForEdge(
    on core: Core, _ access: Access, _ waker: Waker?, until deadline: Deadline
  ) throws(Errno) -> Bool {
    if let watch { return try watch.wait(waker: waker, until: deadline) }
    if let report = core.takeReport(access), let code = report.code { throw code }
    guard let watch = try? EdgeWatch.pool.borrow() else {
      // Without a descriptor for a watch, the thread checks at intervals.
      let end = min(deadline, Deadline(after: .milliseconds(20)))
      return try Syscalls.poll(-1, 0, and: waker?.descriptor ?? -1, until: end) != nil || !deadline.hasPassed
    }
    self.watch = watch
    // The state in which the watch begins is its first edge: the operation makes one more attempt.
    try watch.add(core.number(access))
    return try watch.wait(waker: waker, until: deadline)
  }

  /// Ends the watch. It comes before the descriptor can be released, because the watch is on the open file description.
  mutating func end(on core: Core, _ access: Access) {
    guard let watch else { return }
    watch.remove(core.number(access))
    EdgeWatch.pool.giveBack(watch)
    self.watch = nil
  }
}

extension Core {
  /// Whether a `shutdown(SHUT_RD)` has ended the input of a datagram socket, by another holder of the socket or through
  /// a lent descriptor.
  ///
  /// `poll(2)` reports the end all the time, as readiness to receive. A blocking `recv` returns 0 bytes then, but one
  /// with `MSG_DONTWAIT` returns `EAGAIN` as on any empty queue. So only the end itself, `POLLRDHUP`, tells it.
  func inputHasEnded(_ access: Access) -> Bool {
    let told = try? Syscalls.poll(number(access), CInt(FIN_POLLRDHUP), until: .passed)
    return (told ?? nil).map { $0.first & CInt(FIN_POLLRDHUP) != 0 } ?? false
  }

  /// Takes the oldest error report from the error queue, if the program asked for reports. Each error is then reported
  /// once, and no report stays to fill the buffer that datagrams need. Entries that report no error are lost: a program
  /// that asks for reports leaves the queue to Fin.
  func takeReport(_ access: Access) -> QueuedReport? {
    guard kind == .datagram, family != .unix, Syscalls.reportsErrors(number(access), isIPv6: family == .ipv6) else {
      return nil
    }
    while let report = (try? Syscalls.takeReport(number(access))) ?? nil {
      if report.code != nil { return report }
    }
    return nil
  }
}
