internal import CFin
internal import FinBase
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// The state of a socket: one descriptor, its gate, and what is known of its life.
///
/// The descriptor is released when ``close(_:)`` has been called and the last operation has left, not when the last
/// reference dies: that is the leak, and `deinit` reports and repairs it.
final class Core: Sendable {
  // Ordered so that there is no padding: most of an idle connection's memory is this object.
  private let descriptorNumber: CInt
  /// Held by the task that makes the registration.
  let making = Mutex(())
  let gate = Gate()
  let family: AddressFamily
  let kind: SocketKind
  private let descriptor: Mutex<Descriptor?>
  /// Whether a close may come while operations are inside. A waiting thread then needs a waker, which costs
  /// a descriptor.
  let isShared: Atomic<Bool>
  /// The bytes that were received, and those that the kernel accepted. One reader and one writer at a time change them.
  let bytesReceived = Atomic<UInt64>(0)
  let bytesSent = Atomic<UInt64>(0)
  /// Whether a handler waits between two requests, with nothing unfinished.
  let awaitsNext = Atomic<Bool>(false)
  /// Whether a pool is to close the connection when its body has returned.
  let isRetired = Atomic<Bool>(false)
  let ledger: Ledger
  let record: Ledger.Record
  let connectionState: ConnectionState
  private let known: Mutex<Addresses>
  /// The file that binding made, to be removed with the socket.
  let boundPath = Mutex<BoundPath?>(nil)
  /// Guarded by the gate's reader bit, so that no exclusivity check is needed.
  @exclusivity(unchecked)
  nonisolated(unsafe) var buffer: ReadBuffer?
  #if TLS
  /// The TLS of a secured connection; `nil` for a plain one. Set once, inside the gate, by the handshake.
  @exclusivity(unchecked)
  nonisolated(unsafe) var secured: SecuredLayer?
  #endif
  /// How to cut short the close that is under way, the report of a finished one, and the drain of a stopping listener.
  let closing = Mutex(ClosingState())

  private struct Addresses {
    var local: SocketAddress?
    var peer: SocketAddress?
  }

  struct ClosingState {
    // [boxed cold state] For most of its life a socket needs none of it.
    private var details: Details?
    var isCut = false

    private final class Details {
      var waker: (any Wakeable)?
      var report: CloseReport?
      var limit = Deadline.never
      var drainDeadline = Deadline.never
      var drainWaiters = TinyArray<any Wakeable>()
      var resumptions = 0
      var isAdopted = false
      var isHandedOver = false
      var further: FurtherSockets?
      var refusal: Instant?
      var handshakesCut = 0
      /// Created by the first accept or stop: a connection needs none of its own.
      lazy var drain = Drain()
    }

    private mutating func begun() -> Details {
      if let details { return details }
      let details = Details()
      self.details = details
      return details
    }

    /// Wakes the closing thread or task.
    var waker: (any Wakeable)? {
      get { details?.waker }
      set { begun().waker = newValue }
    }
    var report: CloseReport? {
      get { details?.report }
      set { begun().report = newValue }
    }
    /// The deadline that later closes set for the close that is under way.
    var limit: Deadline {
      get { details?.limit ?? .never }
      set { begun().limit = newValue }
    }
    /// The deadline of the drain of a stopping listener.
    var drainDeadline: Deadline {
      get { details?.drainDeadline ?? .never }
      set { begun().drainDeadline = newValue }
    }
    /// The servers of a listener. Each is woken by a stop, and by a later stop that brings the end of the
    /// drain forward.
    var drainWaiters: TinyArray<any Wakeable> {
      get { details?.drainWaiters ?? TinyArray() }
      set { begun().drainWaiters = newValue }
    }
    /// The stop of a listener, as its connections see it.
    var drain: Drain { mutating get { begun().drain } }
    /// Whether a listener was adopted: another process may hold it as well.
    var isAdopted: Bool {
      get { details?.isAdopted ?? false }
      set { begun().isAdopted = newValue }
    }
    /// Whether a successor serves this listener: it accepts the clients that are still queued.
    var isHandedOver: Bool {
      get { details?.isHandedOver ?? false }
      set { begun().isHandedOver = newValue }
    }
    /// The further sockets of a listener on several addresses.
    var further: FurtherSockets? {
      get { details?.further }
      set { begun().further = newValue }
    }
    /// The beginning of a TCP listener's refusal of new handshakes; `nil` while it takes them.
    var refusal: Instant? {
      get { details?.refusal }
      set { begun().refusal = newValue }
    }
    /// The number of handshakes that were under way when a stopped listener was closed.
    var handshakesCut: Int {
      get { details?.handshakesCut ?? 0 }
      set { begun().handshakesCut = newValue }
    }
    /// The number of times a listener was resumed.
    var resumptions: Int {
      get { details?.resumptions ?? 0 }
      set { begun().resumptions = newValue }
    }
  }

  /// The registration where tasks wait for this socket, if there is one.
  let lazyRegistration = LazyRegistration()
  /// The task whose cancellation wakes the waiters of the registration.
  let scope = TaskScope()

  var isTCP: Bool { kind == .stream && family != .unix }

  init(
    _ descriptor: consuming Descriptor, family: AddressFamily, kind: SocketKind, phase: Phase,
    local: SocketAddress? = nil, peer: SocketAddress? = nil, connectionState: ConnectionState = ConnectionState(),
    isShared: Bool = false,
    ledger: Ledger = .current, site: Ledger.Site
  ) {
    descriptorNumber = descriptor.number
    self.family = family
    self.kind = kind
    self.connectionState = connectionState
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
    // In a forked child the locks are in the state they had at the fork, and the watches, the path and the published
    // ledger are the parent's. Only the descriptor is the child's own, and its owner closes it.
    guard phase != .closed, !Fork.hasHappened else { return }
    leak()
  }

  // MARK: Life

  /// The descriptor's number, for an operation inside the gate. Outside it the number may be a stranger's: the last
  /// operation to leave releases it, and the kernel gives it to the next socket or file.
  @inline(__always)
  func number(_ access: Access) -> CInt { descriptorNumber }

  /// Prepares for a close that comes while operations are inside.
  func share() {
    Waker.prepare()
    isShared.store(true, ordering: .releasing)
  }

  var phase: Phase { Phase(rawValue: record.phase.load(ordering: .acquiring))! }

  /// Reports an event to the lifecycle.
  ///
  /// - Returns: the transition to carry out; `nil` when the event is illegal in this phase and nothing has changed.
  @discardableResult
  func advance(_ event: Lifecycle.Event) -> Lifecycle.Transition? {
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

  /// `close(2)`, by the last operation to leave. The record leaves the ledger first, so that the ledger never names a
  /// stranger's number.
  func release(_ departure: Ledger.RemovalReason = .closed) {
    // Removed while the socket is open: its inode number is not reused, and a program that probes the path finds it
    // taken.
    boundPath.withLock { $0.take() }?.remove()
    ledger.close(record, departure)
    let further = closing.withLock { $0.further }
    lazyRegistration.load()?.leave(watching: further?.poller ?? number(.exclusive))
    further?.release()
    _ = descriptor.withLock { $0.take() }
  }

  /// Gives the descriptor away instead of closing it.
  func handOver() -> CInt {
    // The file at the path stays: it goes with the descriptor.
    boundPath.withLock { $0 = nil }
    ledger.close(record, .detached)
    let further = closing.withLock { $0.further }
    lazyRegistration.load()?.leave(watching: further?.poller ?? number(.exclusive))
    if let further { Syscalls.close(further.poller) }
    // The descriptor still shares the connection, so that no duplicate may count itself the last. A duplicate that is
    // closed may keep the state in memory: the descriptor, adopted again, has to find itself counted once.
    SharedConnectionStates.leave(descriptorNumber)
    return descriptor.withLock { descriptor in
      guard let owned = descriptor.take() else { fatalError("a socket was released twice") }
      return owned.take()
    }
  }

  private func leak() {
    let unread = (try? Syscalls.unread(number(.exclusive))) ?? 0
    let report = LeakReport(
      id: record.id, kind: record.kind, file: record.site.file, line: Int(record.site.line),
      age: record.opened.elapsed, phase: phase, tcpState: isTCP ? (try? TCPInfo.read(number(.exclusive)))?.state : nil,
      localAddress: try? Syscalls.localAddress(number(.exclusive)), remoteAddress: peer,
      bytesUnread: unread + (unsafe buffer?.count ?? 0),
      bytesUnacknowledged: unacknowledged(.exclusive))
    advance(.drop)
    connectionState.update { $0.owners -= 1 }
    release(.leaked)
    ledger.leakPolicy.apply(report)
  }

  /// Bytes of ours that are not acknowledged, without the FIN, which `SIOCOUTQ` counts as one byte.
  func unacknowledged(_ access: Access) -> Int {
    // EINVAL on a listener; 0 while connecting.
    let queued = (try? Syscalls.queue(number(access), CInt(FIN_SIOCOUTQ))) ?? 0
    if isTCP { return connectionState.value.isFINQueued ? max(0, queued - 1) : queued }
    return queued <= queueFloor ? 0 : queued
  }

  /// The largest value of `SIOCOUTQ` that means empty: 1 for a Unix stream. The kernel returns the memory of a buffer
  /// in two steps and wakes us between them (`sock_wfree`): one byte is left then, and no second edge follows when it
  /// is freed.
  var queueFloor: Int { isTCP ? 0 : 1 }

  // MARK: Addresses and errors

  /// The local address, read once and cached.
  var local: SocketAddress? {
    if let local = known.withLock({ $0.local }) { return local }
    guard (try? gate.enterPassing()) != nil else { return nil }
    defer { leave(.using) }
    let address = (try? Syscalls.localAddress(number(.blocking))) ?? nil
    // A socket without a name may get one later.
    if let address, address.port != 0, address != .unix(.unnamed) { known.withLock { $0.local = address } }
    return address
  }

  /// Discards the cached local address: connecting changes a wildcard address.
  func forgetLocal() { known.withLock { $0.local = nil } }

  /// The peer's address, as given to `connect`, or as `accept` or the kernel reported it.
  var peer: SocketAddress? {
    get { known.withLock { $0.peer } }
    set { known.withLock { $0.peer = newValue } }
  }

  func error(
    _ operation: SocketError.Operation, _ cause: SocketError.Cause, bytesAccepted: Int = 0, note: String? = nil
  ) -> SocketError {
    SocketError(operation, cause, kind, local: local, peer: peer, bytesAccepted: bytesAccepted, note: note)
  }

  /// Whether the socket has or had a connection, or can no longer get one, as a listener cannot.
  var hasConnected: Bool { record.phase.load(ordering: .acquiring) > Phase.connecting.rawValue }

  /// Reads `SO_ERROR` and latches the error, because reading it clears it. Before there is a connection only the
  /// connect attempt reads it.
  ///
  /// - Returns: the cause that holds from now on; `nil` when nothing has failed.
  @discardableResult
  func takeError(_ access: Access) -> SocketError.Cause? {
    guard hasConnected else { return connectionState.value.failure }
    guard let code = (try? Syscalls.takeError(number(access))) ?? nil else { return connectionState.value.failure }
    return fail(code)
  }

  /// Latches an error code that ends the connection.
  ///
  /// - Returns: the cause that this code, or an earlier one, stands for.
  func fail(_ code: Errno) -> SocketError.Cause {
    guard let cause = SocketError.Cause.terminal(code) else { return .system(code) }
    let first = connectionState.fail(cause)
    // A close that is under way reports the event itself, because it has to carry out the transition.
    if !phase.isClosing { advance(.failed) }
    return first
  }
}

#if !TLS
extension Core {
  /// Which side said close_notify: neither, without TLS.
  var closeNotify: CloseReport.CloseNotify? { nil }
}
#endif
