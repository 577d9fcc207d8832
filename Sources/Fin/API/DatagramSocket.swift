internal import CFin
internal import FinBase
internal import Glibc
internal import Synchronization
public import SystemPackage

/// A socket for datagrams, over UDP or between programs of one machine (Unix), with one owner.
///
/// It promises that every datagram is whole, or is marked as cut and has its full length; that the descriptor is
/// released exactly once, by ``close()`` or ``detach()``; and that every wait has a deadline. It cannot tell whether a
/// datagram arrived.
///
/// `SO_REUSEADDR` is not set, unlike on a stream listener: on a datagram socket it lets another program bind the same
/// port while this one has it, and take its datagrams. It is not needed either, because UDP has no TIME-WAIT.
///
/// A socket that is dropped open is closed, and reported as a leak with the line that opened it.
/// ```swift
/// let socket = try DatagramSocket.bind("localhost:5353")
/// let question = try socket.receive()
/// if let sender = question.sender { try socket.send("yes", to: sender) }
/// socket.close()
/// ```
public struct DatagramSocket: ~Copyable, DatagramSocketProtocol {
  /// The reference to the socket that this value owns.
  @_spi(Fin) public let reference: SocketReference
  /// The timeouts of calls that pass no `within`.
  public var timeouts: Timeouts

  init(core: Core, timeouts: Timeouts) {
    reference = SocketReference(core: core)
    self.timeouts = timeouts
  }

  // MARK: Opening

  /// Makes a socket without an address. Sending gives it one over UDP, and none on Unix. `socket(2)`.
  public init(
    _ family: AddressFamily, timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) {
    self.init(core: try .fresh(family, kind: .datagram, .open, site: .init(file: file, line: line)), timeouts: timeouts)
  }

  /// Makes a socket and binds it to an address; port 0 lets the kernel choose one.
  ///
  /// A path is treated as ``Listener/bind(_:backlog:options:timeouts:file:line:)-(SocketAddress,_,_,_,_,_)`` treats it.
  /// - Parameters:
  ///   - address: the address to bind; with port 0 the kernel chooses a port.
  ///   - pathPermissions: the permission bits of a path, exactly, whatever the umask: they decide which users may send
  ///     to it. 0600, this user alone, by default.
  ///   - receiveBuffer: `SO_RCVBUF` in bytes, set before the bind, so that it holds for the first datagram too; `nil`
  ///     for the system's default, which a burst of a few hundred datagrams fills. The kernel grants at most
  ///     `net.core.rmem_max`: ``SocketOption/receiveBuffer`` tells. ``DatagramSocketProtocol/datagramsDropped()``
  ///     counts those that found no room.
  ///   - sendBuffer: `SO_SNDBUF` in bytes; `nil` for the system's default.
  ///   - timeouts: the timeouts of calls that pass no `within`.
  ///   - file: where the socket is opened, for the report of a leak.
  ///   - line: see `file`.
  /// - Throws: `.system` with the reason why the address cannot be bound. The note of `.system(EADDRINUSE)` names the
  ///   program that has the port, if that can be determined.
  public static func bind(
    _ address: SocketAddress, pathPermissions: UInt32 = 0o600, receiveBuffer: Int? = nil, sendBuffer: Int? = nil,
    timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> DatagramSocket {
    let site = Ledger.Site(file: file, line: line)
    let core = try Core.fresh(address.family, kind: .datagram, .bind, local: address, site: site)
    do {
      try core.withAccess(.bind) { access throws(SocketError) in
        if let receiveBuffer { try core.set(.receiveBuffer, to: receiveBuffer, access) }
        if let sendBuffer { try core.set(.sendBuffer, to: sendBuffer, access) }
        try core.bind(to: address, pathPermissions: pathPermissions, access)
        core.advance(.bind)
      }
    } catch {
      core.end()
      throw error
    }
    return DatagramSocket(core: core, timeouts: timeouts)
  }

  /// Makes a socket and binds it to an endpoint as a person writes it: `"localhost:5353"`, `":0"`, `"/run/x.sock"`,
  /// `"@name"`. Takes the first address of the name.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public static func bind(
    _ endpoint: Endpoint, pathPermissions: UInt32 = 0o600, receiveBuffer: Int? = nil, sendBuffer: Int? = nil,
    timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> DatagramSocket {
    var timeout = timeouts.connecting(.default)
    let address = try endpoint.resolved(for: .bind, &timeout)[0]
    return try bind(
      address, pathPermissions: pathPermissions, receiveBuffer: receiveBuffer, sendBuffer: sendBuffer,
      timeouts: timeouts, file: file, line: line)
  }

  /// Makes a socket and binds it to an endpoint, in a task: a name is looked up without blocking the task's thread.
  public static func bind(
    _ endpoint: Endpoint, pathPermissions: UInt32 = 0o600, receiveBuffer: Int? = nil, sendBuffer: Int? = nil,
    timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) async throws(SocketError) -> DatagramSocket {
    var timeout = timeouts.connecting(.default)
    let address = try await endpoint.resolved(for: .bind, &timeout)[0]
    return try bind(
      address, pathPermissions: pathPermissions, receiveBuffer: receiveBuffer, sendBuffer: sendBuffer,
      timeouts: timeouts, file: file, line: line)
  }

  /// Makes two Unix datagram sockets that are connected to each other. `socketpair(2)`.
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

  /// Takes over a datagram socket that other code made. It becomes non-blocking and `CLOEXEC`.
  ///
  /// On success Fin owns the descriptor and no other code may close it; on failure it is untouched.
  /// - Throws: `.system(ENOTSOCK)`; `.invalid` when it is not a datagram socket or Fin owns it already.
  public static func adopt(
    _ descriptor: FileDescriptor, timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> DatagramSocket {
    let core = try Core.adopted(descriptor.rawValue, as: .datagrams, site: .init(file: file, line: line))
    return DatagramSocket(core: core, timeouts: timeouts)
  }

  /// Binds an unbound socket, for programs that set options before binding, such as `IPV6_V6ONLY`.
  public borrowing func bind(to address: SocketAddress, pathPermissions: UInt32 = 0o600) throws(SocketError) {
    let core = reference.core
    try core.withAccess(.bind) { access throws(SocketError) in
      guard Lifecycle.transition(core.phase, on: .bind) != nil else {
        throw core.error(.bind, .invalid("this socket is \(core.phase)"))
      }
      try core.bind(to: address, pathPermissions: pathPermissions, access)
      core.forgetLocal()
      core.advance(.bind)
    }
  }

  // MARK: Converting

  /// Converts the socket into a copyable reference, for collections, for actors, and for a close from another thread.
  public consuming func share() -> SharedDatagramSocket {
    reference.core.isShared.store(true, ordering: .releasing)
    return SharedDatagramSocket(core: reference.core, timeouts: timeouts)
  }

  /// Makes a second descriptor for the same socket: `dup(2)`, `CLOEXEC`. Both receive from one queue; the file at a
  /// path goes with the descriptor that was bound to it.
  ///
  /// - Throws: `.system(EMFILE)` and its like when no descriptor can be allocated.
  public borrowing func duplicate(file: StaticString = #fileID, line: UInt = #line) throws(SocketError)
    -> DatagramSocket
  {
    DatagramSocket(core: try reference.core.duplicated(site: .init(file: file, line: line)), timeouts: timeouts)
  }

  /// Gives the descriptor away as it is, with the datagrams in its queue: non-blocking, `CLOEXEC`. The caller has to
  /// close it. The file at a path stays.
  public consuming func detach() -> FileDescriptor {
    do { return FileDescriptor(rawValue: try reference.core.detach().number) } catch {
      fatalError("a datagram socket that only its owner can close was closed: \(error)")
    }
  }

  // MARK: Ending

  /// Releases the socket. `close(2)`: sent datagrams go on their way, unreceived ones are lost, and no peer
  /// is notified.
  public consuming func close() { reference.core.end() }
}

/// The result of ``DatagramSocket/pair(timeouts:file:line:)``: two sockets that are connected to each other.
@frozen
public struct DatagramPair: ~Copyable, Sendable {
  /// One end.
  public var first: DatagramSocket
  /// The other end.
  public var second: DatagramSocket
}

/// A reference to a datagram socket, for collections, actors, and several threads at once.
///
/// `close()` may be called from any thread at any moment: operations that wait throw `.closed`, the descriptor
/// is released when the last operation has left, and every later operation throws `.closed`. If the last reference dies
/// before a close, that is a leak, and is reported.
public struct SharedDatagramSocket: DatagramSocketProtocol {
  /// The reference to the socket.
  @_spi(Fin) public let reference: SocketReference
  /// The timeouts of calls that pass no `within`.
  public var timeouts: Timeouts

  init(core: Core, timeouts: Timeouts) {
    reference = SocketReference(core: core)
    self.timeouts = timeouts
  }

  /// Makes a second descriptor for the same socket: `dup(2)`, `CLOEXEC`. Both receive from one queue; the file at a
  /// path goes with the descriptor that was bound to it.
  ///
  /// - Throws: `.system(EMFILE)` and its like when no descriptor can be allocated; `.closed`.
  public func duplicate(file: StaticString = #fileID, line: UInt = #line) throws(SocketError) -> DatagramSocket {
    DatagramSocket(core: try reference.core.duplicated(site: .init(file: file, line: line)), timeouts: timeouts)
  }

  /// Gives the descriptor away as it is: see ``DatagramSocket/detach()``. Operations in flight wake with `.closed`.
  ///
  /// - Throws: `.closed` when it has been closed or given away already.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public func detach() throws(SocketError) -> FileDescriptor {
    FileDescriptor(rawValue: try reference.core.detach().number)
  }

  /// Gives the descriptor away, in a task: it suspends until the operations in flight have returned.
  public func detach() async throws(SocketError) -> FileDescriptor {
    FileDescriptor(rawValue: try await reference.core.detach().number)
  }

  /// Releases the socket; returns when all operations have left. A second call changes nothing.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public func close() { reference.core.end() }

  /// Releases the socket; suspends the task until all operations have left. A second call changes nothing.
  public func close() async { await reference.core.end() }
}

extension SharedDatagramSocket: Hashable {
  public static func == (a: SharedDatagramSocket, b: SharedDatagramSocket) -> Bool {
    a.reference.core === b.reference.core
  }
  public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(reference.core)) }
}
