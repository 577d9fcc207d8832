import ArgumentParser
import FinDoctor

/// One end of a connection as a user writes it: `127.0.0.1:80`, `[::1]:80`, `[fe80::1%eth0]:80`, `:80`, `*:80`. Names
/// of hosts are not resolved.
struct EndArgument {
  /// The address; nil for every address.
  let address: WrittenAddress?
  let port: UInt16

  /// - Throws: `ValidationError`, which says what is wrong with the text.
  init(_ text: String) throws {
    do {
      let end = try WrittenEnd(parsing: text)
      (address, port) = (end.address, end.port)
    } catch {
      throw ValidationError("\(error).")
    }
  }

  var place: AddressPort { AddressPort(written: address, port: port) }

  /// The end of a target, which must have an address.
  func target() throws -> SocketTarget.End {
    guard let address else {
      throw ValidationError("No address before the port \(port): 0.0.0.0 and [::] are those of any address.")
    }
    guard port > 0 else { throw ValidationError("Port 0 names no socket.") }
    return SocketTarget.End(written: address, port: port)
  }
}

extension Character {
  var isASCIIDigit: Bool { isASCII && isNumber }
}
