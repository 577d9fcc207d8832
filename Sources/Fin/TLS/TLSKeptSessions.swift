#if TLS
internal import COpenSSL
internal import Synchronization

/// The server that a session belongs to: only a connection to the same name and port may resume it.
struct TLSSessionPeer: Hashable, Sendable {
  /// The name or the address that the certificate was checked for.
  let name: String
  let port: UInt16
}

/// Sessions that later handshakes may resume. Their number is limited, and so is the time of each; the least recently
/// used one goes first.
struct TLSSessionList<Session> {
  private struct Entry {
    let peer: TLSSessionPeer
    let session: Session
    /// Whether one handshake alone may resume it.
    let isForOne: Bool
    let until: Instant
  }

  /// The sessions of one server: those of a pair of tickets, which OpenSSL's servers send after a handshake.
  static var mostOfAPeer: Int { 2 }

  let limit: Int
  /// The least recently used one first.
  private var entries: [Entry] = []

  init(limit: Int) { self.limit = limit }

  var count: Int { entries.count }

  /// Keeps a session.
  ///
  /// - Parameters:
  ///   - isForOne: whether it is given out once. Who watches the network could link two connections by a ticket of TLS
  ///     1.3 that both show (RFC 8446, appendix C.4).
  ///   - until: the end of its time.
  mutating func keep(
    _ session: Session, of peer: TLSSessionPeer, isForOne: Bool, until: Instant, now: Instant
  ) {
    entries.removeAll { $0.until <= now }
    guard until > now, limit > 0 else { return }
    entries.append(Entry(peer: peer, session: session, isForOne: isForOne, until: until))
    if entries.count(where: { $0.peer == peer }) > Self.mostOfAPeer,
      let oldest = entries.firstIndex(where: { $0.peer == peer })
    {
      entries.remove(at: oldest)
    }
    if entries.count > limit { entries.removeFirst() }
  }

  /// Gives out the newest session of a server; `nil` without one whose time is not over.
  mutating func take(of peer: TLSSessionPeer, now: Instant) -> Session? {
    entries.removeAll { $0.until <= now }
    guard let index = entries.lastIndex(where: { $0.peer == peer }) else { return nil }
    let entry = entries.remove(at: index)
    if !entry.isForOne { entries.append(entry) }
    return entry.session
  }

  /// Gives up the sessions of a server with which something went wrong: the next handshake is a whole one.
  mutating func forget(_ peer: TLSSessionPeer) { entries.removeAll { $0.peer == peer } }
}

/// The sessions of a client of TLS, which all its connections share.
final class TLSKeptSessions: Sendable {
  /// A session of OpenSSL's: `SSL_SESSION`.
  @safe final class Session: @unchecked Sendable {
    let raw: OpaquePointer
    init(_ raw: OpaquePointer) { unsafe self.raw = raw }
    deinit { unsafe SSL_SESSION_free(raw) }
  }

  /// The longest time of a session, in whatever the server allows.
  private let age: Duration
  private let list: Mutex<TLSSessionList<Session>>

  init(limit: Int, age: Duration) {
    self.age = age
    list = Mutex(TLSSessionList(limit: limit))
  }

  /// Keeps a session that a server has offered.
  ///
  /// - Returns: whether it was taken over.
  func keep(_ raw: OpaquePointer, of peer: TLSSessionPeer) -> Bool {
    guard unsafe SSL_SESSION_is_resumable(raw) == 1 else { return false }
    let isForOne = unsafe SSL_SESSION_get_protocol_version(raw) >= TLSVersion.v1_3.number
    var time = age
    let allowed = unsafe SSL_SESSION_get_ticket_lifetime_hint(raw)
    // Zero says nothing in TLS 1.2 (RFC 5077, section 3.3), and that it is to be discarded in TLS 1.3.
    if allowed > 0 || isForOne { time = min(time, .seconds(Int64(clamping: allowed))) }
    let now = Instant.now
    let session = unsafe Session(raw)
    list.withLock { list in
      list.keep(session, of: peer, isForOne: isForOne, until: now.adding(time), now: now)
    }
    return true
  }

  func take(of peer: TLSSessionPeer) -> Session? {
    let now = Instant.now
    return list.withLock { $0.take(of: peer, now: now) }
  }

  func forget(_ peer: TLSSessionPeer) { list.withLock { $0.forget(peer) } }

  var count: Int { list.withLock { $0.count } }
}
#endif
