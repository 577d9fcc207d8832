internal import FinBase
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// A successor's side of a ``Handover``: the listeners that the predecessor offers.
///
/// The predecessor goes on serving until `finish(within:)`. A successor therefore prepares everything first, and
/// accepts its first client after that call; if it dies before, no client notices. It ends a takeover with
/// `finish(within:)` or ``abandon()``.
/// ```swift
/// if var takeover = try await Handover.take(from: .unix("/run/example/handover")) {
///   let listener = try takeover.takeListener(named: "web")
///   // … read the configuration, open files, connect to the database …
///   try await takeover.finish()
/// }
/// ```
public struct Takeover: ~Copyable, Sendable {
  private let connection: PacketConnection
  private let offer: Offers

  fileprivate init(_ connection: consuming PacketConnection, _ offer: Offers) {
    self.connection = connection
    self.offer = offer
  }

  /// The names of the listeners that are offered and not taken yet.
  public var names: [String] { offer.names }

  /// Takes the listener with this name. It is listening already, with the clients in its queue; accept after
  /// `finish(within:)`.
  ///
  /// - Parameters:
  ///   - name: the name that the predecessor gave it.
  ///   - backlog: the backlog that ``Listener/resume()`` sets; the current one is not changed.
  ///   - timeouts: the timeouts of `accept`, and of the connections that it returns.
  ///   - file: the source file that a leak report names as the place of opening.
  ///   - line: the line in `file`.
  /// - Returns: `nil` when no listener of this name is offered, or it was taken already.
  /// - Throws: `.invalid` when the descriptor is not a listening stream socket; it is closed then.
  public mutating func takeListener(
    named name: String, backlog: Int = Listener.defaultBacklog, timeouts: Timeouts = .default,
    file: StaticString = #fileID, line: UInt = #line
  ) throws(SocketError) -> Listener? {
    let wanted = offer.take(name)
    do throws(SocketError) {
      let adopted = try Listener.adopting(
        wanted.map(\.number), backlog: backlog, timeouts: timeouts, file: file, line: line)
      guard let listener = adopted else { return nil }
      offer.noteTaken(listener.reference.core, wanted.map(\.file))
      return listener
    } catch {
      for socket in wanted { Syscalls.close(socket.number) }
      throw error
    }
  }

  /// The state of the predecessor after a takeover.
  public enum Predecessor: String, Hashable, Sendable {
    /// It accepts no client any more, and its path is free for the next ``Handover``.
    case detached
    /// It ended before it could confirm; this process is the only owner of the listeners.
    case gone
    /// It has been given the confirmation, and has not answered in time. It detaches when it reads the confirmation.
    case silent
  }

  /// Tells the predecessor that this process is ready, and waits until it has detached. Accept clients afterwards.
  ///
  /// - Parameter within: the time to wait for each answer; 10 s by default.
  /// - Returns: the state of the predecessor. Whichever it is, this process serves from now on.
  /// - Throws: `.invalid` when a listener that is offered was not taken, because its clients would wait in vain, and
  ///   when the predecessor refuses, as it does after its own time for an answer; `.timedOut` when it does not answer
  ///   in time. The predecessor goes on serving then: close the listeners that were taken.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  @discardableResult
  public consuming func finish(within: Timeout = .seconds(10)) throws(SocketError) -> Predecessor {
    var end = Predecessor.detached
    var isConfirmed = false
    do throws(SocketError) {
      try offer.checkAllTaken()
      try connection.send(HandoverMessage.serving.bytes, within: within)
      _ = try HandoverMessage.due(.yours, try connection.receive(within: within)?.bytes)
      try connection.send(HandoverMessage.taken.bytes, within: within)
      isConfirmed = true
      // The predecessor ends the connection when it has detached, and sends nothing more but a refusal.
      if let message = try connection.receive(within: within) {
        _ = try HandoverMessage.due(.taken, message.bytes)
      }
    } catch {
      end = try settle(error, isConfirmed)
    }
    return own(end)
  }

  /// Tells the predecessor that this process is ready, and waits until it has detached, in a task. It throws as in a
  /// thread, and `.cancelled` when the task is cancelled before the confirmation.
  @discardableResult
  public consuming func finish(within: Timeout = .seconds(10)) async throws(SocketError) -> Predecessor {
    var end = Predecessor.detached
    var isConfirmed = false
    do throws(SocketError) {
      try offer.checkAllTaken()
      try await connection.send(HandoverMessage.serving.bytes, within: within)
      _ = try HandoverMessage.due(.yours, try await connection.receive(within: within)?.bytes)
      try await connection.send(HandoverMessage.taken.bytes, within: within)
      isConfirmed = true
      // The predecessor ends the connection when it has detached, and sends nothing more but a refusal.
      if let message = try await connection.receive(within: within) {
        _ = try HandoverMessage.due(.taken, message.bytes)
      }
    } catch {
      end = try settle(error, isConfirmed)
    }
    return own(end)
  }

  /// Gives the takeover up. The predecessor goes on serving; close the listeners that were taken.
  public consuming func abandon() {
    connection.reference.core.end()
    offer.close()
  }

  /// Decides on an error. A predecessor that is alive refuses with a message; one that is dead ends without a word, and
  /// leaves the listeners to this process.
  ///
  /// - Parameter isConfirmed: whether the predecessor has been given the confirmation.
  private borrowing func settle(_ error: SocketError, _ isConfirmed: Bool) throws(SocketError) -> Predecessor {
    switch error.cause {
    case .endOfStream, .reset, .peerClosed:
      if let refusal = connection.reference.core.refusalLeft() { return try fail(refusal) }
      return .gone
    case .timedOut, .cancelled: return isConfirmed ? .silent : try fail(error)
    default: return try fail(error)
    }
  }

  private borrowing func fail(_ error: SocketError) throws(SocketError) -> Predecessor {
    connection.reference.core.end()
    offer.close()
    throw error
  }

  private borrowing func own(_ end: Predecessor) -> Predecessor {
    connection.reference.core.end()
    offer.own()
    return end
  }
}

extension Handover {
  /// Asks the predecessor at a path for its listeners.
  ///
  /// - Parameters:
  ///   - path: the path or abstract name at which the predecessor offers them.
  ///   - within: the time to wait for the connection, and for the offer.
  /// - Returns: `nil` when no process offers there: then this is the first, and binds its listeners itself.
  /// - Throws: `.invalid` when the process there runs as another user that is not root, speaks another version, or
  ///   sends no offer; `.timedOut`; `.descriptorsLost` when this process is at its descriptor limit. The predecessor
  ///   goes on serving.
  @available(*, noasync, message: "it blocks the thread; in an async function, await the overload that suspends")
  public static func take(from path: SocketAddress, within: Timeout = .seconds(10)) throws(SocketError) -> Takeover? {
    let connection: PacketConnection
    do throws(SocketError) { connection = try PacketConnection.connect(to: path, within: within) } catch {
      if error.meansNoPredecessor { return nil }
      throw error
    }
    do throws(SocketError) {
      try admit(predecessor: try connection.peerCredentials())
      try connection.send(HandoverMessage.hello.bytes, within: within)
      let offer = try Offers(
        try connection.receive(
          upTo: HandoverMessage.mostBytes, descriptors: ReceivedMessage.mostDescriptors, within: within))
      return Takeover(connection, offer)
    } catch {
      connection.abort()
      throw error
    }
  }

  /// Asks the predecessor at a path for its listeners, in a task. It behaves as in a thread, and throws `.cancelled`.
  public static func take(
    from path: SocketAddress, within: Timeout = .seconds(10)
  ) async throws(SocketError) -> Takeover? {
    let connection: PacketConnection
    do throws(SocketError) { connection = try await PacketConnection.connect(to: path, within: within) } catch {
      if error.meansNoPredecessor { return nil }
      throw error
    }
    do throws(SocketError) {
      try admit(predecessor: try connection.peerCredentials())
      try await connection.send(HandoverMessage.hello.bytes, within: within)
      let offer = try Offers(
        try await connection.receive(
          upTo: HandoverMessage.mostBytes, descriptors: ReceivedMessage.mostDescriptors, within: within))
      return Takeover(connection, offer)
    } catch {
      connection.abort()
      throw error
    }
  }

  private static func admit(predecessor: PeerCredentials) throws(SocketError) {
    guard predecessor.uid == geteuid() || predecessor.uid == 0 else {
      throw SocketError(
        .handOver, .invalid("the process at the path runs as user \(predecessor.uid), and this one as \(geteuid())"))
    }
  }
}

extension Core {
  /// The refusal that the predecessor sent before it ended the connection; `nil` when it sent none.
  fileprivate func refusalLeft() -> SocketError? {
    let connection = SharedPackets(core: self)
    while let message = connection.next() {
      do throws(SocketError) { _ = try HandoverMessage.due(.taken, message) } catch { return error }
    }
    return nil
  }
}

/// The messages that have arrived already.
private struct SharedPackets: SocketProtocol {
  let reference: SocketReference
  var timeouts = Timeouts.default

  init(core: Core) { reference = SocketReference(core: core) }

  /// The bytes of the next message; `nil` when there is none.
  func next() -> [UInt8]? {
    let parts = try? perform(.reading, .receive, LazyDeadline(.zero), Stateless()) {
      core, _, access throws(SocketError) in
      try core.takePacket(upTo: HandoverMessage.mostBytes, descriptors: 0, access)
    }
    return parts?.bytes
  }
}

extension SocketError {
  fileprivate var meansNoPredecessor: Bool {
    cause == .system(.noSuchFileOrDirectory) || cause == .system(.connectionRefused)
  }
}

/// The sockets that a predecessor offers. Those that were not taken are closed with this object.
private final class Offers: Sendable {
  struct Socket {
    let name: String
    let file: HandoverMessage.FileNumbers?
    let number: CInt
  }

  private struct State {
    var left: [Socket] = []
    var taken: [(Core, HandoverMessage.FileNumbers?)] = []
  }

  private let state: Mutex<State>

  init(_ message: consuming ReceivedMessage?) throws(SocketError) {
    guard var message else {
      _ = try HandoverMessage.due(.offer, nil)
      preconditionFailure("an end was taken for an offer")
    }
    guard case .offer(let sockets) = try HandoverMessage.due(.offer, message.bytes) else {
      preconditionFailure("another message was taken for an offer")
    }
    let count = message.descriptors.count
    guard sockets.count == count else {
      throw SocketError(.handOver, .invalid("\(sockets.count) sockets are offered, and \(count) were passed"))
    }
    var state = State()
    for socket in sockets {
      guard let descriptor = message.descriptors.takeFirst() else { break }
      state.left.append(Socket(name: socket.name, file: socket.file, number: descriptor.detach().rawValue))
    }
    self.state = Mutex(state)
  }

  deinit { close() }

  var names: [String] {
    state.withLock { state in
      var names: [String] = []
      for socket in state.left where !names.contains(socket.name) { names.append(socket.name) }
      return names
    }
  }

  func take(_ name: String) -> [Socket] {
    state.withLock { state in
      defer { state.left.removeAll { $0.name == name } }
      return state.left.filter { $0.name == name }
    }
  }

  /// Notes the sockets of a listener, with the file of each.
  func noteTaken(_ core: Core, _ files: [HandoverMessage.FileNumbers?]) {
    let cores = [core] + (core.further?.members ?? [])
    state.withLock { $0.taken += zip(cores, files) }
  }

  func checkAllTaken() throws(SocketError) {
    let names = names
    guard names.isEmpty else {
      throw SocketError(.handOver, .invalid("offered and not taken: \(names.joined(separator: ", "))"))
    }
  }

  /// Makes the sockets that were taken this process's own.
  func own() {
    for (core, file) in state.withLock({ $0.taken }) { core.takeFromPredecessor(file) }
  }

  func close() {
    let left = state.withLock { state in
      defer { state.left = [] }
      return state.left
    }
    for socket in left { Syscalls.close(socket.number) }
  }
}
