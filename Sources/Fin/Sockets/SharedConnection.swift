internal import SystemPackage

/// A reference to a connection, for collections, actors, and several threads at once.
///
/// What the compiler checks for an owner is checked at run time here: after a close every operation throws `.closed`, and
/// a second receiver gets `.busy`. Writers queue. ``close(_:)-6hzmo`` may come from any thread at any moment: whoever waits inside
/// wakes with `.closed`, and the descriptor is released when the last one is out. A second close returns the same report.
///
/// References count operations, not lives: the descriptor goes when `close` is called. If the last reference dies before
/// that, it is a leak, and reported.
public struct SharedConnection: Receiving, Sending, StreamEnd {
  /// What this reference stands for.
  public let reference: SocketReference
  /// How long waits last when a call does not say.
  public var timeouts: Timeouts

  init(core: Core, timeouts: Timeouts) {
    reference = SocketReference(core: core)
    self.timeouts = timeouts
  }

  /// A connection that is yet to be made: another thread can close it while ``connect(to:within:)-3usce`` waits. `socket(2)`.
  public init(
    unconnected family: AddressFamily, timeouts: Timeouts = .default, file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) {
    let core = try Core.fresh(family, .open, isShared: true, site: .init(file: file, line: line))
    self.init(core: core, timeouts: timeouts)
  }

  /// Connects, once: `connect(2)`. When it fails, this reference is closed.
  ///
  /// It succeeds only when the kernel names the peer of a connection. Until it has returned, every other holder's
  /// `send`, `receive` and `finishSending` throw `.system(ENOTCONN)`, ask the kernel nothing and change nothing.
  /// - Throws: `.closed` when another thread closed it meanwhile; `.timedOut`; `.system` for what the kernel says;
  ///   `.invalid` the second time.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public func connect(to peer: SocketAddress, within: Duration? = nil) throws(SocketError) {
    var patience = Patience(within, or: timeouts.connectLimit)
    try reference.core.connect(to: peer, timeouts, &patience)
  }

  /// The same in a task, and `.cancelled` when it is: then this reference is closed.
  public func connect(to peer: SocketAddress, within: Duration? = nil) async throws(SocketError) {
    var patience = Patience(within, or: timeouts.connectLimit)
    try await reference.core.connect(to: peer, timeouts, &patience)
  }

  /// Sends what the peer will read as end of file: `shutdown(SHUT_WR)`. Waits for the writers before it; a second time it
  /// changes nothing.
  ///
  /// - Throws: `.system(ENOTCONN)` when it is not connected yet, and nothing has changed; `.closed`; `.timedOut` when the
  ///   writers before it took longer than ``Timeouts/send``.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public func finishSending() throws(SocketError) {
    var patience = Patience(timeouts.sendLimit)
    let core = reference.core
    var progress = NoProgress()
    try core.inside(.writing, .finishSending, &patience, &progress) { _, world throws(SocketError) in
      try core.finishSendingIfConnected(world)
    }
  }

  /// The same in a task, and `.cancelled` when it is.
  public func finishSending() async throws(SocketError) {
    var patience = Patience(timeouts.sendLimit)
    let core = reference.core
    var progress = NoProgress()
    try await core.inside(.writing, .finishSending, &patience, &progress) { _, world throws(SocketError) in
      try core.finishSendingIfConnected(world)
    }
  }

  /// Ends the connection from any thread; see ``Connection/close(_:)-59kny``. A second time it returns the same report.
  ///
  /// A close that comes while another is under way can only bring its end nearer: the earlier deadline of the two holds, more
  /// time changes nothing, and the budgets of bytes and silence stay the first one's. ``ClosePolicy/background(orphanTimeout:)``
  /// changes nothing either: what is being confirmed is not given up.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  @discardableResult
  public func close(_ policy: ClosePolicy = .confirmed) -> CloseReport { reference.core.close(policy) }

  /// The same in a task; see ``Connection/close(_:)-59kny``. Cancelled, it becomes an abort, and the report still comes.
  @discardableResult
  public func close(_ policy: ClosePolicy = .confirmed) async -> CloseReport { await reference.core.close(policy) }

  /// Sends a reset: see ``Connection/abort()``. Cuts short a close that is under way.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  @discardableResult
  public func abort() -> CloseReport { reference.core.close(.abort) }

  /// The same in a task: whoever is inside leaves first.
  @discardableResult
  public func abort() async -> CloseReport { await reference.core.close(.abort) }
}

extension SharedConnection: Hashable {
  public static func == (a: SharedConnection, b: SharedConnection) -> Bool { a.reference.core === b.reference.core }
  public func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(reference.core)) }
}
