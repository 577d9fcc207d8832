#if TLS
internal import COpenSSL
internal import Glibc

/// A certificate that the peer showed: X.509, RFC 5280.
public struct TLSCertificate: Hashable, Sendable {
  /// The certificate in its binary form, DER.
  public let der: [UInt8]
  /// The name of its owner, such as `/O=Example/CN=example.net`.
  public let subject: String
  /// The name of the authority that signed it.
  public let issuer: String
  /// The DNS names and IP addresses that it is for: `subjectAltName`.
  public let names: [String]
  /// The first day of its time, such as `2026-01-31`, in UTC.
  public let validFrom: String
  /// The last day of its time.
  public let validUntil: String
  /// SHA-256 of its public key (SubjectPublicKeyInfo), in hexadecimal: the value to pin.
  public let keyFingerprint: String

  /// Reads a certificate of OpenSSL's.
  @safe init(_ certificate: OpaquePointer) {
    der = unsafe encoded { unsafe i2d_X509(certificate, $0) }
    subject = unsafe text(of: X509_get_subject_name(certificate))
    issuer = unsafe text(of: X509_get_issuer_name(certificate))
    names = unsafe alternativeNames(of: certificate)
    validFrom = unsafe day(X509_get0_notBefore(certificate))
    validUntil = unsafe day(X509_get0_notAfter(certificate))
    keyFingerprint = unsafe fingerprint(ofKeyOf: certificate)
  }

  /// The name by which a sentence calls the certificate.
  var title: String { names.isEmpty ? subject : names.prefix(5).joined(separator: ", ") }
}

/// SHA-256 of a certificate's SubjectPublicKeyInfo, in hexadecimal.
func fingerprint(ofKeyOf certificate: OpaquePointer) -> String {
  let key = unsafe encoded { unsafe i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), $0) }
  var digest = [UInt8](repeating: 0, count: 32)
  var length: CUnsignedInt = 0
  guard !key.isEmpty, unsafe EVP_Digest(key, key.count, &digest, &length, EVP_sha256(), nil) == 1 else { return "" }
  let digits = Array("0123456789abcdef".unicodeScalars)
  return digest.reduce(into: "") { text, byte in
    text.unicodeScalars.append(digits[Int(byte >> 4)])
    text.unicodeScalars.append(digits[Int(byte & 15)])
  }
}

/// Encodes as DER: the first call asks for the length, the second one writes.
private func encoded(_ write: (UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>?) -> CInt) -> [UInt8] {
  let length = write(nil)
  guard length > 0 else { return [] }
  return [UInt8](capacity: Int(length)) { output in
    unsafe output.withUnsafeMutableBufferPointer { buffer, count in
      var place = buffer.baseAddress
      count = unsafe max(0, min(Int(write(&place)), buffer.count))
    }
  }
}

private func text(of name: OpaquePointer?) -> String {
  var room = [CChar](repeating: 0, count: 512)
  guard unsafe X509_NAME_oneline(name, &room, CInt(room.count)) != nil else { return "" }
  return String(decoding: room.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

private func day(_ time: UnsafePointer<ASN1_TIME>?) -> String {
  var parts = unsafe tm()
  guard unsafe ASN1_TIME_to_tm(time, &parts) == 1 else { return "an unknown day" }
  func digits(_ number: CInt) -> String { number < 10 ? "0\(number)" : "\(number)" }
  return unsafe "\(parts.tm_year + 1900)-\(digits(parts.tm_mon + 1))-\(digits(parts.tm_mday))"
}

private func alternativeNames(of certificate: OpaquePointer) -> [String] {
  guard let list = unsafe X509_get_ext_d2i(certificate, NID_subject_alt_name, nil, nil) else { return [] }
  let all = OpaquePointer(list)
  defer { unsafe GENERAL_NAMES_free(all) }
  var names: [String] = []
  for index in 0..<(unsafe fin_tls_name_count(all)) {
    guard let name = unsafe fin_tls_name(all, index) else { continue }
    var type: CInt = 0
    guard let value = unsafe GENERAL_NAME_get0_value(name, &type) else { continue }
    let string = unsafe value.assumingMemoryBound(to: ASN1_STRING.self)
    let bytes = unsafe UnsafeBufferPointer(
      start: ASN1_STRING_get0_data(string), count: Int(ASN1_STRING_length(string)))
    switch (type, bytes.count) {
    case (GEN_DNS, _): names.append(unsafe String(decoding: bytes, as: UTF8.self))
    case (GEN_IPADD, 4): names.append(unsafe "\(IPv4Address(bytes[0], bytes[1], bytes[2], bytes[3]))")
    case (GEN_IPADD, 16):
      let all = unsafe Array(bytes)
      let halves = [all[..<8], all[8...]].map { $0.reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
      names.append("\(IPv6Address(high: halves[0], low: halves[1]))")
    default: break
    }
  }
  return names
}
#endif
