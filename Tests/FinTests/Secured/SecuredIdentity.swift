#if TLS
import Peers
import TestTraits
import Testing

@testable import Fin

@Suite("Secured: who the peer is, and why it is refused", .needsProgram("openssl"), .onThreads)
struct SecuredIdentity {
  private let certificates: Certificates

  init() throws { certificates = try Certificates() }

  /// Shakes hands, and returns what each side threw.
  private func shake(
    _ server: TLSServer, _ client: TLSClient, name: String = "localhost"
  ) throws -> (client: SocketError?, server: SocketError?) {
    let pair = try StreamKind.ipv4.connected()
    let serving = onThread(taking: pair.second) { connection throws in
      failure(securing: connection, as: .server(server))
    }
    let refused = failure(securing: pair.first, as: .client(for: name, client))
    return (refused, try serving.join(within: .seconds(20)))
  }

  private func refusal(of kind: Certificates.Kind, name: String = "localhost") throws -> (String, SocketError?) {
    let server = try TLSServer(certificates.identity(kind))
    let client = try TLSClient(trust: .roots(path: certificates.root))
    let refused = try shake(server, client, name: name)
    let error = try #require(refused.client)
    guard case .unverified(let sentence) = error.cause else {
      Issue.record("\(error)")
      return ("", refused.server)
    }
    return (sentence, refused.server)
  }

  @Test(
    "a bad certificate is refused with a sentence that says why",
    arguments: [
      (Certificates.Kind.expired, "expired on 2021-02-03"), (.early, "begins on 2098-05-04"),
      (.otherName, "is for a.example, b.example, 127.0.0.1, and not for localhost"),
      (.selfSigned, "is signed by itself"), (.otherRoot, "is issued by /CN=A stranger, which is not trusted here"),
      (.forClients, "may not be used for this purpose"),
    ])
  func bad(_ kind: Certificates.Kind, _ words: String) throws {
    let (sentence, server) = try refusal(of: kind)
    #expect(sentence.contains(words), "\(sentence)")
    // The alert came before the reset.
    #expect(says(server, "the peer refused with the alert"), "\(String(describing: server))")
  }

  @Test("an address is checked as an address", arguments: [(Certificates.Kind.good, true), (.otherAddress, false)])
  func address(_ kind: Certificates.Kind, _ isRight: Bool) throws {
    let server = try TLSServer(certificates.identity(kind))
    let client = try TLSClient(trust: .roots(path: certificates.root))
    let refused = try shake(server, client, name: "127.0.0.1").client
    if isRight {
      #expect(refused == nil)
    } else {
      #expect(says(refused, "is for localhost, 192.0.2.7, and not for 127.0.0.1"))
    }
  }

  @Test("the system's store does not know the tests' root, and no settings means the system's store")
  func system() throws {
    let pair = try StreamKind.ipv4.connected()
    let server = try TLSServer(certificates.identity())
    let serving = onThread(taking: pair.second) { connection throws in
      failure(securing: connection, as: .server(server))
    }
    let refused = failure(securing: pair.first, as: .client(for: "localhost"))
    #expect(says(refused, "not trusted here"))
    #expect(try serving.join(within: .seconds(20)) != nil)
  }

  @Test("a pinned key is accepted, whatever its certificate says, and another key is not")
  func pinned() throws {
    let server = try TLSServer(certificates.identity(.selfSigned))
    let open = try securedPair(server, TLSClient(trust: .unverified(because: "the key is what this test looks at")))
    let pin = try #require(open.first.tls?.peerCertificate?.keyFingerprint)
    #expect(pin.count == 64)
    open.first.abort()
    open.second.abort()
    #expect(try shake(server, TLSClient(trust: .pinned([pin])), name: "any").client == nil)
    let other = try shake(server, TLSClient(trust: .pinned([String(repeating: "0", count: 64)])), name: "any").client
    #expect(says(other, "the peer's key is \(pin), which is not pinned"))
  }

  @Test("a server that requires a certificate refuses a client without one, and accepts one with")
  func clients() throws {
    let server = try TLSServer(certificates.identity(), clients: .required(roots: certificates.root))
    let without = try TLSClient(trust: .roots(path: certificates.root))
    let refused = try shake(server, without)
    #expect("\(refused.server, default: "")".contains("the client sent no certificate"), "\(refused)")
    let with = try TLSClient(trust: .roots(path: certificates.root), identity: certificates.identity(.forClients))
    #expect(try shake(server, with).server == nil)
    let optional = try TLSServer(certificates.identity(), clients: .optional(roots: certificates.root))
    #expect(try shake(optional, without).server == nil)
    let stranger = try TLSClient(
      trust: .roots(path: certificates.root), identity: certificates.identity(.otherRoot))
    let strange = try shake(optional, stranger).server
    #expect(says(strange, "which is not trusted here"), "\(String(describing: strange))")
  }

  @Test("no protocol in common, no version in common: each side says so")
  func nothingInCommon() throws {
    let server = try TLSServer(certificates.identity(), protocols: ["h2"], atLeast: .v1_3)
    let client = try TLSClient(trust: .roots(path: certificates.root), protocols: ["imap"])
    let refused = try shake(server, client).client
    #expect(
      says(refused, "no application protocol (ALPN) in common"), "\(String(describing: refused))")
  }

  @Test("settings that cannot work say so when they are made")
  func settings() throws {
    func expect(_ words: String, _ body: () throws(SocketError) -> Void) {
      var message = ""
      do { try body() } catch { message = "\(error)" }
      #expect(message.contains(words), "\(message)")
    }
    let good = try certificates.identity()
    let other = try certificates.identity(.otherName)
    let mixed = TLSIdentity(certificates: good.certificates, key: other.key)
    expect("/no/such") { () throws(SocketError) in _ = try TLSClient(trust: .roots(path: "/no/such")) }
    expect("no chain of certificates") { () throws(SocketError) in
      _ = try TLSServer(TLSIdentity(certificates: good.key, key: good.key))
    }
    expect("no private key in PEM that belongs to") { () throws(SocketError) in _ = try TLSServer(mixed) }
    expect("64 digits") { () throws(SocketError) in _ = try TLSClient(trust: .pinned(["12"])) }
    expect("no key is pinned") { () throws(SocketError) in _ = try TLSClient(trust: .pinned([])) }
    expect("1 to 255") { () throws(SocketError) in _ = try TLSClient(protocols: [""]) }
    let pair = try StreamKind.ipv4.connected()
    let unnamed = failure(securing: pair.first, as: .client(for: ""))
    #expect(says(unnamed, "the name of the peer is empty"))
    pair.second.abort()
  }
}
#endif
