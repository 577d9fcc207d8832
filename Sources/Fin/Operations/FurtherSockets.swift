internal import CFin
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// The further sockets of a listener that listens on several addresses, such as those of `localhost`.
///
/// The listener's ``Core`` has the first socket, and these have one each. A pause, a stop and a close of the first one
/// apply to all of them. A poller over all is readable while any of them has a client: there the listener waits, in
/// threads and in tasks.
final class FurtherSockets: Sendable {
  let members: [Core]
  /// The descriptor of the poller.
  let poller: CInt
  /// The socket that is asked first, in turn: the clients of one address must not keep those of another waiting.
  private let turn = Atomic<Int>(0)

  /// Makes the poller over the sockets of one listener, all of which the caller alone holds.
  ///
  /// - Parameter numbers: the descriptors of all sockets, also of the listener's first one.
  init(_ members: [Core], watching numbers: [CInt]) throws(Errno) {
    let poller = try Syscalls.makePoller()
    do throws(Errno) {
      for number in numbers { try Syscalls.watch(number, with: poller) }
    } catch {
      Syscalls.close(poller)
      throw error
    }
    self.poller = poller
    self.members = members
  }

  /// All sockets of the listener, beginning with another one at each call.
  func inTurn(with first: Core) -> [Core] {
    let all = [first] + members
    let start = Int(UInt(bitPattern: turn.wrappingAdd(1, ordering: .relaxed).newValue) % UInt(all.count))
    return Array(all[start...] + all[..<start])
  }

  /// Closes the sockets and the poller.
  func release() {
    for core in members { core.end() }
    Syscalls.close(poller)
  }
}

extension Core {
  /// The further sockets of this listener; `nil` for every other socket.
  var further: FurtherSockets? {
    switch phase {
    case .listening, .paused, .stopping: closing.withLock { $0.further }
    case .fresh, .bound, .connecting, .connected, .sendFinished, .peerFinished, .bothFinished, .failed, .confirming,
      .confirmingLast, .lingering, .lingeringAcknowledged, .closed:
      nil
    }
  }

  /// The descriptor that becomes ready when this socket does.
  func waitingNumber(_ access: Access) -> CInt { further?.poller ?? number(access) }

  /// The addresses of all sockets of this listener.
  var localAddresses: [SocketAddress] { ([self] + (further?.members ?? [])).compactMap(\.local) }
}

extension Core {
  /// Gives the descriptors of all sockets of a listener away.
  func detachAll() throws(SocketError) -> [CInt] {
    let further = further
    var numbers = [try detach().number]
    for core in further?.members ?? [] { numbers.append(try core.detach().number) }
    return numbers
  }
}

extension Core {
  /// Makes this listener and others, which the caller alone holds, one listener.
  func join(_ others: [Core]) throws(SocketError) {
    guard !others.isEmpty else { return }
    var numbers: [CInt] = []
    for core in [self] + others { numbers.append(try core.withAccess(.bind) { core.number($0) }) }
    let further: FurtherSockets
    do throws(Errno) { further = try FurtherSockets(others, watching: numbers) } catch {
      throw self.error(.bind, .system(error))
    }
    closing.withLock { $0.further = further }
  }
}

/// Opening a listener.
extension Core {
  /// The properties of a new listener, besides its addresses.
  struct Listening {
    let backlog: Int
    let reusePort: Bool
    let ipv6Only: Bool?
    let pathPermissions: UInt32
    let timeouts: Timeouts
    let site: Ledger.Site
  }

  /// Binds one address and listens there.
  static func listening(at address: SocketAddress, _ wanted: Listening) throws(SocketError) -> Core {
    let core = try fresh(address.family, .bind, isShared: true, local: address, site: wanted.site)
    do {
      try core.withAccess(.bind) { access throws(SocketError) in
        try core.apply(reusePort: wanted.reusePort, ipv6Only: wanted.ipv6Only, access)
        try core.bind(to: address, pathPermissions: wanted.pathPermissions, access)
        core.advance(.bind)
        try core.listen(backlog: wanted.backlog, wanted.timeouts, access)
      }
    } catch {
      core.end()
      throw error
    }
    return core
  }

  /// Binds every address of this machine: an IPv6 socket that takes IPv4 clients as well, or an IPv4 socket where there
  /// is no IPv6.
  static func listening(atEveryAddressWithPort port: UInt16, _ wanted: Listening) throws(SocketError) -> Core {
    do throws(SocketError) {
      let both = Listening(
        backlog: wanted.backlog, reusePort: wanted.reusePort, ipv6Only: wanted.ipv6Only ?? false,
        pathPermissions: wanted.pathPermissions, timeouts: wanted.timeouts, site: wanted.site)
      return try listening(at: .any6(port: port), both)
    } catch {
      guard error.isMissingAddress, wanted.ipv6Only != true else { throw error }
      return try listening(at: .any(port: port), wanted)
    }
  }

  /// Binds an endpoint that was resolved to these addresses.
  static func listening(
    at endpoint: Endpoint, _ addresses: [SocketAddress], _ wanted: Listening
  ) throws(SocketError) -> Core {
    if endpoint.isAnywhere, let port = addresses[0].port {
      return try listening(atEveryAddressWithPort: port, wanted)
    }
    return try listening(at: addresses, wanted)
  }

  /// Binds every address of a name, with one socket for each.
  ///
  /// An address that this machine does not have is left out, as `::1` where IPv6 is off, unless no other is left. With
  /// port 0, the port that the kernel chose for the first address is the port of all.
  static func listening(at addresses: [SocketAddress], _ wanted: Listening) throws(SocketError) -> Core {
    if addresses.count == 1 { return try listening(at: addresses[0], wanted) }
    var attempts = 16
    while true {
      attempts -= 1
      do { return try listening(atAll: addresses, wanted) } catch {
        // Another socket has the chosen port at a later address.
        let isTaken = error.cause == .system(.addressInUse) && addresses[0].port == 0
        guard isTaken, attempts > 0 else { throw error }
      }
    }
  }

  private static func listening(atAll addresses: [SocketAddress], _ wanted: Listening) throws(SocketError) -> Core {
    var cores: [Core] = []
    var missing: SocketError?
    // An IPv6 socket takes no IPv4 clients: these have a socket of their own.
    let each = Listening(
      backlog: wanted.backlog, reusePort: wanted.reusePort, ipv6Only: wanted.ipv6Only ?? true,
      pathPermissions: wanted.pathPermissions, timeouts: wanted.timeouts, site: wanted.site)
    do throws(SocketError) {
      for address in addresses {
        var address = address
        if case .ip(let ip, port: 0) = address, let port = cores.first?.local?.port { address = .ip(ip, port: port) }
        do throws(SocketError) { cores.append(try listening(at: address, each)) } catch {
          guard error.isMissingAddress else { throw error }
          if missing == nil { missing = error }
        }
      }
      guard let first = cores.first else { throw missing! }
      try first.join(Array(cores.dropFirst()))
      return first
    } catch {
      for core in cores { core.end() }
      throw error
    }
  }
}

extension SocketError {
  /// Whether this machine does not have the address, or its family.
  fileprivate var isMissingAddress: Bool {
    cause == .system(.addressNotAvailable) || cause == .system(.addressFamilyNotSupported)
  }
}
