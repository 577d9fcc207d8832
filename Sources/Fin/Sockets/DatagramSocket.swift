internal import CFin
internal import Glibc
internal import Synchronization
public import SystemPackage

/// Sends and receives datagrams, over UDP or between programs of one machine (Unix), with one owner.
///
/// What it promises: every datagram is whole, or says that it was cut and how long it was; the descriptor is released
/// exactly once, by ``close()`` or ``detach()``; every wait has a deadline. What it does not: tell whether a datagram arrived.
///
/// `SO_REUSEADDR` is not set, unlike on a stream listener: on a datagram socket it lets another program bind the same port
/// while this one has it, and take its datagrams. Nor is it needed: UDP has no TIME-WAIT.
///
/// Dropped open, it is closed, and reported as a leak with the line that opened it.
/// ```swift
/// let socket = try DatagramSocket.bind("localhost:5353")
/// let question = try socket.receive()
/// if let sender = question.from { try socket.send("yes", to: sender) }
/// socket.close()
/// ```
public struct DatagramSocket: ~Copyable, DatagramEnd {
  /// What this owner holds.
  public let reference: SocketReference
  /// How long waits last when a call does not say.
  public var timeouts: Timeouts

  init(core: Core, timeouts: Timeouts) {
    reference = SocketReference(core: core)
    self.timeouts = timeouts
  }

  // MARK: Opening

  /// A socket without an address; sending gives it one over UDP, and none on Unix. `socket(2)`.
  public init(
    _ family: AddressFamily, timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) {
    self.init(core: try .fresh(family, kind: .datagram, .open, site: .init(file: file, line: line)), timeouts: timeouts)
  }

  /// A socket that has an address; port 0 lets the kernel choose one.
  ///
  /// A path is treated as ``Listener/bind(_:backlog:options:timeouts:file:line:)-(SocketAddress,_,_,_,_,_)`` treats it.
  /// - Parameters:
  ///   - address: where; port 0 for one that the kernel chooses.
  ///   - pathPermissions: who may send to a path: permission bits, exactly, whatever the umask. 0600, this user alone.
  ///   - timeouts: for the calls that do not say.
  ///   - file: where the socket is opened, for a leak's report.
  ///   - line: see `file`.
  /// - Throws: what is in the way: `.system(EADDRINUSE)` says who has the port, when that can be known.
  public static func bind(
    _ address: SocketAddress, pathPermissions: UInt32 = 0o600, timeouts: Timeouts = .default,
    file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> DatagramSocket {
    let site = Ledger.Site(file: file, line: line)
    let core = try Core.fresh(address.family, kind: .datagram, .bind, local: address, site: site)
    do {
      try core.passing(.bind) { world throws(SocketError) in
        try core.bind(to: address, pathPermissions: pathPermissions, world)
        core.advance(.bind)
      }
    } catch {
      core.end()
      throw error
    }
    return DatagramSocket(core: core, timeouts: timeouts)
  }

  /// Binds what a person writes: `"localhost:5353"`, `":0"`, `"/run/x.sock"`, `"@name"`; the first address that the name has.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public static func bind(
    _ endpoint: Endpoint, pathPermissions: UInt32 = 0o600, timeouts: Timeouts = .default,
    file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> DatagramSocket {
    var patience = Patience(timeouts.connectLimit)
    let address = try endpoint.resolved(for: .bind, &patience)[0]
    return try bind(address, pathPermissions: pathPermissions, timeouts: timeouts, file: file, line: line)
  }

  /// Binds what a person writes, in a task: a name is looked up without blocking the task's thread.
  public static func bind(
    _ endpoint: Endpoint, pathPermissions: UInt32 = 0o600, timeouts: Timeouts = .default,
    file: StaticString = #fileID, line: UInt = #line
  ) async throws(SocketError) -> DatagramSocket {
    var patience = Patience(timeouts.connectLimit)
    let address = try await endpoint.resolved(for: .bind, &patience)[0]
    return try bind(address, pathPermissions: pathPermissions, timeouts: timeouts, file: file, line: line)
  }

  /// Two Unix datagram sockets connected to each other. `socketpair(2)`.
  public static func pair(
    timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> DatagramPair {
    let numbers: (CInt, CInt)
    do { numbers = try Syscalls.socketpair(SocketKind.datagram.rawValue) } catch {
      throw SocketError(.open, .system(error))
    }
    let site = Ledger.Site(file: file, line: line)
    let first = Core(
      Descriptor(owning: numbers.0), family: .unix, kind: .datagram, phase: .bound, peer: .unix(.unnamed), site: site)
    let second = Core(
      Descriptor(owning: numbers.1), family: .unix, kind: .datagram, phase: .bound, peer: .unix(.unnamed), site: site)
    return DatagramPair(
      first: DatagramSocket(core: first, timeouts: timeouts), second: DatagramSocket(core: second, timeouts: timeouts))
  }

  /// Takes over a datagram socket that somebody else made. It becomes non-blocking and `CLOEXEC`.
  ///
  /// On success the descriptor is ours and nobody else may close it; on failure it is untouched.
  /// - Throws: `.system(ENOTSOCK)`; `.invalid` when it is no datagram socket or is ours already.
  public static func adopt(
    _ descriptor: FileDescriptor, timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> DatagramSocket {
    let core = try Core.adopted(descriptor.rawValue, as: .datagrams, site: .init(file: file, line: line))
    return DatagramSocket(core: core, timeouts: timeouts)
  }

  /// Gives an unbound socket an address: for those who set options before it, `IPV6_V6ONLY` say.
  public borrowing func bind(to address: SocketAddress, pathPermissions: UInt32 = 0o600) throws(SocketError) {
    let core = reference.core
    try core.passing(.bind) { world throws(SocketError) in
      guard Lifecycle.transition(core.phase, on: .bind) != nil else {
        throw core.error(.bind, .invalid("this socket is \(core.phase)"))
      }
      try core.bind(to: address, pathPermissions: pathPermissions, world)
      core.forgetLocal()
      core.advance(.bind)
    }
  }

  // MARK: Turning into something else

  /// A reference for those who keep sockets in collections and actors, or close one from another thread.
  public consuming func share() -> SharedDatagramSocket {
    reference.core.isShared.store(true, ordering: .releasing)
    return SharedDatagramSocket(core: reference.core, timeouts: timeouts)
  }

  /// Gives the descriptor away, as it is, with the datagrams in its queue: non-blocking, `CLOEXEC`, the caller's to close. A
  /// path stays.
  public consuming func detach() -> FileDescriptor {
    do { return FileDescriptor(rawValue: try reference.core.detach().number) } catch {
      fatalError("a datagram socket that only its owner can close was closed: \(error)")
    }
  }

  // MARK: Ending

  /// Releases it. `close(2)`: what was sent goes on its way, what was not received is gone, nobody is told.
  public consuming func close() { reference.core.end() }
}

/// What ``DatagramSocket/pair(timeouts:file:line:)`` makes: two sockets connected to each other.
@frozen
public struct DatagramPair: ~Copyable, Sendable {
  /// One end.
  public var first: DatagramSocket
  /// The other end.
  public var second: DatagramSocket
}

/// A reference to a datagram socket, for collections, actors, and several threads at once.
///
/// ``close()-7zn0x`` may come from any thread at any moment: whoever waits inside wakes with `.closed`, the descriptor is released
/// when the last one is out, and every later operation throws `.closed`. If the last reference dies before that, it is a
/// leak, and reported.
public struct SharedDatagramSocket: DatagramEnd {
  /// What this owner holds.
  public let reference: SocketReference
  /// How long waits last when a call does not say.
  public var timeouts: Timeouts

  init(core: Core, timeouts: Timeouts) {
    reference = SocketReference(core: core)
    self.timeouts = timeouts
  }

  /// Releases it; returns when everybody is out. A second time it changes nothing.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public func close() { reference.core.end() }

  /// The same in a task.
  public func close() async { await reference.core.end() }
}

extension SharedDatagramSocket: Hashable {
  public static func == (a: SharedDatagramSocket, b: SharedDatagramSocket) -> Bool {
    a.reference.core === b.reference.core
  }
  public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(reference.core)) }
}
