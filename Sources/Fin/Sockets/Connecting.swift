internal import CFin
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// How a stream comes to be connected. One socket an attempt: what a failed one leaves behind is unspecified.
extension Core {
  /// `connect(2)`, and the wait for the handshake. Whatever fails, the socket is released.
  func connect(to peer: SocketAddress, _ timeouts: Timeouts, _ patience: inout Patience) throws(SocketError) {
    var failure = Event.connectFailed
    var isOurs = false
    do throws(SocketError) {
      try passing(.connect) { () throws(SocketError) in
        guard advance(.connect) != nil else {
          throw error(.connect, .invalid("this socket is \(phase); one socket an attempt"))
        }
        isOurs = true
        self.peer = peer
        do throws(SocketError.Cause) {
          try apply(timeouts)
          try handshake(with: peer, &patience)
        } catch {
          if error == .timedOut { failure = .deadline }
          throw self.error(.connect, error)
        }
        if family != .unix, local == peer {
          // Two FINs to itself would leave TIME-WAIT on the very port that a listener may want next.
          try? Syscalls.armReset(number)
          throw error(
            .connect, .system(.connectionRefused),
            note: "nobody listens there, and the socket was given that very port: it was connected to itself")
        }
        advance(.established)
      }
    } catch {
      // An attempt that somebody else has under way is theirs.
      if isOurs, phase == .connecting { giveUp(failure) }
      throw error
    }
  }

  private func handshake(with peer: SocketAddress, _ patience: inout Patience) throws(SocketError.Cause) {
    var pause = Duration.milliseconds(1)
    while true {
      let code: Errno
      do { return try Syscalls.connect(number, peer) } catch { code = error }
      switch code {
      // The handshake goes on, signal or no signal; asking again is unspecified.
      case .nowInProgress, .interrupted:
        try wait(for: CInt(POLLOUT), &patience)
        do throws(Errno) {
          guard let failure = try Syscalls.takeError(number) else { return }
          throw failure
        } catch { throw error == .timedOut ? .lost(error) : .system(error) }
      // A Unix listener's queue is full. No event tells when it no longer is, so this asks again, ever more rarely.
      case .resourceTemporarilyUnavailable where peer.family == .unix:
        if patience.deadline.hasPassed { throw .timedOut }
        var rest = Patience(pause)
        do throws(SocketError.Cause) { try wait(for: 0, &rest) } catch { if error != .timedOut { throw error } }
        pause = min(pause * 2, .milliseconds(50))
      default: throw .system(code)
      }
    }
  }

  /// Releases a socket that came to nothing.
  private func giveUp(_ event: Event) {
    // If somebody else closes it at this moment, it is theirs to release.
    guard gate.beginClosing() else { return }
    gate.awaitQuiescence()
    advance(event)
    closing.withLock { $0.report = CloseReport(ending: .aborted) }
    leave(.passing)
    gate.finishClosing()
  }

  /// What every stream of ours is born with, beyond what its creating system call does. What a listener accepts inherits it.
  func apply(_ timeouts: Timeouts) throws(SocketError.Cause) {
    guard isTCP else { return }
    try apply(.noDelay, true)
    // No time at all is a way to ask once, and no reason to end a connection. What is longer than the kernel can count is as
    // long as it can count.
    if let send = timeouts.send, send > .zero { try apply(.userTimeout, min(send, .milliseconds(CInt.max))) }
    if let keepAlive = timeouts.keepAlive {
      try apply(.keepAlive, true)
      try apply(.keepAliveIdle, keepAlive.idle)
      try apply(.keepAliveInterval, keepAlive.interval)
      try apply(.keepAliveCount, keepAlive.count)
    }
  }

  private func apply<Value>(_ option: SocketOption<Value>, _ value: Value) throws(SocketError.Cause) {
    guard let bytes = option.encode(value) else { throw .invalid("\(value) is out of the range of \(option.label)") }
    do { try Syscalls.setOption(number, option.level, option.name, bytes) } catch {
      guard error == .invalidArgument else { throw .system(error) }
      throw .invalid("\(value) is out of the range of \(option.label)")
    }
  }

  /// A socket, fresh.
  static func fresh(
    _ family: AddressFamily, kind: SocketKind = .stream, _ operation: SocketError.Operation, isShared: Bool = false,
    peer: SocketAddress? = nil, local: SocketAddress? = nil, site: Ledger.Site
  ) throws(SocketError) -> Core {
    let descriptor: Descriptor
    do {
      descriptor = Descriptor(owning: try Syscalls.socket(family.rawValue, kind.rawValue))
    } catch { throw SocketError(operation, .system(error), local: local, peer: peer) }
    return Core(descriptor, family: family, kind: kind, phase: .fresh, isShared: isShared, site: site)
  }

  /// A new socket connected to `peer`.
  static func connected(
    to peer: SocketAddress, _ timeouts: Timeouts, _ patience: inout Patience, site: Ledger.Site
  ) throws(SocketError) -> Core {
    let core = try fresh(peer.family, .connect, peer: peer, site: site)
    try core.connect(to: peer, timeouts, &patience)
    return core
  }

  /// Tries each address of an endpoint in turn until one answers; all of them, and the resolution, share the time.
  static func connected(
    to endpoint: Endpoint, _ timeouts: Timeouts, _ patience: inout Patience, site: Ledger.Site
  ) throws(SocketError) -> Core {
    var last: SocketError?
    for peer in try endpoint.resolved(for: .connect, &patience) {
      do { return try connected(to: peer, timeouts, &patience, site: site) } catch {
        last = error
        if error.cause == .timedOut { break }
      }
    }
    throw last!
  }
}

extension Endpoint {
  func resolved(for operation: SocketError.Operation, _ patience: inout Patience) throws(SocketError) -> [SocketAddress]
  {
    do {
      return try resolve(
        operation == .bind ? .listen : .connect, within: patience.deadline.remaining ?? .seconds(3600))
    } catch { throw SocketError(operation, .unresolved(error)) }
  }
}
