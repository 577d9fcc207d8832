internal import CFin
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// What an accept error means for the listener. Everything that is not here is the listener's own failure.
enum AcceptFailure {
  /// It was about one client, or the network: take the next.
  case client
  /// There is no room for a descriptor or its memory: wait until something is released.
  case capacity
  /// The listener is not one any more.
  case listener

  init(_ code: Errno) {
    switch code {
    // accept(2): pending network errors of the new socket come out of accept.
    case .connectionAbort, .interrupted, .connectionReset, .timedOut, .networkDown, .networkUnreachable, .hostIsDown,
      .noRouteToHost, .socketTypeNotSupported, .protocolNotSupported, .protocolError, .protocolNotAvailable,
      .notPermitted, Errno(rawValue: ENONET), Errno(rawValue: ENOSR):
      self = .client
    case .tooManyOpenFiles, .tooManyOpenFilesInSystem, .noBufferSpace, .noMemory: self = .capacity
    default: self = .listener
    }
  }
}

extension Core {
  /// Takes the next client, in a thread.
  func accept(_ patience: inout Patience, site: Ledger.Site) throws(SocketError) -> Core {
    var isDrained = false
    do {
      var progress = NoProgress()
      return try inside(.passing, .accept, &patience, &progress) { _, world throws(SocketError) in
        try takeClient(site, &isDrained, world)
      }
    } catch {
      // The last queued client of a stopped listener is out: now the port is released, and nobody is reset.
      if isDrained { end(.drained) }
      throw error
    }
  }

  /// Takes the next client, in a task.
  nonisolated(nonsending) func accept(
    _ patience: inout Patience, site: Ledger.Site
  ) async throws(SocketError) -> Core {
    var isDrained = false
    do {
      var progress = NoProgress()
      return try await inside(.passing, .accept, &patience, &progress) { _, world throws(SocketError) in
        try takeClient(site, &isDrained, world)
      }
    } catch {
      if isDrained { await end(.drained) }
      throw error
    }
  }

  private func takeClient(
    _ site: Ledger.Site, _ isDrained: inout Bool, _ world: World
  ) throws(SocketError) -> Attempt<Core> {
    var isSomebodyWaiting = false
    while true {
      if phase == .paused { throw error(.accept, .paused) }
      let isStopping = phase == .stopping
      let resumptions = closing.withLock { $0.resumptions }
      let news = News(of: self, world)
      // What is queued when a listener stops is taken without waiting for news of it.
      if !isStopping, !news.mayHold(.input) { return .blocked(.input) }
      let code: Errno
      do {
        let (number, peer) = try Syscalls.accept(self.number(world))
        return .done(
          Core(
            Descriptor(owning: number), family: family, kind: .stream, phase: .connected, peer: peer, ledger: ledger,
            site: site))
      } catch { code = error }
      if code == .resourceTemporarilyUnavailable || (code == .invalidArgument && phase == .stopping) {
        if isStopping {
          isDrained = true
          throw error(.accept, .closed)
        }
        news.exhausted([.input, .mixed])
        return .blocked(.input)
      }
      switch AcceptFailure(code) {
      case .client: continue
      case .capacity:
        // The kernel looks for a descriptor before it looks for a client: without a client there is nothing to fail. One
        // that came after the refusal may find room: only what is refused with somebody waiting is an error.
        if isSomebodyWaiting { throw error(.accept, .system(code)) }
        isSomebodyWaiting = ((try? Syscalls.poll(number(world), CInt(POLLIN), until: .passed)) ?? nil) != nil
        if isSomebodyWaiting { continue }
        if isStopping {
          isDrained = true
          throw error(.accept, .closed)
        }
        news.exhausted([.input, .mixed])
        return .blocked(.input)
      case .listener:
        if phase == .paused { throw error(.accept, .paused) }
        // A pause that was over before we heard of it: it listens again.
        if code == .invalidArgument, closing.withLock({ $0.resumptions }) != resumptions { continue }
        throw error(.accept, .system(code))
      }
    }
  }

  func pause() throws(SocketError) {
    try passing(.pause) { world throws(SocketError) in
      guard advance(.pause) != nil else { throw error(.pause, .invalid("the listener is \(phase)")) }
      let address = local
      do throws(Errno) {
        try Syscalls.shutdown(number(world), CInt(SHUT_RD))
        if isTCP, let address { try keepPort(address, world) }
      } catch { throw self.error(.pause, .system(error)) }
    }
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
      guard phase == .paused else { throw error(.resume, .invalid("the listener is \(phase)")) }
      do throws(Errno) {
        try setReuse(true, world)
        try Syscalls.listen(number(world), CInt(clamping: backlog))
      } catch {
        try? setReuse(false, world)
        throw self.error(.resume, .system(error))
      }
      closing.withLock { $0.resumptions += 1 }
      // Stopped meanwhile: then it must not take new clients.
      if advance(.resume) == nil { try? Syscalls.listen(number(world), 0) }
      // Whoever serves waits for this.
      gate.wakeParked()
    }
  }

  /// Begins to stop. A second time it can only bring the deadline nearer.
  func stop(within: Duration) {
    let deadline = Deadline(after: within)
    // Before the phase: whoever sees it stopping has to see until when.
    let waiter = closing.withLock { state in
      state.drainDeadline = min(state.drainDeadline, deadline)
      return state.drainWaiter
    }
    waiter?.wake()
    do {
      try passing(.accept) { world throws(SocketError) in
        let wasPaused = phase == .paused
        // Room for one more is the least that Linux gives; whoever comes is queued and served.
        if advance(.stop) != nil, !wasPaused { try? Syscalls.listen(number(world), 0) }
        gate.wakeParked()
      }
    } catch {
      // Released already: there is nothing left to stop but the handlers.
    }
  }

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
