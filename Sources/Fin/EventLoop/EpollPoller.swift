internal import CFin
internal import FinBase
internal import SystemPackage

/// The poller over `epoll(7)`: each socket is added once, edge-triggered, and `wake()` writes to an `eventfd(2)`.
@safe
struct EpollPoller: ~Copyable, Sendable {
  private let poller: CInt
  private let bell: CInt
  /// The buffer that `epoll_wait` fills. Only the loop's thread reads it.
  private nonisolated(unsafe) let events: UnsafeMutableRawPointer
  private static let most = 256
  /// The token of the `eventfd`. No slot has it.
  private static let bellToken = Token(slot: .max, generation: .max)

  /// - Parameter wakes: the initial counter of the `eventfd`; tests begin near its maximum.
  init(wakes: UInt64 = 0) throws(Errno) {
    let poller = Descriptor(owning: try Syscalls.makePoller())
    let bell = Descriptor(owning: try Syscalls.makeEventDescriptor())
    // Edge-triggered: each write to the `eventfd` is one event, and it need not be read.
    try Syscalls.watch(bell.number, with: poller.number, token: EpollPoller.bellToken.rawValue)
    if wakes > 0 { _ = Syscalls.signal(bell.number, wakes) }
    self.poller = poller.take()
    self.bell = bell.take()
    unsafe events = .allocate(
      byteCount: EpollPoller.most * MemoryLayout<fin_epoll_event>.stride, alignment: 16)
  }

  deinit {
    Syscalls.close(bell)
    Syscalls.close(poller)
    unsafe events.deallocate()
  }

  func add(_ descriptor: CInt, token: Token) throws(Errno) {
    try Syscalls.watch(descriptor, with: poller, token: token.rawValue)
  }

  func remove(_ descriptor: CInt) { Syscalls.unwatch(descriptor, with: poller) }

  func wake() {
    if Syscalls.signal(bell) { return }
    // The counter is never read otherwise, so that it reaches its maximum in the end. Then it is drained, and the wake
    // is written again.
    Syscalls.drain(bell)
    _ = Syscalls.signal(bell)
  }

  func wait(until deadline: Deadline, _ tell: (Token, Readiness) -> Void) {
    let count = unsafe Syscalls.awaitEvents(poller, events, most: EpollPoller.most, until: deadline)
    for index in 0..<count {
      let token = Token(rawValue: unsafe fin_epoll_token(events, CInt(index)))
      if token == EpollPoller.bellToken { continue }
      tell(token, Readiness(epoll: unsafe fin_epoll_events(events, CInt(index))))
    }
  }
}

extension Readiness {
  init(epoll events: UInt32) {
    var readiness: Readiness = []
    if events & UInt32(FIN_EPOLLIN) != 0 { readiness.insert(.input) }
    if events & UInt32(FIN_EPOLLOUT) != 0 { readiness.insert(.output) }
    if events & UInt32(FIN_EPOLLRDHUP | FIN_EPOLLPRI) != 0 { readiness.formUnion([.input, .inputIsPartial]) }
    if events & UInt32(FIN_EPOLLERR | FIN_EPOLLHUP) != 0 { readiness.formUnion([.input, .output, .inputIsPartial]) }
    self = readiness
  }
}
