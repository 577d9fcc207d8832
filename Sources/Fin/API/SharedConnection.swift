internal import SystemPackage

/// A reference to a connection, for collections, for actors, and for several threads at once.
///
/// The rules that the compiler checks for an owner are checked here at run time: after a close every operation throws
/// `.closed`, and a second receiver gets `.busy`. Writers queue. Any thread may call `close(_:)` at any moment:
/// operations in flight wake with `.closed`, and the descriptor is released when the last of them has returned. A
/// second close returns the same report.
///
/// References do not keep the descriptor open: `close` releases it. If the last reference is dropped before that, the
/// descriptor has leaked, and the leak is reported.
public struct SharedConnection: Receiving, Sending, StreamSocketProtocol {
  /// The reference to the socket that this value stands for.
  @_spi(Fin) public let reference: SocketReference
  /// The timeouts of calls that pass no `within`.
  public var timeouts: Timeouts

  init(core: Core, timeouts: Timeouts) {
    reference = SocketReference(core: core)
    self.timeouts = timeouts
  }

  /// Creates a connection that is not connected yet: another thread can close it while `connect(to:within:)`
  /// waits. `socket(2)`.
  public init(
    unconnected family: AddressFamily, timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) {
    let core = try Core.fresh(family, .open, isShared: true, site: .init(file: file, line: line))
    self.init(core: core, timeouts: timeouts)
  }

  /// Connects, once: `connect(2)`. If it fails, this reference is closed.
  ///
  /// It succeeds only when the kernel names the peer of a connection. Until it has returned, `send`, `receive` and
  /// `finishSending` of every other holder throw `.system(ENOTCONN)` without trying the operation, and change nothing.
  /// - Throws: `.closed` when another thread closed it meanwhile; `.timedOut`; `.system` with the error of the kernel;
  ///   `.invalid` when it is called a second time.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public func connect(to peer: SocketAddress, within: Timeout = .default) throws(SocketError) {
    var timeout = timeouts.connecting(within)
    try reference.core.connect(to: peer, timeouts, &timeout)
  }

  /// Connects, once, in a task. It throws as in a thread, and `.cancelled` when the task is cancelled; this reference
  /// is then closed.
  public func connect(to peer: SocketAddress, within: Timeout = .default) async throws(SocketError) {
    var timeout = timeouts.connecting(within)
    try await reference.core.connect(to: peer, timeouts, &timeout)
  }

  /// Finishes sending, so that the peer reads end of file: `shutdown(SHUT_WR)`. It waits for the writers before it; a
  /// second call changes nothing.
  ///
  /// - Throws: `.system(ENOTCONN)` when it is not connected yet, and nothing has changed; `.closed`; `.timedOut` when
  ///   the writers before it took longer than ``Timeouts/send``.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public func finishSending() throws(SocketError) {
    var timeout = timeouts.sending(.default)
    let core = reference.core
    var progress = Stateless()
    try core.perform(.writing, .finishSending, &timeout, &progress) { _, access throws(SocketError) in
      try core.finishSendingIfConnected(access)
    }
  }

  /// Finishes sending, in a task. It throws as in a thread, and `.cancelled` when the task is cancelled.
  public func finishSending() async throws(SocketError) {
    var timeout = timeouts.sending(.default)
    let core = reference.core
    var progress = Stateless()
    try await core.perform(.writing, .finishSending, &timeout, &progress) { _, access throws(SocketError) in
      try core.finishSendingIfConnected(access)
    }
  }

  /// Makes a second descriptor for the same connection, with an owner of its own: see
  /// ``Connection/duplicate(file:line:)``.
  ///
  /// - Throws: `.closed`; `.system(EMFILE)` and its like when no descriptor can be allocated; `.system(ENOTCONN)` while
  ///   it is not connected yet.
  public func duplicate(file: StaticString = #fileID, line: UInt = #line) throws(SocketError) -> Connection {
    let core = reference.core
    guard core.hasConnected else { throw core.error(.duplicate, .system(.socketNotConnected)) }
    return Connection(core: try core.duplicated(site: .init(file: file, line: line)), timeouts: timeouts)
  }

  /// Gives the descriptor away as it is: see ``Connection/detach()``. Operations in flight wake with `.closed`, and
  /// every later one throws it; the bytes that a cut-short receive had are among the unread ones.
  ///
  /// - Throws: `.closed` when it has been closed or given away already.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public func detach() throws(SocketError) -> DetachedDescriptor {
    let (number, unread) = try reference.core.detach()
    return DetachedDescriptor(descriptor: FileDescriptor(rawValue: number), unread: unread)
  }

  /// Gives the descriptor away, in a task: it suspends until the operations in flight have returned.
  public func detach() async throws(SocketError) -> DetachedDescriptor {
    let (number, unread) = try await reference.core.detach()
    return DetachedDescriptor(descriptor: FileDescriptor(rawValue: number), unread: unread)
  }

  /// Closes the connection from any thread: see `Connection.close(_:)`. A second close returns the same report.
  ///
  /// A close that is called while another is under way can only shorten it: the earlier of the two deadlines holds, a
  /// longer time changes nothing, and the budgets of bytes and silence stay those of the first close.
  /// ``ClosePolicy/background(orphanTimeout:)`` changes nothing either: a confirmation under way is not given up.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  @discardableResult
  public func close(_ policy: ClosePolicy = .confirmed) -> CloseReport { reference.core.close(policy) }

  /// Closes the connection in a task: see `Connection.close(_:)`. If the task is cancelled, the close becomes
  /// an abort and still returns its report.
  @discardableResult
  public func close(_ policy: ClosePolicy = .confirmed) async -> CloseReport { await reference.core.close(policy) }

  /// Sends a reset: see ``Connection/abort()``. It cuts short a close that is under way.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  @discardableResult
  public func abort() -> CloseReport { reference.core.close(.abort) }

  /// Sends a reset, in a task: it suspends until the operations in flight have returned, and then resets.
  @discardableResult
  public func abort() async -> CloseReport { await reference.core.close(.abort) }
}

extension SharedConnection: Hashable {
  public static func == (a: SharedConnection, b: SharedConnection) -> Bool { a.reference.core === b.reference.core }
  public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(reference.core)) }
}
