#if TLS
internal import COpenSSL

/// The error queue of OpenSSL, which belongs to the thread. No other code reads it: a call of OpenSSL begins with an
/// empty queue, and the errors that it left are taken before the thread does anything else.
enum TLSErrors {
  /// Empties the queue, so that no error of an earlier call is taken for one of the next.
  static func clear() {
    // Emptying goes through every place of the queue, also where there is nothing in it.
    if ERR_peek_error() != 0 { ERR_clear_error() }
  }

  /// Takes all errors out of the queue.
  ///
  /// - Returns: the first one in words, which is the cause of the others.
  static func take() -> String {
    let code = ERR_get_error()
    defer { ERR_clear_error() }
    guard code != 0 else { return "OpenSSL names no cause" }
    let reason = fin_tls_reason(code)
    // An alert of the peer is reported as its number above this offset (SSL_AD_REASON_OFFSET).
    if fin_tls_library(code) == ERR_LIB_SSL, reason >= alertOffset {
      let alert = reason - alertOffset
      let name = unsafe String(cString: SSL_alert_desc_string_long(alert))
      return "the peer refused with the alert “\(name)”" + (cure(of: alert).map { ": \($0)" } ?? "")
    }
    if fin_tls_library(code) == ERR_LIB_SSL, let words = words(for: reason) { return words }
    guard let text = unsafe ERR_reason_error_string(code) else { return "OpenSSL's error \(code)" }
    return unsafe String(cString: text)
  }

  private static let alertOffset: CInt = 1000

  private static func cure(of alert: CInt) -> String? {
    switch alert {
    case SSL_AD_UNKNOWN_CA: "it does not trust the issuer of this side's certificate"
    case SSL_AD_CERTIFICATE_EXPIRED: "this side's certificate has expired"
    case SSL_AD_BAD_CERTIFICATE, SSL_AD_CERTIFICATE_UNKNOWN: "it does not accept this side's certificate"
    case TLS13_AD_CERTIFICATE_REQUIRED: "it requires a certificate of the client: give an identity"
    case SSL_AD_PROTOCOL_VERSION:
      "the two sides have no version of TLS in common: one of them needs an update, or asks for too late a version"
    case SSL_AD_HANDSHAKE_FAILURE: "the two sides have no cipher in common, or it requires a certificate of the client"
    case TLS1_AD_NO_APPLICATION_PROTOCOL: "the two sides have no application protocol (ALPN) in common"
    case TLS1_AD_UNRECOGNIZED_NAME: "it does not serve the name that was asked for"
    default: nil
    }
  }

  private static func words(for reason: CInt) -> String? {
    switch reason {
    case SSL_R_WRONG_VERSION_NUMBER, SSL_R_HTTP_REQUEST, SSL_R_UNKNOWN_PROTOCOL:
      "the peer does not speak TLS here: is the port right?"
    case SSL_R_NO_SHARED_CIPHER: "the two sides have no cipher in common"
    case SSL_R_UNSUPPORTED_PROTOCOL, SSL_R_VERSION_TOO_LOW, SSL_R_WRONG_SSL_VERSION:
      "the two sides have no version of TLS in common: the peer speaks older ones than this side accepts (atLeast:)"
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE: "the client sent no certificate, which this server requires"
    case SSL_R_EXCESSIVE_MESSAGE_SIZE: "a message of the handshake is too long, such as a chain above 100 KiB"
    case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC: "a record was changed on its way, or was made with other keys"
    default: nil
    }
  }
}
#endif
