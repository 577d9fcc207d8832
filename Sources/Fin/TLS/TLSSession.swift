#if TLS
internal import COpenSSL

/// The way to and from the peer's kernel, as a session uses it. Neither call waits, and neither raises SIGPIPE.
protocol Wire: AnyObject {
  /// Receives what is there: a count of 0 is the end of the peer's bytes (FIN).
  func receive(into room: UnsafeMutableRawBufferPointer) -> WireResult
  /// Sends what the kernel accepts.
  ///
  /// - Parameter more: whether something else follows at once, and may share a segment with the last of the bytes.
  func send(_ bytes: UnsafeRawBufferPointer, more: Bool) -> WireResult
}

/// The answer of a wire. It keeps the error of a call that failed itself.
enum WireResult { case count(Int), blocked, failed }

/// One side of a TLS connection: `SSL`. It seals and opens records, and decides how the peer's stream ended.
///
/// It is not safe for two threads at once; its owner lends it to one call at a time, and never over a wait: OpenSSL
/// sees a wire that accepts every byte, because what the kernel does not accept is kept in ``unsent``. So no record is
/// ever half sealed, no call has to be repeated with the same buffer, and a reader that must answer the peer need not
/// wait to send. OpenSSL never sees an error or the end of the wire either: those are judged here, once.
@safe final class TLSSession {
  /// The result of one call.
  enum Outcome {
    case done(Int)
    /// Nothing more until the wire has more.
    case blocked
    /// The wire's owner has the error.
    case wireFailed
    case over(Verdict)
  }

  /// How the peer's stream ended. The first verdict stays, and OpenSSL is not asked again.
  enum Verdict: Hashable {
    /// The peer said that it has sent everything (close_notify).
    case ended
    /// The wire ended, and the peer had not said so.
    case truncated
    /// A record or a message is not as it must be, or the peer sent a fatal alert.
    case failed(String)
    /// The peer is not the one that is wanted.
    case unverified(String)
  }

  /// The bytes that may arrive after the handshake without data among them: KeyUpdates, tickets, empty records.
  static let mostWithoutData = 64 << 10
  /// The bytes of answers that may wait for a peer that does not read.
  static let mostUnsent = 256 << 10
  /// The bytes of one record.
  static let record = 16 << 10

  let ssl: OpaquePointer
  let context: TLSContext
  private unowned let wire: any Wire
  /// The name or the address that the peer's certificate has to have.
  private let name: String?
  /// The server that this client's session can be resumed with; `nil` for a server, and without a name or a port.
  let peer: TLSSessionPeer?
  private(set) var verdict: Verdict?
  private(set) var hasShaken = false
  private(set) var sentClose = false
  /// Sealed bytes that the kernel has not accepted yet.
  private var unsent: [UInt8] = []
  private var unsentStart = 0
  /// Whether sealed bytes are kept in ``unsent`` until the call is over, so that they leave together.
  private var isGathering = false
  private var withoutData = 0
  // Events on the wire during the present call.
  private var isWireBlocked = false
  private var hasWireFailed = false
  private var hasWireEnded = false
  /// Why the peer's certificate was refused.
  private var refusal: String?

  /// Begins a session.
  ///
  /// - Parameters:
  ///   - name: for a client, the name or the IP address of the peer.
  ///   - port: for a client, the peer's port: an earlier session with the same name and port is resumed.
  init(_ context: TLSContext, name: String?, port: UInt16? = nil, wire: any Wire) throws(SocketError) {
    TLSErrors.clear()
    guard let ssl = unsafe SSL_new(context.raw) else { throw TLSContext.refusal(TLSErrors.take()) }
    unsafe self.ssl = ssl
    self.context = context
    self.name = name
    self.wire = wire
    let isResumable = name?.isEmpty == false && !context.isServer
    peer = if let name, let port, isResumable { TLSSessionPeer(name: name, port: port) } else { nil }
    unsafe SSL_set_ex_data(ssl, 0, Unmanaged.passUnretained(self).toOpaque())
    guard let bio = unsafe BIO_new(TLSSession.method) else { throw TLSContext.refusal(TLSErrors.take()) }
    unsafe BIO_set_data(bio, Unmanaged.passUnretained(self).toOpaque())
    unsafe BIO_set_init(bio, 1)
    unsafe SSL_set_bio(ssl, bio, bio)
    if context.isServer {
      unsafe SSL_set_accept_state(ssl)
    } else {
      unsafe SSL_set_connect_state(ssl)
      try aim(at: name ?? "")
      // The server may refuse it, and then shakes hands as if nothing had been offered.
      if let session = peer.flatMap({ context.kept?.take(of: $0) }) { unsafe _ = SSL_set_session(ssl, session.raw) }
    }
  }

  deinit { unsafe SSL_free(ssl) }

  /// Says which peer is wanted: by name, which is also sent (SNI), or by address, which is not (RFC 6066, section 3).
  private func aim(at name: String) throws(SocketError) {
    guard !name.isEmpty || context.isUnverified || !context.pins.isEmpty else {
      throw TLSContext.refusal("the name of the peer is empty, so that its certificate cannot be checked")
    }
    guard !name.isEmpty else { return }
    guard !name.utf8.contains(0) else { throw TLSContext.refusal("the name of the peer has a zero byte") }
    let isAddress = IPAddress(name) != nil
    var isSet = true
    if isAddress {
      isSet = unsafe X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1
    } else {
      unsafe SSL_set_hostflags(ssl, CUnsignedInt(X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS))
      isSet = unsafe SSL_set1_host(ssl, name) == 1 && fin_tls_set_server_name(ssl, name) == 1
    }
    guard isSet else { throw TLSContext.refusal("“\(name)” is no name of a host: \(TLSErrors.take())") }
  }

  // MARK: Calls

  /// Makes one call of OpenSSL and judges its result.
  private func call(_ body: (OpaquePointer) -> CInt) -> Outcome {
    while true {
      isWireBlocked = false
      hasWireFailed = false
      TLSErrors.clear()
      let result = unsafe body(ssl)
      if result > 0 { return .done(0) }
      let kind = unsafe SSL_get_error(ssl, result)
      switch kind {
      case SSL_ERROR_ZERO_RETURN: return latch(.ended)
      case SSL_ERROR_WANT_READ:
        if hasWireFailed { return .wireFailed }
        if hasWireEnded { return latch(.truncated) }
        if hasShaken, withoutData > TLSSession.mostWithoutData {
          return latch(.failed("the peer sends messages without data, and no end"))
        }
        if isWireBlocked { return .blocked }
      default:
        let text = TLSErrors.take()
        return latch(refusal.map { .unverified($0) } ?? .failed(text))
      }
    }
  }

  private func latch(_ new: Verdict) -> Outcome {
    if verdict == nil { verdict = new }
    switch new {
    case .ended: break
    case .truncated: if !hasShaken { forget() }
    case .failed, .unverified: forget()
    }
    return .over(verdict!)
  }

  /// Gives up the sessions with this server, so that one that it cannot bear is not offered again.
  private func forget() {
    if let peer { context.kept?.forget(peer) }
  }

  /// Goes on with the handshake. Its answers may be kept in ``unsent``.
  func shakeHands() -> Outcome {
    if let verdict { return .over(verdict) }
    if hasShaken { return .done(0) }
    // The messages of one turn leave together: a server's two tickets are two records, and one segment.
    var outcome = gathering { unsafe call { unsafe SSL_do_handshake($0) } }
    if case .wireFailed = flush(), case .blocked = outcome { outcome = .wireFailed }
    if case .done = outcome {
      hasShaken = true
      withoutData = 0
    } else if case .wireFailed = outcome {
      forget()
    }
    return outcome
  }

  /// Opens records into `room`, and returns the number of bytes.
  func read(into room: UnsafeMutableRawBufferPointer) -> Outcome {
    if let verdict { return .over(verdict) }
    var count = 0
    let outcome = unsafe call { unsafe SSL_read_ex($0, room.baseAddress, room.count, &count) }
    if unsentCount > TLSSession.mostUnsent { return latch(.failed("the peer asks for answers that it does not read")) }
    guard case .done = outcome else { return outcome }
    withoutData = 0
    return .done(count)
  }

  /// Whether bytes of the peer's have been received that no call has returned.
  var hasInput: Bool { unsafe verdict != nil || SSL_has_pending(ssl) == 1 }

  /// Seals bytes, at most one record. Called only while ``unsentCount`` is 0.
  func write(_ bytes: UnsafeRawBufferPointer) -> Outcome {
    var count = 0
    let most = min(bytes.count, TLSSession.record)
    let outcome = unsafe call { unsafe SSL_write_ex($0, bytes.baseAddress, most, &count) }
    guard case .done = outcome else { return outcome }
    return hasWireFailed ? .wireFailed : .done(count)
  }

  /// Says that this side has sent everything: close_notify, once. The FIN is to follow at once, in the same segment.
  func sayClose() {
    guard hasShaken, !sentClose else { return }
    switch verdict {
    case .failed?, .unverified?: return
    case .ended?, .truncated?, nil: break
    }
    sentClose = true
    TLSErrors.clear()
    _ = gathering { unsafe SSL_shutdown(ssl) }
    TLSErrors.clear()
    _ = flush(more: true)
  }

  // MARK: Unsent bytes

  var unsentCount: Int { unsent.count - unsentStart }

  private func gathering<R>(_ body: () -> R) -> R {
    isGathering = true
    defer { isGathering = false }
    return body()
  }

  /// Sends what was sealed and not accepted.
  func flush(more: Bool = false) -> Outcome {
    if unsent.isEmpty { return .done(0) }
    while unsentCount > 0 {
      let result = unsafe unsent.withUnsafeBytes { bytes in
        unsafe wire.send(UnsafeRawBufferPointer(rebasing: bytes[unsentStart...]), more: more)
      }
      switch result {
      case .count(let count): unsentStart += count
      case .blocked: return .blocked
      case .failed: return .wireFailed
      }
    }
    unsent = []
    unsentStart = 0
    return .done(0)
  }

  private func take(_ bytes: UnsafeRawBufferPointer) {
    var sent = 0
    if unsentCount == 0, !isGathering {
      switch unsafe wire.send(bytes, more: false) {
      case .count(let count): sent = count
      case .blocked: break
      case .failed: hasWireFailed = true
      }
    }
    if sent < bytes.count { unsafe unsent += bytes[sent...] }
  }

  private func give(_ room: UnsafeMutableRawBufferPointer) -> Int {
    switch unsafe wire.receive(into: room) {
    case .count(let count):
      if count == 0 { hasWireEnded = true }
      withoutData += count
      return count
    case .blocked: isWireBlocked = true
    case .failed: hasWireFailed = true
    }
    return 0
  }

  /// The functions that OpenSSL calls to send and to receive: a `BIO_METHOD`.
  private nonisolated(unsafe) static let method: OpaquePointer? = {
    guard let method = unsafe BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "fin") else { return nil }
    unsafe BIO_meth_set_write_ex(method) { bio, bytes, count, done in
      guard let bio = unsafe bio, let data = unsafe BIO_get_data(bio) else { return 0 }
      unsafe fin_tls_clear_retry(bio)
      let session = unsafe Unmanaged<TLSSession>.fromOpaque(data).takeUnretainedValue()
      unsafe session.take(UnsafeRawBufferPointer(start: bytes, count: count))
      unsafe done?.pointee = count
      return 1
    }
    unsafe BIO_meth_set_read_ex(method) { bio, bytes, count, done in
      guard let bio = unsafe bio, let data = unsafe BIO_get_data(bio) else { return 0 }
      unsafe fin_tls_clear_retry(bio)
      let session = unsafe Unmanaged<TLSSession>.fromOpaque(data).takeUnretainedValue()
      let came = unsafe session.give(UnsafeMutableRawBufferPointer(start: bytes, count: count))
      unsafe done?.pointee = came
      if came == 0 { unsafe fin_tls_retry_reading(bio) }
      return came > 0 ? 1 : 0
    }
    unsafe BIO_meth_set_ctrl(method) { _, command, _, _ in command == BIO_CTRL_FLUSH ? 1 : 0 }
    return unsafe method
  }()

  // MARK: The peer

  /// Notes why OpenSSL refuses a certificate of the peer's.
  static let note: @convention(c) (CInt, OpaquePointer?) -> CInt = { isGood, store in
    if isGood == 0, let session = unsafe session(of: store) {
      let code = unsafe X509_STORE_CTX_get_error(store)
      let certificate = unsafe X509_STORE_CTX_get_current_cert(store).map { TLSCertificate($0) }
      session.refusal = sentence(code, certificate, wanted: session.name)
    }
    return isGood
  }

  /// Accepts the peer by its public key alone.
  static let checkPin: @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> CInt = { store, argument in
    guard let session = unsafe session(of: store), let argument = unsafe argument,
      let certificate = unsafe X509_STORE_CTX_get0_cert(store)
    else { return 0 }
    let context = unsafe Unmanaged<TLSContext>.fromOpaque(argument).takeUnretainedValue()
    let found = unsafe fingerprint(ofKeyOf: certificate)
    if context.pins.contains(found) { return 1 }
    session.refusal = "the peer's key is \(found), which is not pinned: it has another key, or is another peer"
    unsafe X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION)
    return 0
  }

  private static func session(of store: OpaquePointer?) -> TLSSession? {
    guard let ssl = unsafe X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()) else { return nil }
    return unsafe of(OpaquePointer(ssl))
  }

  /// The session of an object of OpenSSL's.
  static func of(_ ssl: OpaquePointer) -> TLSSession? {
    unsafe SSL_get_ex_data(ssl, 0).map { unsafe Unmanaged<TLSSession>.fromOpaque($0).takeUnretainedValue() }
  }

  /// Says what is wrong with a certificate, and what to do.
  private static func sentence(_ code: CInt, _ certificate: TLSCertificate?, wanted: String?) -> String {
    let title = certificate?.title ?? "the peer"
    let issuer = certificate?.issuer ?? "an unknown issuer"
    let wanted = wanted ?? "the peer"
    switch code {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "the certificate of \(title) expired on \(certificate?.validUntil ?? "an unknown day"):"
        + " the peer has to renew it, or this machine's clock is wrong"
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "the certificate of \(title) begins on \(certificate?.validFrom ?? "an unknown day"):"
        + " is this machine's clock right?"
    case X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "the certificate is for \(title), and not for \(wanted): connect by a name that it has"
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT, X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
      return "the certificate \(title) is signed by itself and not trusted here:"
        + " if it is the right one, trust it with .roots(path:) or .pinned(_:)"
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY, X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE,
      X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
      return "the certificate of \(title) is issued by \(issuer), which is not trusted here:"
        + " name its root with .roots(path:), or have the peer send the certificates between"
    case X509_V_ERR_INVALID_PURPOSE, X509_V_ERR_INVALID_CA:
      return "the certificate of \(title) may not be used for this purpose: the peer needs another one"
    default:
      let text = unsafe String(cString: X509_verify_cert_error_string(Int(code)))
      return "the certificate of \(title) is refused: \(text)"
    }
  }

  /// The results of the handshake.
  var information: TLSInformation {
    var length: CUnsignedInt = 0
    var chosen: UnsafePointer<UInt8>?
    unsafe SSL_get0_alpn_selected(ssl, &chosen, &length)
    let alpn = unsafe String(decoding: UnsafeBufferPointer(start: chosen, count: Int(length)), as: UTF8.self)
    let certificate = unsafe SSL_get0_peer_certificate(ssl).map { TLSCertificate($0) }
    let asked = unsafe SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name).map { unsafe String(cString: $0) }
    return TLSInformation(
      version: unsafe String(cString: SSL_get_version(ssl)),
      cipher: unsafe String(cString: SSL_CIPHER_get_name(SSL_get_current_cipher(ssl))),
      applicationProtocol: length > 0 ? alpn : nil, serverName: asked, isResumed: unsafe SSL_session_reused(ssl) == 1,
      peerCertificate: certificate)
  }
}
#endif
