import ArgumentParser
import Fin
import FinBase

/// The options `--proxy` and `--trust` of a server.
enum TrustedProxies {
  /// Reads the addresses of the proxies that are trusted.
  /// - Returns: Nil if no header is to be read.
  static func parse(_ trust: [String], isWanted: Bool) throws -> [AddressPrefix]? {
    guard isWanted == !trust.isEmpty else {
      throw ValidationError("--proxy and --trust belong together: a header is believed from named proxies only.")
    }
    guard isWanted else { return nil }
    return try trust.map { text in
      guard let prefix = AddressPrefix(text) else {
        let shown = printable(text.utf8, limit: 128)
        throw ValidationError("\(shown): --trust needs an address, or a block such as 10.0.0.0/8 or fd00::/8.")
      }
      return prefix
    }
  }
}
