internal import CFin
internal import FinBase
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// Connecting a stream. Each attempt has a new socket, because the state after a failed attempt is unspecified.
extension Core {
  /// `connect(2)`, and the wait for the handshake, in a thread. A failed attempt releases the socket.
  ///
  /// - Parameter sourcePorts: the range in which the local port has to be.
  func connect(
    to peer: SocketAddress, _ timeouts: Timeouts, _ timeout: inout LazyDeadline,
    sourcePorts: ClosedRange<UInt16>? = nil
  ) throws(SocketError) {
    var handshake = ConnectAttempt(peer: peer, timeouts: timeouts, sourcePorts: sourcePorts)
    do {
      try perform(.using, .connect, &timeout, &handshake) { handshake, access throws(SocketError) in
        try handshake.step(self, access)
      }
    } catch {
      if let event = handshake.givingUp(self) { end(event) }
      throw error
    }
  }

  /// `connect(2)`, and the wait for the handshake, in a task. A failed attempt releases the socket.
  nonisolated(nonsending) func connect(
    to peer: SocketAddress, _ timeouts: Timeouts, _ timeout: inout LazyDeadline,
    sourcePorts: ClosedRange<UInt16>? = nil
  ) async throws(SocketError) {
    var handshake = ConnectAttempt(peer: peer, timeouts: timeouts, sourcePorts: sourcePorts)
    do {
      try await perform(.using, .connect, &timeout, &handshake) { handshake, access throws(SocketError) in
        try handshake.step(self, access)
      }
    } catch {
      if let event = handshake.givingUp(self) { await end(event) }
      throw error
    }
  }

  /// Sets the options of every new stream; the system call that creates it and ``applyUserTimeout(_:_:)`` set the
  /// others. An accepted connection inherits them from its listener.
  func apply(_ timeouts: Timeouts, _ access: Access) throws(SocketError.Cause) {
    guard isTCP else { return }
    try apply(.noDelay, true, access)
    if let keepAlive = timeouts.keepAlive {
      try apply(.keepAlive, true, access)
      try apply(.keepAliveIdle, keepAlive.idle, access)
      try apply(.keepAliveInterval, keepAlive.interval, access)
      try apply(.keepAliveCount, keepAlive.count, access)
    }
  }

  private func apply<Value>(
    _ option: SocketOption<Value>, _ value: Value, _ access: Access
  ) throws(SocketError.Cause) {
    guard let bytes = option.encode(value) else { throw .invalid("\(value) is out of the range of \(option.label)") }
    do { try Syscalls.setOption(number(access), option.level, option.name, bytes) } catch {
      if isMissing(error, access) { return }
      guard error == .invalidArgument else { throw .system(error) }
      throw .invalid("\(value) is out of the range of \(option.label)")
    }
  }

  /// Whether an option could not be set because MPTCP does not have it, or not in this kernel yet: such a connection
  /// goes on without it. The kernel's answer decides which options those are; TCP has all of them.
  func isMissing(_ code: Errno, _ access: Access) -> Bool {
    guard code == .protocolNotAvailable || code == .notSupportedOnSocket else { return false }
    return (try? Syscalls.protocolNumber(number(access))) == CInt(FIN_IPPROTO_MPTCP)
  }

  /// Makes a socket in phase `fresh`.
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

  /// Makes a socket for an attempt to connect to `peer`, bound to the source that the options name.
  static func fresh(
    toDial peer: SocketAddress, _ options: DialOptions, site: Ledger.Site
  ) throws(SocketError) -> Core {
    let core = try fresh(peer.family, .connect, peer: peer, site: site)
    guard options.hasSource else { return core }
    do {
      try core.withAccess(.connect) { access throws(SocketError) in
        try core.takeSource(options.source, options.sourcePorts, toward: peer, access)
      }
    } catch {
      core.end()
      throw error
    }
    return core
  }

  /// Makes a socket and connects it to `peer`, in a thread.
  static func connected(
    to peer: SocketAddress, _ options: DialOptions, _ timeouts: Timeouts, _ timeout: inout LazyDeadline,
    site: Ledger.Site
  ) throws(SocketError) -> Core {
    let core = try fresh(toDial: peer, options, site: site)
    try core.connect(to: peer, timeouts, &timeout, sourcePorts: options.sourcePorts)
    return core
  }

  /// Makes a socket and connects it to `peer`, in a task.
  nonisolated(nonsending) static func connected(
    to peer: SocketAddress, _ options: DialOptions, _ timeouts: Timeouts, _ timeout: inout LazyDeadline,
    site: Ledger.Site
  ) async throws(SocketError) -> Core {
    let core = try fresh(toDial: peer, options, site: site)
    try await core.connect(to: peer, timeouts, &timeout, sourcePorts: options.sourcePorts)
    return core
  }
}
