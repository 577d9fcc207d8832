#if TLS
import Glibc
import Peers

@testable import Fin

/// Certificates that the program `openssl` makes for one test: a root, and what it issues.
struct Certificates {
  /// The fault of a certificate, or none.
  enum Kind: String, CaseIterable, Sendable {
    case good, expired, early, otherName, otherAddress, selfSigned, otherRoot, forClients
  }

  private let folder = Result { try TemporaryFolder() }
  private let path: String

  /// The file of the root.
  var root: String { path + "/root.pem" }

  init() throws {
    path = try folder.get().path
    try run(
      """
      openssl req -x509 \(Self.newKey) -keyout root.key -out root.pem -subj '/CN=Fin test root' -days 30
      openssl req -x509 \(Self.newKey) -keyout stranger.key -out stranger.pem -subj '/CN=A stranger' -days 30
      printf '%s\\n' '[ca]' 'default_ca=d' '[d]' 'database=index.txt' 'new_certs_dir=.' 'default_md=sha256' \
        'policy=p' 'unique_subject=no' 'rand_serial=yes' '[p]' 'commonName=supplied' > ca.conf
      : > index.txt
      """)
  }

  private static let newKey = "-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"

  /// Issues a certificate.
  func identity(_ kind: Kind = .good, name: String = "localhost") throws -> TLSIdentity {
    let file = "\(kind)-\(name)"
    var dates = "-startdate 20200101000000Z -enddate 20991231000000Z"
    if kind == .expired { dates = "-startdate 20200101000000Z -enddate 20210203000000Z" }
    if kind == .early { dates = "-startdate 20980504000000Z -enddate 20991231000000Z" }
    var names = "DNS:\(name),IP:127.0.0.1"
    if kind == .otherName { names = "DNS:a.example,DNS:b.example,IP:127.0.0.1" }
    if kind == .otherAddress { names = "DNS:localhost,IP:192.0.2.7" }
    let use = kind == .forClients ? "clientAuth" : "serverAuth,clientAuth"
    let issuer = kind == .otherRoot ? "stranger" : "root"
    if kind == .selfSigned {
      try run(
        "openssl req -x509 \(Self.newKey) -keyout '\(file).key' -out '\(file).pem' -subj '/CN=\(name)' -days 30"
          + " -addext subjectAltName=\(names)")
    } else {
      try run(
        """
        openssl req \(Self.newKey) -keyout '\(file).key' -out request.pem -subj '/CN=\(name)'
        printf '%s\\n' 'subjectAltName=\(names)' 'extendedKeyUsage=\(use)' > extensions
        openssl ca -batch -config ca.conf -cert \(issuer).pem -keyfile \(issuer).key -in request.pem \
          -out '\(file).pem' -notext \(dates) -extfile extensions
        """)
    }
    return TLSIdentity(certificates: "\(path)/\(file).pem", key: "\(path)/\(file).key")
  }

  /// Runs a script of the shell in the folder.
  private func run(_ script: String) throws {
    let arguments = ["-ec", "cd '\(path)'; exec 2>errors; " + script]
    let exit = try withChild(Programs.find("sh") ?? "/bin/sh", arguments) { try $0.wait() }
    guard exit == .exited(0) else { throw RigError("openssl: \(exit)") }
  }
}

/// Two ends of one connection over TCP, both secured. The first is the client.
func securedPair(
  _ server: TLSServer, _ client: TLSClient, name: String = "localhost", timeouts: Timeouts = .default
) throws -> ConnectionPair {
  let pair = try StreamKind.ipv4.connected(timeouts: timeouts)
  let serving = onThread(taking: pair.second) { connection throws in
    try connection.secured(as: .server(server), within: .seconds(20))
  }
  let first = try pair.first.secured(as: .client(for: name, client), within: .seconds(20))
  return ConnectionPair(first: first, second: try serving.join(within: .seconds(20)))
}

/// Secures a connection, which must fail, and returns the error; `nil` when it succeeds.
func failure(securing connection: consuming Connection, as role: TLSRole) -> SocketError? {
  do throws(SocketError) {
    let secured = try connection.secured(as: role, within: .seconds(20))
    secured.abort()
    return nil
  } catch { return error }
}

/// Whether there is an error, and its text contains these words.
func says(_ error: SocketError?, _ words: String) -> Bool { error.map { "\($0)".contains(words) } ?? false }
#endif
