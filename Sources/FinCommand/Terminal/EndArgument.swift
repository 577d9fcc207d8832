import ArgumentParser
import Fin
import FinDoctor

/// One end of a connection as a user writes it: `127.0.0.1:80`, `[::1]:80`, `[fe80::1%eth0]:80`, `:80`, `*:80`. Names
/// are not resolved; an interface is a number or a name.
struct EndArgument {
  /// The address; nil for every address.
  let address: NetworkAddress?
  let port: UInt16

  /// - Throws: `ValidationError`, which says what is wrong with the text.
  init(_ text: String) throws {
    func refuse(_ why: String) -> ValidationError {
      ValidationError("\(visible(text, limit: 128)) is not an address and port: \(why).")
    }
    guard let colon = text.lastIndex(of: ":") else { throw refuse("write 127.0.0.1:80, [::1]:80 or :80") }
    let digits = text[text.index(after: colon)...]
    guard !digits.isEmpty, digits.allSatisfy(\.isASCIIDigit), let port = UInt16(digits) else {
      throw refuse("a port is a number from 1 to 65535")
    }
    self.port = port
    var host = text[..<colon]
    if host.isEmpty || host == "*" {
      address = nil
      return
    }
    if host.hasPrefix("["), host.hasSuffix("]") {
      host = host.dropFirst().dropLast()
    } else if host.contains(":") {
      throw refuse("an IPv6 address needs brackets")
    }
    do {
      address = NetworkAddress(try IPAddress(parsing: String(host)))
    } catch {
      throw refuse(host.contains(":") ? "\(error)" : "names are not resolved; write the address")
    }
  }

  var place: AddressPort { AddressPort(address, port: port) }

  /// The end of a target, which must have an address.
  func target() throws -> SocketTarget.End {
    guard let address else {
      throw ValidationError("No address before the port \(port): 0.0.0.0 and [::] are those of any address.")
    }
    guard port > 0 else { throw ValidationError("Port 0 names no socket.") }
    return SocketTarget.End(address, port: port)
  }
}

extension Character {
  var isASCIIDigit: Bool { isASCII && isNumber }
}

extension NetworkAddress {
  /// Makes an address from a parsed one, with its interface.
  init(_ parsed: IPAddress) {
    switch parsed {
    case .v4(let v4): self.init(AddressBits(low: UInt64(v4.rawValue)), isIPv6: false)
    case .v6(let v6): self.init(AddressBits(high: v6.high, low: v6.low), isIPv6: true, interface: v6.scope)
    }
  }
}
