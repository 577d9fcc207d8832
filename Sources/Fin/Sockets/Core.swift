internal import CFin
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// What an owner holds: one descriptor, its gate, and what is known of its life.
///
/// The descriptor goes when ``close(_:)`` is called and the last operation is out, not when the last reference dies: that
/// is the leak, and `deinit` reports and repairs it.
final class Core: Sendable {
  // In an order without gaps: a connection that waits takes little but this.
  private let descriptorNumber: CInt
  /// Held by the task that makes the place where tasks wait.
  let making = Mutex(())
  let gate = Gate()
  let family: AddressFamily
  let kind: SocketKind
  private let descriptor: Mutex<Descriptor?>
  /// Whether a close may come while others are inside. A waiter then needs a waker, and a descriptor for it.
  let isShared: Atomic<Bool>
  let ledger: Ledger
  let record: Ledger.Record
  let latch: Latch
  private let known: Mutex<Addresses>
  /// The file that binding made, to be removed with the socket.
  let boundPath = Mutex<BoundPath?>(nil)
  /// Guarded by the gate's reader bit, so that nobody need check for exclusive access.
  @exclusivity(unchecked)
  nonisolated(unsafe) var buffer: ReadBuffer?
  /// How the close that is under way can be cut short, and what came of it.
  let closing = Mutex(ClosingState())

  private struct Addresses {
    var local: SocketAddress?
    var peer: SocketAddress?
  }

  struct ClosingState {
    // By reference: most of a socket's life is without any of it.
    private var details: Details?
    var isCut = false

    private final class Details {
      var waker: (any Wakeable)?
      var report: CloseReport?
      var limit = Deadline.never
      var drainDeadline = Deadline.never
      var drainWaiters = Few<any Wakeable>()
      var resumptions = 0
      var isAdopted = false
    }

    private mutating func begun() -> Details {
      if let details { return details }
      let details = Details()
      self.details = details
      return details
    }

    /// How to wake who closes.
    var waker: (any Wakeable)? {
      get { details?.waker }
      set { begun().waker = newValue }
    }
    var report: CloseReport? {
      get { details?.report }
      set { begun().report = newValue }
    }
    /// When the close that is under way is over at the latest, as later ones want it.
    var limit: Deadline {
      get { details?.limit ?? .never }
      set { begun().limit = newValue }
    }
    /// Of a listener that stops: when its drain is over.
    var drainDeadline: Deadline {
      get { details?.drainDeadline ?? .never }
      set { begun().drainDeadline = newValue }
    }
    /// The servers of a listener: each has to hear of a stop, and of one that ends the drain earlier.
    var drainWaiters: Few<any Wakeable> {
      get { details?.drainWaiters ?? Few() }
      set { begun().drainWaiters = newValue }
    }
    /// Whether a listener came from elsewhere: another process may hold it as well.
    var isAdopted: Bool {
      get { details?.isAdopted ?? false }
      set { begun().isAdopted = newValue }
    }
    /// Of a listener: how often it was resumed.
    var resumptions: Int {
      get { details?.resumptions ?? 0 }
      set { begun().resumptions = newValue }
    }
  }

  /// Where tasks wait for this socket.
  let place = Place()
  /// The task whose cancellation wakes whoever waits there.
  let scope = TaskScope()

  var isTCP: Bool { kind == .stream && family != .unix }

  init(
    _ descriptor: consuming Descriptor, family: AddressFamily, kind: SocketKind, phase: Phase,
    local: SocketAddress? = nil, peer: SocketAddress? = nil, latch: Latch = Latch(), isShared: Bool = false,
    ledger: Ledger = .current, site: Ledger.Site
  ) {
    descriptorNumber = descriptor.number
    self.family = family
    self.kind = kind
    self.latch = latch
    self.ledger = ledger
    self.isShared = Atomic(isShared)
    known = Mutex(Addresses(local: local, peer: peer))
    record = ledger.open(descriptorNumber, isDatagram: kind == .datagram, site, phase)
    self.descriptor = Mutex(consume descriptor)
    Fork.watch()
    if kind != .datagram { EdgeWatch.prepare() }
    if isShared { Waker.prepare() }
  }

  deinit {
    // In a forked child the locks stand as they stood, and the watches, the path and the published ledger are the parent's: only
    // the number is the child's own, and goes with its owner.
    guard phase != .closed, !Fork.hasHappened else { return }
    leak()
  }

  // MARK: Life

  /// The descriptor's number, for an operation inside the gate. Outside it the number may be a stranger's: the last
  /// operation out releases it, and the kernel gives it to the next socket or file.
  @inline(__always)
  func number(_ world: World) -> CInt { descriptorNumber }

  /// From now on a close may come while others are inside.
  func share() {
    Waker.prepare()
    isShared.store(true, ordering: .releasing)
  }

  var phase: Phase { Phase(rawValue: record.phase.load(ordering: .acquiring))! }

  /// Tells the lifecycle what happened.
  ///
  /// - Returns: what to do about it; `nil` when it is illegal now, and nothing has changed.
  @discardableResult
  func advance(_ event: Event) -> Transition? {
    var old = record.phase.load(ordering: .acquiring)
    while let transition = Lifecycle.transition(Phase(rawValue: old)!, on: event) {
      let (done, seen) = record.phase.compareExchange(
        expected: old, desired: transition.next.rawValue, ordering: .sequentiallyConsistent)
      if done {
        if ledger.isPublished { ledger.published?.advance(record) }
        return transition
      }
      old = seen
    }
    return nil
  }

  /// `close(2)`: by the last one out. The record leaves the ledger first, so that the ledger never names a stranger's number.
  func release(_ departure: Ledger.Departure = .closed) {
    // While the socket lives its inode's number is nobody else's, and whoever probes the path finds it taken.
    boundPath.withLock { $0.take() }?.remove()
    ledger.close(record, departure)
    place.load()?.leave(watching: number(.alone))
    _ = descriptor.withLock { $0.take() }
  }

  /// Gives the number away instead.
  func handOver() -> CInt {
    // A path goes with the number.
    boundPath.withLock { $0 = nil }
    ledger.close(record, .detached)
    place.load()?.leave(watching: number(.alone))
    // The number still shares the connection, so that no duplicate of it may count itself the last.
    if latch.value.owners > 1 { SharedLatches.leave(descriptorNumber) }
    return descriptor.withLock { descriptor in
      guard let owned = descriptor.take() else { fatalError("a socket was released twice") }
      return owned.take()
    }
  }

  private func leak() {
    let unread = (try? Syscalls.unread(number(.alone))) ?? 0
    let report = LeakReport(
      id: record.id, kind: record.kind, file: record.site.file, line: Int(record.site.line),
      age: record.opened.elapsed, phase: phase, tcpState: isTCP ? (try? TCPInfo.read(number(.alone)))?.state : nil,
      local: try? Syscalls.localAddress(number(.alone)), peer: peer, bytesUnread: unread + (unsafe buffer?.count ?? 0),
      bytesUnacknowledged: unacknowledged(.alone))
    advance(.drop)
    latch.update { $0.owners -= 1 }
    release(.leaked)
    ledger.leakPolicy.apply(report)
  }

  /// Bytes of ours that are not acknowledged; the FIN, which `SIOCOUTQ` counts as one, is not among them.
  func unacknowledged(_ world: World) -> Int {
    // EINVAL on a listener; 0 while connecting.
    let queued = (try? Syscalls.queue(number(world), CInt(FIN_SIOCOUTQ))) ?? 0
    if isTCP { return latch.value.isFINQueued ? max(0, queued - 1) : queued }
    return queued <= queueFloor ? 0 : queued
  }

  /// What `SIOCOUTQ` may still say when nothing is left. The kernel gives the memory of a Unix stream back in two steps, and wakes us between
  /// them: by then one byte is left, and no second edge will tell that it went (`sock_wfree`).
  var queueFloor: Int { isTCP ? 0 : 1 }

  // MARK: What is known

  /// The local address, asked for once.
  var local: SocketAddress? {
    if let local = known.withLock({ $0.local }) { return local }
    guard (try? gate.enterPassing()) != nil else { return nil }
    defer { leave(.passing) }
    let address = (try? Syscalls.localAddress(number(.thread))) ?? nil
    // A socket without a name may get one later.
    if let address, address.port != 0, address != .unix(.unnamed) { known.withLock { $0.local = address } }
    return address
  }

  /// Asks for the local address again when it is next wanted: connecting changes that of a datagram socket.
  func forgetLocal() { known.withLock { $0.local = nil } }

  /// Where the other end is, as `connect`, `accept` or the kernel said.
  var peer: SocketAddress? {
    get { known.withLock { $0.peer } }
    set { known.withLock { $0.peer = newValue } }
  }

  func error(
    _ operation: SocketError.Operation, _ cause: SocketError.Cause, bytesAccepted: Int = 0, note: String? = nil
  ) -> SocketError {
    SocketError(operation, cause, kind, local: local, peer: peer, bytesAccepted: bytesAccepted, note: note)
  }

  /// Whether there is, or was, a connection, or something else that is not to become one.
  var hasConnected: Bool { record.phase.load(ordering: .acquiring) > Phase.connecting.rawValue }

  /// Reads `SO_ERROR` and latches what it says, because reading it clears it. Before there is a connection only the
  /// handshake reads it.
  ///
  /// - Returns: the cause that holds from now on; `nil` when nothing has failed.
  @discardableResult
  func takeError(_ world: World) -> SocketError.Cause? {
    guard hasConnected else { return latch.value.failure }
    guard let code = (try? Syscalls.takeError(number(world))) ?? nil else { return latch.value.failure }
    return fail(code)
  }

  /// Latches an code that ends the connection.
  ///
  /// - Returns: what this code, or an earlier one, means.
  func fail(_ code: Errno) -> SocketError.Cause {
    guard let cause = SocketError.Cause.terminal(code) else { return .system(code) }
    let first = latch.fail(cause)
    // A close that is under way tells the lifecycle itself, because it has to do what comes of it.
    if !phase.isClosing { advance(.failed) }
    return first
  }
}
