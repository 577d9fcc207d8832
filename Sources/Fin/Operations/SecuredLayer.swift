#if TLS
internal import FinBase
internal import Glibc
internal import Synchronization
internal import SystemPackage

/// The TLS of a connection: its session, with the connection's own system calls as the wire.
///
/// One lock guards the session, so that both halves of a connection may run in threads of their own. It is held for
/// one attempt and never over a wait.
final class SecuredLayer: Wire, @unchecked Sendable {
  private unowned let core: Core
  private let lock = Mutex(())
  // Guarded by the lock from here on.
  private var session: TLSSession!
  /// The access of the attempt that is under way.
  private var access: Access?
  /// The error of the wire in the attempt that is under way: of receiving, and of sending.
  private var receiveFailure: SocketError?
  private(set) var code: Errno?
  /// Whether a FIN without close_notify is read as the end.
  private(set) var toleratesTruncation = false
  /// Bytes of the secured stream that were received with a proxy's header, before the layer was there.
  private var early: [UInt8]

  init(_ core: Core, _ role: TLSRole, early: [UInt8]) throws(SocketError) {
    self.core = core
    self.early = early
    session = try TLSSession(try role.context.get(), name: role.name, port: core.peer?.port, wire: self)
  }

  /// Runs one attempt, alone with the session.
  func attempt<R>(_ access: Access, _ body: (TLSSession) throws(SocketError) -> R) throws(SocketError) -> R {
    var result: R?
    try lock.withLock { _ throws(SocketError) in
      self.access = access
      receiveFailure = nil
      code = nil
      result = try body(session)
    }
    return result!
  }

  /// Asks the session, which takes no system call.
  func ask<R>(_ body: (TLSSession) -> R) -> R {
    var result: R?
    lock.withLock { _ in result = body(session) }
    return result!
  }

  func tolerateTruncation() { lock.withLock { _ in toleratesTruncation = true } }

  /// Whether a call of the session may find bytes where the kernel has none.
  var mayHaveInput: Bool { ask { $0.hasInput || $0.unsentCount > 0 || !early.isEmpty } }

  // MARK: The wire

  func receive(into room: UnsafeMutableRawBufferPointer) -> WireResult {
    guard let access else { return .failed }
    if !early.isEmpty {
      let count = min(room.count, early.count)
      unsafe room.copyBytes(from: early.prefix(count))
      early.removeFirst(count)
      return .count(count)
    }
    if access == .exclusive {
      // A close judges the end and the errors of the wire itself.
      do throws(Errno) { return .count(try unsafe Syscalls.receive(core.number(access), room)) } catch {
        return fail(error)
      }
    }
    do throws(SocketError) {
      guard let count = try unsafe core.receiveFromWire(into: room, access) else { return .blocked }
      return .count(count)
    } catch {
      receiveFailure = error
      return .failed
    }
  }

  func send(_ bytes: UnsafeRawBufferPointer, more: Bool) -> WireResult {
    guard let access else { return .failed }
    let cached = CachedReadiness(of: core, access)
    do throws(Errno) { return .count(try unsafe Syscalls.send(core.number(access), bytes, more: more)) } catch {
      if error == .resourceTemporarilyUnavailable { cached.clear(.output) }
      return fail(error)
    }
  }

  private func fail(_ error: Errno) -> WireResult {
    if error == .resourceTemporarilyUnavailable { return .blocked }
    code = error
    return .failed
  }

  // MARK: What an outcome means

  /// The error of a wire that failed while it received.
  func failure(_ operation: SocketError.Operation) -> SocketError {
    receiveFailure ?? core.error(operation, core.connectionState.value.failure ?? code.map { core.fail($0) } ?? .reset)
  }
}

/// The handshake of a connection that is secured.
struct Handshake: OperationState {
  let role: TLSRole
  private var layer: SecuredLayer?

  init(_ role: TLSRole) { self.role = role }

  mutating func attempt(_ core: Core, _ access: Access) throws(SocketError) -> Attempt<Void> {
    if layer == nil { layer = try core.beginSecuring(role) }
    let layer = layer!
    return try layer.attempt(access) { session throws(SocketError) in
      if case .blocked = session.flush() { return .blocked(.output) }
      let outcome = session.shakeHands()
      // The answer, or the alert that tells the peer what was wrong.
      let sent = session.flush()
      switch outcome {
      case .done:
        if case .blocked = sent { return .blocked(.output) }
        return .done(())
      case .blocked:
        if case .blocked = sent { return .blocked(.output) }
        return .blocked(.input)
      case .wireFailed: throw core.error(.secure, layer.failure(.secure).cause)
      case .over(.ended), .over(.truncated):
        throw core.error(.secure, .tls("the peer ended the connection inside the handshake: does it speak TLS here?"))
      case .over(.failed(let text)): throw core.error(.secure, core.failSecured(.tls(text)))
      case .over(.unverified(let text)): throw core.error(.secure, core.failSecured(.unverified(text)))
      }
    }
  }
}

extension Core {
  /// Makes the connection's layer. From here on every byte of the connection goes through it.
  func beginSecuring(_ role: TLSRole) throws(SocketError) -> SecuredLayer {
    func refuse(_ reason: String) -> SocketError { error(.secure, .invalid(reason)) }
    if isSecured { throw refuse("the connection is secured already") }
    let state = connectionState.value
    if state.finishedSending { throw refuse("this side has finished sending, and cannot shake hands") }
    if state.owners > 1 { throw refuse("a duplicate shares the connection, and would not be secured") }
    // Bytes that came in clear text are no part of the secured stream: an attacker may have put them there. Those
    // behind a proxy's header are its beginning.
    let early = unsafe buffer.map { $0.isBeginning ? Array($0.bytes) : [] } ?? []
    if buffered > early.count {
      throw refuse("\(buffered) bytes of the peer's were received before the handshake: receive them first, or close")
    }
    let layer = try SecuredLayer(self, role, early: early)
    unsafe buffer = nil
    unsafe secured = layer
    return layer
  }

  var isSecured: Bool { unsafe secured != nil }

  /// Records that the secured stream has failed in both directions.
  func failSecured(_ cause: SocketError.Cause) -> SocketError.Cause {
    let first = connectionState.fail(cause)
    if !phase.isClosing { advance(.failed) }
    return first
  }

  /// Shakes hands, in a thread.
  func secure(as role: TLSRole, _ timeout: inout LazyDeadline) throws(SocketError) {
    var handshake = Handshake(role)
    try perform(.reading, .secure, &timeout, &handshake) { handshake, access throws(SocketError) in
      try handshake.attempt(self, access)
    }
  }

  /// Shakes hands, in a task.
  nonisolated(nonsending) func secure(as role: TLSRole, _ timeout: inout LazyDeadline) async throws(SocketError) {
    var handshake = Handshake(role)
    try await perform(.reading, .secure, &timeout, &handshake) { handshake, access throws(SocketError) in
      try handshake.attempt(self, access)
    }
  }
}
#endif
