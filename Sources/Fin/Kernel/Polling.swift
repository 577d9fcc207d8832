internal import CFin
internal import Glibc
internal import SystemPackage

/// The calls that wait, each until an absolute deadline. After a signal, `poll` goes on with the remaining time, and
/// `awaitEvents` returns 0.
extension Syscalls {
  /// `ppoll(2)` on at most two descriptors.
  ///
  /// - Returns: the events of the first and of the second descriptor; `nil` when the deadline passed first.
  static func poll(
    _ first: CInt, _ events: CInt, and second: CInt = -1, until deadline: Deadline
  ) throws(Errno) -> (first: CInt, second: CInt)? {
    // poll ignores a negative descriptor.
    var set = (
      pollfd(fd: first, events: Int16(events), revents: 0), pollfd(fd: second, events: Int16(POLLIN), revents: 0)
    )
    let ready = try unsafe withUnsafeMutableBytes(of: &set) { bytes throws(Errno) -> Bool in
      try unsafe poll(bytes.bindMemory(to: pollfd.self), until: deadline)
    }
    return ready ? (CInt(set.0.revents), CInt(set.1.revents)) : nil
  }

  /// `ppoll(2)` on any number of descriptors.
  ///
  /// - Returns: for each descriptor, whether it has an event; for none when the deadline passed first.
  static func poll(_ descriptors: [CInt], _ events: CInt, until deadline: Deadline) throws(Errno) -> [Bool] {
    var set = descriptors.map { pollfd(fd: $0, events: Int16(events), revents: 0) }
    var failure: Errno?
    unsafe set.withUnsafeMutableBufferPointer { set in
      do throws(Errno) { _ = try unsafe poll(set, until: deadline) } catch { failure = error }
    }
    if let failure { throw failure }
    return set.map { $0.revents != 0 }
  }

  /// - Returns: `false` when the deadline passed first.
  private static func poll(
    _ set: UnsafeMutableBufferPointer<pollfd>, until deadline: Deadline
  ) throws(Errno) -> Bool {
    while true {
      let (seconds, attoseconds) = deadline.remaining?.components ?? (-1, 0)
      let ready = unsafe scriptedPoll(set, seconds, attoseconds / 1_000_000_000)
      if ready > 0 { return true }
      if ready == 0 {
        // ppoll never returns early; a remaining time of zero makes it check once without waiting.
        if deadline.hasPassed { return false }
        continue
      }
      let error = Errno.last
      if error != .interrupted { throw error }
    }
  }

  private static func scriptedPoll(
    _ set: UnsafeMutableBufferPointer<pollfd>, _ seconds: Int64, _ nanoseconds: Int64
  ) -> CInt {
    #if FIN_SEAM
    switch Seam.answer(.poll) {
    case .fail(let error)?:
      fin_set_errno(error.rawValue)
      return -1
    case .before(let action)?: action()
    case .value(let value)?: return CInt(value)
    case .limit?, .after?, nil: break
    }
    #endif
    return unsafe fin_ppoll(set.baseAddress!, UInt64(set.count), seconds, nanoseconds)
  }

  /// `eventfd(2)`, `CLOEXEC` and non-blocking.
  static func makeEventDescriptor() throws(Errno) -> CInt {
    #if FIN_SEAM
    if case .fail(let error)? = Seam.answer(.eventfd) { throw error }
    #endif
    let number = fin_eventfd()
    if number < 0 { throw Errno.last }
    return number
  }

  /// Adds `count` to the counter of an event descriptor.
  ///
  /// - Returns: `false` when the counter is full, at 2⁶⁴ − 2. The descriptor is readable then, but without a new edge.
  @discardableResult
  static func signal(_ event: CInt, _ count: UInt64 = 1) -> Bool {
    var count = count
    return unsafe Glibc.write(event, &count, 8) == 8
  }

  /// Resets the counter of an event descriptor, which is then no longer readable.
  static func drain(_ event: CInt) {
    var value: UInt64 = 0
    _ = unsafe Glibc.read(event, &value, 8)
  }

  /// `epoll_create1(2)`, `CLOEXEC`.
  static func makePoller() throws(Errno) -> CInt {
    #if FIN_SEAM
    if case .fail(let error)? = Seam.answer(.epollCreate) { throw error }
    #endif
    let number = fin_epoll_create()
    if number < 0 { throw Errno.last }
    return number
  }

  /// `epoll_ctl(2)`: watches a descriptor, edge-triggered, for input, output and the peer's half-close (`EPOLLRDHUP`).
  static func watch(_ descriptor: CInt, with poller: CInt) throws(Errno) {
    _ = try call(.epollControl) { _ in Int(fin_epoll_watch(poller, descriptor)) }
  }

  /// `epoll_ctl(2)`: watches a descriptor under a token, edge-triggered, for every event that a socket can have.
  static func watch(_ descriptor: CInt, with poller: CInt, token: UInt64) throws(Errno) {
    _ = try call(.epollControl) { _ in Int(fin_epoll_add(poller, descriptor, token)) }
  }

  /// `epoll_ctl(2)`: watches a descriptor under a token, edge-triggered, for input, the peer's half-close and errors.
  static func watchInput(_ descriptor: CInt, with poller: CInt, token: UInt64) throws(Errno) {
    _ = try call(.epollControl) { _ in Int(fin_epoll_add_input(poller, descriptor, token)) }
  }

  /// `epoll_wait(2)`, until an event arrives or the deadline has passed.
  ///
  /// - Returns: the number of events; 0 when there are none, or when a signal interrupted the wait.
  static func awaitEvents(
    _ poller: CInt, _ events: UnsafeMutableRawPointer, most: Int, until deadline: Deadline
  ) -> Int {
    let count = unsafe fin_epoll_wait(poller, events, CInt(most), deadline.milliseconds)
    if count >= 0 { return Int(count) }
    let error = Errno.last
    precondition(
      error == .interrupted, "epoll_wait: \(error): another part of this program closed the reactor's descriptor")
    return 0
  }

  static func unwatch(_ descriptor: CInt, with poller: CInt) {
    _ = fin_epoll_unwatch(poller, descriptor)
  }

  /// Takes edges, without waiting.
  ///
  /// - Returns: whether there may be more.
  static func takeEdges(_ poller: CInt) -> Bool { fin_epoll_take(poller) == FIN_EDGES }

  /// Waits for the next edge, which makes the poller's own descriptor readable, or until `second` is readable.
  ///
  /// - Returns: whether one of them happened before the deadline.
  static func awaitEdge(_ poller: CInt, orReadable second: CInt, until deadline: Deadline) throws(Errno) -> Bool {
    guard try poll(poller, CInt(POLLIN), and: second, until: deadline) != nil else { return false }
    // Taking the event disarms the poller until the next edge.
    while fin_epoll_take(poller) < 0 {
      let error = Errno.last
      if error != .interrupted { throw error }
    }
    return true
  }
}
