#if TLS
/// The least version of TLS that a side accepts.
public enum TLSVersion: Hashable, Sendable {
  /// TLS 1.2, RFC 5246.
  case v1_2
  /// TLS 1.3, RFC 8446.
  case v1_3

  var number: CInt { self == .v1_2 ? 0x0303 : 0x0304 }
}

/// The files of a certificate and of its private key, both in PEM.
public struct TLSIdentity: Hashable, Sendable {
  /// The file of the certificate, followed by those between it and the root.
  public let certificates: String
  /// The file of the private key.
  public let key: String

  /// Names the two files. They are read when a ``TLSClient`` or a ``TLSServer`` is made of them.
  public init(certificates: String, key: String) {
    self.certificates = certificates
    self.key = key
  }
}

/// Which peers a client accepts.
public enum TLSTrust: Hashable, Sendable {
  /// A peer whose certificate has the wanted name and a chain to a root of the system's store.
  case system
  /// A peer whose certificate has the wanted name and a chain to a root of this file, in PEM.
  case roots(path: String)
  /// A peer with one of these public keys, whatever its certificate says: SHA-256 of the SubjectPublicKeyInfo, in
  /// hexadecimal, as ``TLSCertificate/keyFingerprint`` shows it.
  case pinned([String])
  /// Every peer, also one in between that reads and changes everything. The reason is for the reader of the code.
  case unverified(because: String)
}

/// Whether a server asks its clients for a certificate.
public enum TLSClientCertificates: Hashable, Sendable {
  /// No client is asked.
  case none
  /// Each client is asked, and one without a certificate is accepted. A certificate that is shown must lead to a root
  /// of the file.
  case optional(roots: String)
  /// A client without a certificate that leads to a root of the file is refused.
  case required(roots: String)
}

/// The settings of a client of TLS, read and checked. It is made once, and any number of connections may use it.
public struct TLSClient: Sendable {
  let context: TLSContext

  /// Reads the roots and the identity.
  ///
  /// - Parameters:
  ///   - trust: which servers are accepted; by default those that the system's store proves.
  ///   - identity: the certificate of this side, for a server that asks for one.
  ///   - protocols: the application protocols that are offered, the preferred one first (ALPN).
  ///   - version: the least version of TLS.
  ///   - sessions: the maximum number of sessions that are kept, so that the next handshake with the same name and port
  ///     is a short one; 0 for none. The least recently used one is given up first.
  ///   - sessionAge: the longest time for which a session is resumed, in whatever the server allows. A server that is
  ///     resumed shows no certificate again: it counts as the one that was proven when the session began.
  ///   - keyLog: a file to which the keys of every session are appended, in the format of `SSLKEYLOGFILE`, for a
  ///     program that shows packets. The file's reader can read everything. No variable of the environment sets it.
  /// - Throws: `.invalid` when a file cannot be read or has the wrong content, or a number is below zero.
  public init(
    trust: TLSTrust = .system, identity: TLSIdentity? = nil, protocols: [String] = [],
    atLeast version: TLSVersion = .v1_2, sessions: Int = 256, sessionAge: Duration = .seconds(7200),
    keyLog: String? = nil
  ) throws(SocketError) {
    context = try TLSContext(isServer: false, atLeast: version)
    try context.trust(trust)
    if let identity { try context.use(identity) }
    try context.speak(protocols)
    try context.keep(sessions: sessions, for: sessionAge)
    try context.logKeys(to: keyLog)
  }

  static let standard = Result { () throws(SocketError) in try TLSClient() }
}

/// The settings of a server of TLS, read and checked. Certificates that were renewed are read by making a new one:
/// connections that are secured from then on use it.
public struct TLSServer: Sendable {
  let context: TLSContext

  /// Reads the certificates and the keys.
  ///
  /// - Parameters:
  ///   - identity: the identity that is shown to a client that asks for no name, or for one that is not in `named`.
  ///   - named: the identities by the name that a client asks for (SNI).
  ///   - clients: whether clients are asked for a certificate.
  ///   - protocols: the application protocols, the preferred one first (ALPN). A client that offers others is refused.
  ///   - version: the least version of TLS.
  ///   - tickets: the number of session tickets after a handshake of TLS 1.3; 0 for clients that only send.
  ///   - keyLog: a file to which the keys of every session are appended, as with a ``TLSClient``.
  /// - Throws: `.invalid` when a file cannot be read or has the wrong content.
  public init(
    _ identity: TLSIdentity, named: [String: TLSIdentity] = [:], clients: TLSClientCertificates = .none,
    protocols: [String] = [], atLeast version: TLSVersion = .v1_2, tickets: Int = 2, keyLog: String? = nil
  ) throws(SocketError) {
    func make(_ identity: TLSIdentity) throws(SocketError) -> TLSContext {
      let context = try TLSContext(isServer: true, atLeast: version)
      try context.use(identity)
      try context.ask(clients)
      try context.speak(protocols)
      context.send(tickets: tickets)
      try context.logKeys(to: keyLog)
      return context
    }
    context = try make(identity)
    var others: [String: TLSContext] = [:]
    for (name, identity) in named { others[name] = try make(identity) }
    context.serve(named: others)
  }
}

/// The side that a connection takes in the handshake, and what it asks of the peer.
public struct TLSRole: Sendable {
  let context: Result<TLSContext, SocketError>
  let name: String?

  /// The client of a server with this name: a DNS name or an IP address, without a port.
  ///
  /// - Parameter settings: whom to trust; by default the system's store.
  public static func client(for name: String, _ settings: TLSClient? = nil) -> TLSRole {
    if let settings { return TLSRole(context: .success(settings.context), name: name) }
    return TLSRole(context: TLSClient.standard.map(\.context), name: name)
  }

  /// The client of the server at an endpoint: the host's name or IP address is what its certificate must have. `:443`
  /// means `localhost`; a Unix socket has no name, so that its server is accepted only by a pin, or unverified.
  public static func client(of endpoint: Endpoint, _ settings: TLSClient? = nil) -> TLSRole {
    client(for: endpoint.hostName ?? "", settings)
  }

  /// The server.
  public static func server(_ settings: TLSServer) -> TLSRole {
    TLSRole(context: .success(settings.context), name: nil)
  }
}

/// The results of a handshake: the version, the cipher, and who the peer is.
public struct TLSInformation: Hashable, Sendable {
  /// The version, such as `TLSv1.3`.
  public let version: String
  /// The cipher suite, such as `TLS_AES_256_GCM_SHA384`.
  public let cipher: String
  /// The application protocol that both sides chose (ALPN); `nil` when there was no choice.
  public let applicationProtocol: String?
  /// The name that the client asked for (SNI).
  public let serverName: String?
  /// Whether an earlier session was resumed.
  public let isResumed: Bool
  /// The peer's certificate; `nil` when it showed none, as most clients do.
  public let peerCertificate: TLSCertificate?
}
#endif
