internal import CFin
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// Binding a socket, listening on it, and releasing one that has no connection.
extension Core {
  /// `bind(2)`.
  ///
  /// - Parameters:
  ///   - leavingPortOpen: with port 0, whether to choose no port before `connect` (`IP_BIND_ADDRESS_NO_PORT`).
  ///   - pathPermissions: the permissions of the file, when the address is a path.
  func bind(
    to address: SocketAddress, leavingPortOpen: Bool = false, pathPermissions: UInt32 = 0o600, _ access: Access
  ) throws(SocketError) {
    if let path = address.path, path.kind == .path { return try bind(to: path, permissions: pathPermissions, access) }
    do {
      if isTCP {
        // Over TIME-WAIT this helps only if the old socket had it as well, so every stream that Fin binds has it.
        try Syscalls.setIntegerOption(number(access), SOL_SOCKET, SO_REUSEADDR, 1)
        if leavingPortOpen, address.port == 0 {
          try Syscalls.setIntegerOption(number(access), CInt(IPPROTO_IP), CInt(FIN_IP_BIND_ADDRESS_NO_PORT), 1)
        }
      }
      try Syscalls.bind(number(access), address)
    } catch {
      throw inUse(.bind, error, address)
    }
  }

  /// Binds a socket that will connect to its source. The port is chosen when it connects, so that
  /// one port may serve several peers.
  func takeSource(
    _ source: IPAddress?, _ ports: ClosedRange<UInt16>?, toward peer: SocketAddress, _ access: Access
  ) throws(SocketError) {
    guard isTCP else { throw error(.connect, .invalid("a Unix socket has no source address and no source port")) }
    if let source, source.family != family {
      throw error(.connect, .invalid("the source \(source) cannot reach \(peer), which is of another family"))
    }
    if let ports, ports.lowerBound == 0 { throw error(.connect, .invalid("source ports begin at 1, and not at 0")) }
    // A single port needs no range, which older kernels lack.
    let isRange = (ports?.count ?? 1) > 1
    if let ports, isRange {
      let range = UInt32(ports.upperBound) << 16 | UInt32(ports.lowerBound)
      do {
        try Syscalls.setIntegerOption(
          number(access), CInt(IPPROTO_IP), CInt(FIN_IP_LOCAL_PORT_RANGE), CInt(bitPattern: range))
      } catch {
        let note = error == .protocolNotAvailable ? "a range of source ports needs Linux 6.3" : "a range of ports"
        throw self.error(.connect, .system(error), note: "\(note) (IP_LOCAL_PORT_RANGE)")
      }
    }
    let port = isRange ? 0 : ports?.lowerBound ?? 0
    guard source != nil || port != 0 else { return }
    let any: IPAddress = family == .ipv6 ? .v6(.any) : .v4(.any)
    try bind(to: .ip(source ?? any, port: port), leavingPortOpen: true, access)
    advance(.bind)
  }

  /// The error of a `bind` or `listen`. When the address is in use, its note names the holder.
  func inUse(_ operation: SocketError.Operation, _ code: Errno, _ address: SocketAddress?) -> SocketError {
    let holder = code == .addressInUse ? address.flatMap { PortOwner.note($0, kind) } : nil
    return SocketError(operation, .system(code), local: address, note: holder)
  }

  /// Sets the options that have to be set before `bind`.
  func apply(reusePort: Bool, ipv6Only: Bool?, _ access: Access) throws(SocketError) {
    do {
      if reusePort { try Syscalls.setIntegerOption(number(access), SOL_SOCKET, SO_REUSEPORT, 1) }
      if let ipv6Only, family == .ipv6 {
        try Syscalls.setIntegerOption(number(access), CInt(IPPROTO_IPV6), IPV6_V6ONLY, ipv6Only ? 1 : 0)
      }
    } catch { throw self.error(.bind, .system(error)) }
  }

  /// `listen(2)`, with every option set that accepted connections inherit.
  func listen(backlog: Int, _ timeouts: Timeouts, _ access: Access) throws(SocketError) {
    guard backlog >= 0 else { throw error(.listen, .invalid("a backlog of \(backlog)")) }
    do {
      try apply(timeouts, access)
      try applyUserTimeout(timeouts.send, access)
    } catch { throw self.error(.listen, error) }
    do { try Syscalls.listen(number(access), CInt(clamping: backlog)) } catch { throw inUse(.listen, error, local) }
    share()
    advance(.listen)
  }

  /// Releases a socket that has no connection to end. Safe from any thread, any number of times.
  ///
  /// - Returns: whether this call released it.
  @discardableResult
  func end(_ event: Lifecycle.Event = .abort) -> Bool {
    let loans = Loan.count(of: self)
    guard gate.beginClosing() else {
      if loans == 0 { gate.awaitRelease() }
      return false
    }
    gate.awaitQuiescence(besides: loans)
    finishEnd(event)
    return true
  }

  /// Releases a socket that has no connection to end, in a task.
  @discardableResult
  nonisolated(nonsending) func end(_ event: Lifecycle.Event = .abort) async -> Bool {
    guard gate.beginClosing() else {
      await gate.awaitRelease()
      return false
    }
    await gate.awaitQuiescence()
    finishEnd(event)
    return true
  }

  private func finishEnd(_ event: Lifecycle.Event) {
    armResetOfAttempt()
    advance(event)
    closing.withLock { $0.report = CloseReport(ending: .aborted) }
    leave(.using)
  }
}
