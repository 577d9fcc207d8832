#if TLS
internal import COpenSSL
internal import Glibc

/// The part that all sessions of a client, or of one identity of a server, share: `SSL_CTX`. It does not change once
/// it is made, so that any thread may begin sessions with it.
@safe final class TLSContext: @unchecked Sendable {
  let raw: OpaquePointer
  let isServer: Bool
  /// The application protocols of this side, in its order of preference.
  private(set) var protocols: [String] = []
  /// The hashes of the public keys of which the peer's must be one; empty when certificates are checked by their chain.
  private(set) var pins: Set<String> = []
  /// The contexts of further identities, by the name that a client asks for.
  private(set) var named: [String: TLSContext] = [:]
  /// The descriptor of the file of keys, if they are logged; -1 without one.
  private var keyLog: CInt = -1
  /// Whether the peer is not checked at all.
  private(set) var isUnverified = false
  /// The sessions of a client that later handshakes may resume; `nil` when none are kept.
  private(set) var kept: TLSKeptSessions?

  init(isServer: Bool, atLeast version: TLSVersion) throws(SocketError) {
    TLSErrors.clear()
    guard let raw = unsafe SSL_CTX_new(isServer ? TLS_server_method() : TLS_client_method()) else {
      throw TLSContext.refusal("OpenSSL cannot begin: \(TLSErrors.take())")
    }
    unsafe self.raw = raw
    self.isServer = isServer
    unsafe _ = fin_tls_set_least_version(raw, version.number)
    unsafe fin_tls_set_modes(raw)
  }

  deinit {
    unsafe SSL_CTX_free(raw)
    if keyLog >= 0 { _ = close(keyLog) }
  }

  static func refusal(_ text: String) -> SocketError { SocketError(.secure, .invalid(text)) }

  // MARK: Whom this side is

  func use(_ identity: TLSIdentity) throws(SocketError) {
    TLSErrors.clear()
    try TLSContext.checkReadable(identity.certificates, "file of certificates")
    try TLSContext.checkReadable(identity.key, "file of the key")
    guard unsafe SSL_CTX_use_certificate_chain_file(raw, identity.certificates) == 1 else {
      throw TLSContext.refusal("\(identity.certificates) is no chain of certificates in PEM: \(TLSErrors.take())")
    }
    guard unsafe SSL_CTX_use_PrivateKey_file(raw, identity.key, SSL_FILETYPE_PEM) == 1 else {
      throw TLSContext.refusal(
        "\(identity.key) is no private key in PEM that belongs to \(identity.certificates): \(TLSErrors.take())")
    }
  }

  private static func checkReadable(_ path: String, _ what: String) throws(SocketError) {
    if unsafe access(path, R_OK) != 0 { throw refusal("the \(what) \(path) does not exist, or may not be read") }
  }

  /// Offers these application protocols as a client, and chooses among them as a server (ALPN, RFC 7301).
  func speak(_ protocols: [String]) throws(SocketError) {
    guard !protocols.isEmpty else { return }
    for name in protocols where !(1...255).contains(name.utf8.count) {
      throw TLSContext.refusal("the application protocol “\(name)” does not have 1 to 255 bytes")
    }
    self.protocols = protocols
    if isServer {
      unsafe SSL_CTX_set_alpn_select_cb(raw, TLSContext.choose, Unmanaged.passUnretained(self).toOpaque())
    } else {
      let list = protocols.flatMap { [UInt8($0.utf8.count)] + $0.utf8 }
      // The one function of OpenSSL that returns 0 for success.
      guard unsafe SSL_CTX_set_alpn_protos(raw, list, CUnsignedInt(list.count)) == 0 else {
        throw TLSContext.refusal("OpenSSL refuses the application protocols")
      }
    }
  }

  /// Chooses the server's first protocol that the client offers.
  private static let choose:
    @convention(c) (
      OpaquePointer?, UnsafeMutablePointer<UnsafePointer<UInt8>?>?, UnsafeMutablePointer<UInt8>?,
      UnsafePointer<UInt8>?, CUnsignedInt, UnsafeMutableRawPointer?
    ) -> CInt = { _, chosen, length, offered, count, argument in
      guard let offered = unsafe offered, let argument = unsafe argument else { return SSL_TLSEXT_ERR_ALERT_FATAL }
      let context = unsafe Unmanaged<TLSContext>.fromOpaque(argument).takeUnretainedValue()
      let all = unsafe UnsafeBufferPointer(start: offered, count: Int(count))
      for name in context.protocols {
        var place = 0
        while place < all.count {
          let end = unsafe place + 1 + Int(all[place])
          guard end <= all.count else { break }
          if unsafe all[(place + 1)..<end].elementsEqual(name.utf8) {
            unsafe chosen?.pointee = offered + place + 1
            unsafe length?.pointee = all[place]
            return SSL_TLSEXT_ERR_OK
          }
          place = end
        }
      }
      return SSL_TLSEXT_ERR_ALERT_FATAL
    }

  /// Uses the identity of the name that a client asks for (SNI, RFC 6066).
  func serve(named contexts: [String: TLSContext]) {
    guard !contexts.isEmpty else { return }
    named = Dictionary(contexts.map { ($0.key.lowercased(), $0.value) }) { first, _ in first }
    unsafe fin_tls_set_name_callback(
      raw,
      { session, _, argument in
        guard let session = unsafe session, let argument = unsafe argument,
          let name = unsafe SSL_get_servername(session, TLSEXT_NAMETYPE_host_name)
        else { return SSL_TLSEXT_ERR_NOACK }
        let context = unsafe Unmanaged<TLSContext>.fromOpaque(argument).takeUnretainedValue()
        let wanted = unsafe String(cString: name).lowercased()
        guard let chosen = context.named[wanted] else { return SSL_TLSEXT_ERR_NOACK }
        unsafe SSL_set_SSL_CTX(session, chosen.raw)
        return SSL_TLSEXT_ERR_OK
      }, Unmanaged.passUnretained(self).toOpaque())
  }

  /// Sends this many session tickets after a handshake.
  func send(tickets: Int) { unsafe _ = SSL_CTX_set_num_tickets(raw, max(0, tickets)) }

  /// Keeps at most this many sessions of a client's, each for at most this time.
  func keep(sessions limit: Int, for age: Duration) throws(SocketError) {
    guard limit >= 0, age >= .zero else {
      throw TLSContext.refusal("the number of kept sessions, or their time, is below zero")
    }
    guard limit > 0, age > .zero else { return }
    kept = TLSKeptSessions(limit: limit, age: age)
    unsafe fin_tls_keep_sessions(raw)
    // The result 1 takes the reference over.
    unsafe SSL_CTX_sess_set_new_cb(raw) { ssl, offered in
      guard let ssl = unsafe ssl, let offered = unsafe offered, let session = unsafe TLSSession.of(ssl),
        let peer = session.peer, let kept = session.context.kept
      else { return 0 }
      return unsafe kept.keep(offered, of: peer) ? 1 : 0
    }
  }

  /// Appends the keys of each session to a file that only its owner may read, in the format of `SSLKEYLOGFILE`.
  func logKeys(to path: String?) throws(SocketError) {
    guard let path else { return }
    keyLog = unsafe open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard keyLog >= 0 else { throw TLSContext.refusal("the file of keys \(path) cannot be opened for writing") }
    unsafe SSL_CTX_set_keylog_callback(raw) { ssl, line in
      guard let ssl = unsafe ssl, let line = unsafe line, let session = unsafe TLSSession.of(ssl) else { return }
      // One call: lines of several sessions do not mix. A file that is full loses keys, and no connection.
      let text = unsafe Array(String(cString: line).utf8) + [10]
      _ = unsafe write(session.context.keyLog, text, text.count)
    }
  }

  // MARK: Whom this side trusts

  func trust(_ trust: TLSTrust) throws(SocketError) {
    TLSErrors.clear()
    switch trust {
    case .system:
      guard unsafe SSL_CTX_set_default_verify_paths(raw) == 1 else {
        throw TLSContext.refusal("the system's roots cannot be read: \(TLSErrors.take())")
      }
      verify()
    case .roots(let path):
      try read(roots: path)
      verify()
    case .pinned(let pins):
      guard !pins.isEmpty else { throw TLSContext.refusal("no key is pinned, so that no peer would be accepted") }
      let plain = pins.map { $0.lowercased().filter { $0 != ":" } }
      for pin in plain where pin.count != 64 || !pin.allSatisfy(\.isHexDigit) {
        throw TLSContext.refusal("the pin “\(pin)” is no SHA-256 in hexadecimal (64 digits)")
      }
      self.pins = Set(plain)
      unsafe SSL_CTX_set_cert_verify_callback(raw, TLSSession.checkPin, Unmanaged.passUnretained(self).toOpaque())
      verify()
    case .unverified:
      isUnverified = true
      unsafe SSL_CTX_set_verify(raw, SSL_VERIFY_NONE, nil)
    }
  }

  /// Asks clients for a certificate.
  func ask(_ clients: TLSClientCertificates) throws(SocketError) {
    // A server that checks clients must say which of its sessions belong together, or no session is resumed.
    let name: [UInt8] = Array("fin".utf8)
    unsafe _ = SSL_CTX_set_session_id_context(raw, name, CUnsignedInt(name.count))
    let roots: String
    switch clients {
    case .none: return
    case .optional(let path):
      roots = path
      verify()
    case .required(let path):
      roots = path
      verify(SSL_VERIFY_FAIL_IF_NO_PEER_CERT)
    }
    try read(roots: roots)
    // Tells clients whose certificates are accepted, so that they choose among theirs.
    if let list = unsafe SSL_load_client_CA_file(roots) { unsafe SSL_CTX_set_client_CA_list(raw, list) }
    TLSErrors.clear()
  }

  private func read(roots path: String) throws(SocketError) {
    TLSErrors.clear()
    try TLSContext.checkReadable(path, "file of roots")
    guard unsafe SSL_CTX_load_verify_locations(raw, path, nil) == 1 else {
      throw TLSContext.refusal("\(path) has no certificate in PEM: \(TLSErrors.take())")
    }
  }

  private func verify(_ more: CInt = 0) { unsafe SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | more, TLSSession.note) }
}
#endif
