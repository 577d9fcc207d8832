#if TLS
import COpenSSL
import Glibc

/// One side of a connection that is secured as most programs do it: OpenSSL on a descriptor, and its result codes.
@safe final class PlainTLS: @unchecked Sendable {
  private let ssl: OpaquePointer

  private init(_ ssl: OpaquePointer) { unsafe self.ssl = ssl }

  deinit { unsafe SSL_free(ssl) }

  /// Shakes hands as a server, whose certificate is made for it.
  ///
  /// - Parameter tickets: the number of session tickets after the handshake.
  static func serving(_ socket: Int32, tickets: Int = 2) throws -> PlainTLS {
    guard let context = unsafe SSL_CTX_new(TLS_server_method()) else { throw SetupError("SSL_CTX_new") }
    defer { unsafe SSL_CTX_free(context) }
    unsafe try useNewCertificate(context)
    unsafe _ = SSL_CTX_set_num_tickets(context, tickets)
    return try unsafe begin(context, socket) { unsafe SSL_accept($0) }
  }

  /// Shakes hands as a client that accepts every server.
  ///
  /// - Parameter ignoringTruncation: whether `SSL_OP_IGNORE_UNEXPECTED_EOF` is set.
  static func connecting(_ socket: Int32, ignoringTruncation: Bool = false) throws -> PlainTLS {
    guard let context = unsafe SSL_CTX_new(TLS_client_method()) else { throw SetupError("SSL_CTX_new") }
    defer { unsafe SSL_CTX_free(context) }
    // The bit 7, which is a macro with a cast in C.
    if ignoringTruncation { unsafe _ = SSL_CTX_set_options(context, 1 << 7) }
    return try unsafe begin(context, socket) { unsafe SSL_connect($0) }
  }

  private static func begin(
    _ context: OpaquePointer, _ socket: Int32, _ shakeHands: (OpaquePointer) -> Int32
  ) throws -> PlainTLS {
    guard let ssl = unsafe SSL_new(context), unsafe SSL_set_fd(ssl, socket) == 1 else { throw SetupError("SSL_new") }
    let side = unsafe PlainTLS(ssl)
    guard unsafe shakeHands(ssl) == 1 else { throw SetupError("the handshake of OpenSSL with itself failed") }
    return side
  }

  /// Writes everything, and returns whether OpenSSL took it.
  func write(_ bytes: [UInt8]) -> Bool { unsafe SSL_write(ssl, bytes, Int32(bytes.count)) == Int32(bytes.count) }

  /// Reads until `SSL_read` returns no byte; returns the number of bytes, its last result, and what `SSL_get_error`
  /// calls that.
  func readAll() -> (count: Int, last: Int, kind: String) {
    var room = [UInt8](repeating: 0, count: 16_384)
    var count = 0
    while true {
      ERR_clear_error()
      let got = unsafe SSL_read(ssl, &room, Int32(room.count))
      if got > 0 {
        count += Int(got)
        continue
      }
      let kind =
        switch unsafe SSL_get_error(ssl, got) {
        case SSL_ERROR_ZERO_RETURN: "SSL_ERROR_ZERO_RETURN"
        case SSL_ERROR_SSL: "SSL_ERROR_SSL"
        case SSL_ERROR_SYSCALL: "SSL_ERROR_SYSCALL"
        case let other: "\(other)"
        }
      return (count, Int(got), kind)
    }
  }

  /// Says close_notify.
  func shutdown() { unsafe _ = SSL_shutdown(ssl) }

  /// Gives a server a key, and a certificate for `localhost` that signs itself and lasts an hour.
  private static func useNewCertificate(_ context: OpaquePointer) throws {
    var made: OpaquePointer?
    let making = unsafe EVP_PKEY_CTX_new_id(EVP_PKEY_EC, nil)
    defer { unsafe EVP_PKEY_CTX_free(making) }
    guard let making = unsafe making, unsafe EVP_PKEY_keygen_init(making) == 1,
      unsafe EVP_PKEY_CTX_set_ec_paramgen_curve_nid(making, NID_X9_62_prime256v1) == 1,
      unsafe EVP_PKEY_keygen(making, &made) == 1, let key = unsafe made, let certificate = unsafe X509_new()
    else { throw SetupError("OpenSSL makes no key") }
    defer {
      unsafe EVP_PKEY_free(key)
      unsafe X509_free(certificate)
    }
    unsafe _ = X509_set_version(certificate, 2)
    unsafe _ = ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1)
    unsafe _ = X509_gmtime_adj(X509_getm_notBefore(certificate), 0)
    unsafe _ = X509_gmtime_adj(X509_getm_notAfter(certificate), 3600)
    unsafe _ = X509_set_pubkey(certificate, key)
    let name = unsafe X509_get_subject_name(certificate)
    unsafe _ = X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, "localhost", -1, -1, 0)
    unsafe _ = X509_set_issuer_name(certificate, name)
    guard unsafe X509_sign(certificate, key, EVP_sha256()) > 0,
      unsafe SSL_CTX_use_certificate(context, certificate) == 1, unsafe SSL_CTX_use_PrivateKey(context, key) == 1
    else { throw SetupError("OpenSSL makes no certificate") }
  }
}
#endif
