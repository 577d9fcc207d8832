internal import CFin
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// What an `accept` remembers between its tries.
private struct Acceptance: Progress {
  /// Tries that found nothing.
  var emptyLooks = 0
  var backoff = Backoff()
  /// The last client of a stopped listener is out.
  var isDrained = false

  /// What to wait for when the kernel has no client. A queue that is readable and empty time after time is not waited for: the
  /// wait would be over at once, each time.
  mutating func blocked(_ core: Core, _ world: World) -> Attempt<Core> {
    emptyLooks += 1
    // A task waits for the next edge, and hears of each once.
    guard world == .thread, emptyLooks > AcceptFailure.mostInARow, core.isReadable(world) else {
      return .blocked(.input)
    }
    defer { backoff.grow() }
    return .pause(backoff.pause)
  }
}

extension Core {
  /// Takes the next client, in a thread.
  func accept(_ patience: inout Patience, site: Ledger.Site) throws(SocketError) -> Core {
    var progress = Acceptance()
    do {
      return try inside(.passing, .accept, &patience, &progress) { progress, world throws(SocketError) in
        try takeClient(site, &progress, world)
      }
    } catch {
      // The last queued client of a stopped listener is out: now the port is released, and nobody is reset.
      if progress.isDrained { end(.drained) }
      throw error
    }
  }

  /// Takes the next client, in a task.
  nonisolated(nonsending) func accept(
    _ patience: inout Patience, site: Ledger.Site
  ) async throws(SocketError) -> Core {
    var progress = Acceptance()
    do {
      return try await inside(.passing, .accept, &patience, &progress) { progress, world throws(SocketError) in
        try takeClient(site, &progress, world)
      }
    } catch {
      if progress.isDrained { await end(.drained) }
      throw error
    }
  }

  private func takeClient(
    _ site: Ledger.Site, _ progress: inout Acceptance, _ world: World
  ) throws(SocketError) -> Attempt<Core> {
    var isSomebodyWaiting = false
    var clientsFailed = 0
    while true {
      if phase == .paused { throw error(.accept, .paused) }
      let isStopping = phase == .stopping
      let resumptions = closing.withLock { $0.resumptions }
      let news = News(of: self, world)
      // What is queued when a listener stops is taken without waiting for news of it.
      if !isStopping, !news.mayHold(.input) { return .blocked(.input) }
      let code: Errno
      do {
        let (number, peer) = try nextClient(world)
        // A connection inherits the options of its listener, this one among them.
        let latch = Latch(silence: self.latch.value.silence)
        return .done(
          Core(
            Descriptor(owning: number), family: family, kind: .stream, phase: .connected, peer: peer, latch: latch,
            ledger: ledger, site: site))
      } catch { code = error }
      if code == .resourceTemporarilyUnavailable || (code == .invalidArgument && phase == .stopping) {
        if isStopping { throw drained(&progress) }
        if family == .unix, isShutDown(world) {
          // By a stop of ours, or by another program, which is the listener's end as well.
          if phase == .stopping { continue }
          throw error(.accept, .system(.invalidArgument), note: "another holder of this socket shut it down")
        }
        news.exhausted([.input, .mixed])
        return progress.blocked(self, world)
      }
      if code == .invalidArgument {
        if phase == .paused { throw error(.accept, .paused) }
        // A pause that was over before this accept heard of it: it listens again.
        if closing.withLock({ $0.resumptions }) != resumptions { continue }
      }
      switch acceptFailure(code, world) {
      case .client:
        clientsFailed += 1
        if clientsFailed == AcceptFailure.mostInARow { throw error(.accept, .system(code)) }
      case .capacity, .refused:
        // The kernel looks for a descriptor, and asks its filters, before it looks for a client: without a client there is
        // nothing to fail. One that came after the refusal may be let in: only a second refusal is an error.
        if isSomebodyWaiting { throw error(.accept, .system(code)) }
        isSomebodyWaiting = isReadable(world)
        if isSomebodyWaiting { continue }
        if isStopping { throw drained(&progress) }
        news.exhausted([.input, .mixed])
        return .blocked(.input)
      case .listener: throw error(.accept, .system(code))
      }
    }
  }

  private func drained(_ progress: inout Acceptance) -> SocketError {
    progress.isDrained = true
    return error(.accept, .closed)
  }

  /// Whether a client waits, as `poll(2)` says.
  fileprivate func isReadable(_ world: World) -> Bool {
    ((try? Syscalls.poll(number(world), CInt(POLLIN), until: .passed)) ?? nil) != nil
  }

  /// `accept4(2)`, which has no flag that keeps one call from waiting: another holder of the listener may have made it
  /// blocking.
  private func nextClient(_ world: World) throws(Errno) -> (CInt, SocketAddress?) {
    if try Syscalls.isBlocking(number(world)), try Syscalls.poll(number(world), CInt(POLLIN), until: .passed) == nil {
      throw .resourceTemporarilyUnavailable
    }
    return try Syscalls.accept(number(world))
  }

  func pause() throws(SocketError) {
    try passing(.pause) { world throws(SocketError) in
      // One at a time, with resumptions and stops: the phase and the kernel must not part.
      try making.withLock { _ throws(SocketError) in
        guard advance(.pause) != nil else { throw error(.pause, .invalid("the listener is \(phase)")) }
        do throws(Errno) { try leaveListening(world) } catch { throw self.error(.pause, .system(error)) }
      }
      // An accept of a Unix listener waits for a client, and no event tells it.
      gate.wakeParked()
    }
  }

  private func leaveListening(_ world: World) throws(Errno) {
    // A Unix listener never takes a client again after shutdown(SHUT_RD). It keeps its queue, narrowed.
    if family == .unix { return try Syscalls.listen(number(world), 0) }
    let address = local
    try Syscalls.shutdown(number(world), CInt(SHUT_RD))
    if let address { try keepPort(address, world) }
  }

  /// A port that the kernel chose goes when LISTEN is left, though `getsockname` still names it: it is taken again at once.
  /// And as nobody listens, whoever else sets `SO_REUSEADDR` could take it: it is not set here until ``resume(backlog:)``.
  private func keepPort(_ address: SocketAddress, _ world: World) throws(Errno) {
    do { try Syscalls.bind(number(world), address) } catch {
      // A port that was asked for by its number stays; then bind(2) says that the socket is bound.
      if error != .invalidArgument { throw error }
    }
    try setReuse(false, world)
  }

  func setReuse(_ isOn: Bool, _ world: World) throws(Errno) {
    if isTCP { try Syscalls.setIntegerOption(number(world), SOL_SOCKET, SO_REUSEADDR, isOn ? 1 : 0) }
  }

  func resume(backlog: Int) throws(SocketError) {
    try passing(.resume) { world throws(SocketError) in
      try making.withLock { _ throws(SocketError) in
        guard phase == .paused else { throw error(.resume, .invalid("the listener is \(phase)")) }
        do throws(Errno) {
          try setReuse(true, world)
          try Syscalls.listen(number(world), CInt(clamping: backlog))
        } catch {
          try? setReuse(false, world)
          throw self.error(.resume, .system(error))
        }
        closing.withLock { $0.resumptions += 1 }
        advance(.resume)
      }
      // The servers wait for this.
      gate.wakeParked()
    }
  }

  /// Begins to stop. A second time it can only bring the deadline nearer.
  func stop(within: Duration) {
    let deadline = Deadline(after: within)
    // Before the phase: whoever sees it stopping has to see until when.
    let waiters = closing.withLock { state in
      state.drainDeadline = min(state.drainDeadline, deadline)
      return state.drainWaiters
    }
    waiters.forEach { $0.wake() }
    do {
      try passing(.accept) { world throws(SocketError) in
        making.withLock { _ in
          let wasPaused = phase == .paused
          if advance(.stop) != nil { refuseNewcomers(wasPaused: wasPaused, world) }
        }
        gate.wakeParked()
      }
    } catch {
      // Released already: there is nothing left to stop but the handlers.
    }
  }

  private func refuseNewcomers(wasPaused: Bool, _ world: World) {
    // Another process may hold a listener that was adopted, and serve it on: a service manager starts the next one with it.
    if closing.withLock({ $0.isAdopted }) { return }
    if family == .unix {
      // Final, keeps the queue, and refuses newcomers at once.
      try? Syscalls.shutdown(number(world), CInt(SHUT_RD))
    } else if !wasPaused {
      // Room for one more is the least that Linux gives; whoever comes is queued and served.
      try? Syscalls.listen(number(world), 0)
    }
  }

  /// Wakes `waker` with each stop from now on, until ``unhearStops(_:)``: a later one may end the drain earlier. Each server
  /// of the listener has its own.
  func hearStops(_ waker: any Wakeable) { closing.withLock { $0.drainWaiters.append(waker) } }

  func unhearStops(_ waker: any Wakeable) { closing.withLock { _ = $0.drainWaiters.take { $0 === waker } } }

  /// When the drain of a listener that was stopped is over; never while it is not.
  var drainDeadline: Deadline { closing.withLock { $0.drainDeadline } }

  func closeListener() -> ListenerReport {
    let queued = clientsQueued
    return ListenerReport(clientsReset: end() ? queued : 0)
  }

  nonisolated(nonsending) func closeListener() async -> ListenerReport {
    let queued = clientsQueued
    return ListenerReport(clientsReset: await end() ? queued : 0)
  }

  private var clientsQueued: Int {
    // On a listener tcpi_unacked is the length of the queue.
    (try? passing(.accept) { isTCP ? (try? TCPInfo.read(number($0)))?.segmentsUnacknowledged ?? 0 : 0 }) ?? 0
  }
}
