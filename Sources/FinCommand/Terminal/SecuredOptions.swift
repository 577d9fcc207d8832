import ArgumentParser
import Fin
import FinBase
import FinDoctor
import FinTerminal

/// The options of a client that secures its connection with TLS.
struct SecuredClientOptions: ParsableArguments {
  @Flag(name: .customLong("tls"), help: "Secure the connection with TLS, and prove who the server is.")
  var isWanted = false

  @Option(
    name: .customLong("ca"),
    help: ArgumentHelp("Trust the roots in this file (PEM) instead of the system's.", valueName: "file"),
    completion: .file())
  var roots: String?

  @Option(
    name: .customLong("pin"),
    help: ArgumentHelp(
      "Accept this public key alone, whatever the certificate says. Its SHA-256; several may be given.",
      valueName: "sha256"))
  var pins: [String] = []

  @Option(
    name: .customLong("unverified"),
    help: ArgumentHelp("Accept every server, and say why that is right here.", valueName: "why"))
  var reason: String?

  func validate() throws {
    let trusts = [roots != nil, !pins.isEmpty, reason != nil].count { $0 }
    guard isWanted || trusts == 0 else {
      throw ValidationError("--ca, --pin and --unverified say whom TLS trusts: they need --tls.")
    }
    guard trusts < 2 else { throw ValidationError("Only one of --ca, --pin and --unverified can be right.") }
    if let reason, !reason.contains(where: \.isLetter) {
      throw ValidationError("--unverified needs a reason, for the reader of the script.")
    }
    if isWanted { try SecuredFacts.checkBuild() }
  }
}

/// The options of a server that secures its clients with TLS.
struct SecuredServerOptions: ParsableArguments {
  @Flag(name: .customLong("tls"), help: "Secure each client's connection with TLS.")
  var isWanted = false

  @Option(
    name: .customLong("cert"),
    help: ArgumentHelp("The certificate, and those between it and its root, in PEM.", valueName: "file"),
    completion: .file())
  var certificates: String?

  @Option(
    name: .customLong("key"), help: ArgumentHelp("The certificate's private key, in PEM.", valueName: "file"),
    completion: .file())
  var key: String?

  func validate() throws {
    guard isWanted || (certificates == nil && key == nil) else {
      throw ValidationError("--cert and --key belong to TLS: they need --tls.")
    }
    guard isWanted else { return }
    try SecuredFacts.checkBuild()
    guard certificates != nil, key != nil else { throw ValidationError("--tls needs --cert FILE and --key FILE.") }
  }
}

/// The results of a handshake, as the command shows them.
struct SecuredFacts: Sendable {
  let version: String
  let cipher: String
  /// The peer's certificate: its names, its last day, the hash of its key.
  let certificate: String?

  /// `TLSv1.3, TLS_AES_256_GCM_SHA384, certificate of localhost until 2027-01-31, key 6f3a…`
  var sentence: String { "\(version), \(cipher)" + (certificate.map { ", certificate of \($0)" } ?? "") }

  /// Refuses the options of TLS in a build without it.
  static func checkBuild() throws {
    #if !TLS
    throw ValidationError(
      "This fin was built without TLS. With libssl-dev installed: swift build -c release --product fin --traits TLS.")
    #endif
  }

  /// The two ends of a secured connection: `close_notify sent and received`.
  static func ends(_ notify: CloseReport.CloseNotify) -> String {
    switch (notify.sent, notify.received) {
    case (true, true): "close_notify sent and received"
    case (true, false): "close_notify sent, none received"
    case (false, true): "close_notify received, none sent"
    case (false, false): "no close_notify sent or received"
    }
  }

  /// Adds the facts of a secured connection.
  static func write(_ facts: SecuredFacts?, _ close: CloseReport, to json: inout JSONWriter) {
    guard let facts, let notify = close.closeNotify else { return }
    json.object("tls") { json in
      json.write("version", string: facts.version)
      json.write("cipher", string: facts.cipher)
      if let certificate = facts.certificate { json.write("certificate", string: certificate) }
      json.write("closeNotifySent", flag: notify.sent)
      json.write("closeNotifyReceived", flag: notify.received)
    }
  }
}

#if TLS
extension SecuredFacts {
  init?(of connection: SharedConnection) {
    guard let tls = connection.tls else { return nil }
    version = tls.version
    cipher = tls.cipher
    certificate = tls.peerCertificate.map { certificate in
      let names = certificate.names.isEmpty ? certificate.subject : certificate.names.joined(separator: ", ")
      return "\(printable(names.utf8, limit: 256)) until \(certificate.validUntil), key \(certificate.keyFingerprint)"
    }
  }
}

extension SecuredClientOptions {
  /// The settings that the options ask for.
  func settings() throws(SocketError) -> TLSClient {
    if let roots { return try TLSClient(trust: .roots(path: roots)) }
    if !pins.isEmpty { return try TLSClient(trust: .pinned(pins)) }
    if let reason { return try TLSClient(trust: .unverified(because: reason)) }
    return try TLSClient()
  }
}
#endif

extension SecuredServerOptions {
  /// The way to secure a client; `nil` without `--tls`.
  /// - Throws: The exit status, when a file cannot be read or has the wrong content.
  func securing() throws -> (@Sendable (consuming Connection) throws(SocketError) -> Connection)? {
    #if TLS
    guard let certificates, let key else { return nil }
    do throws(SocketError) {
      let settings = try TLSServer(TLSIdentity(certificates: certificates, key: key))
      return { connection throws(SocketError) in try connection.secured(as: .server(settings)) }
    } catch { throw ExitStatus.noInput.because("\(error)") }
    #else
    return nil
    #endif
  }
}
