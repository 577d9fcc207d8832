/// Where to connect or listen, as people write it.
///
/// | text | means |
/// | --- | --- |
/// | `example.net:80`, `localhost:http` | a name and a port's number or a service's name, looked up by `resolve` |
/// | `1.2.3.4:80`, `[::1]:80`, `[fe80::1%eth0]:80` | an address in numbers |
/// | `:80`, `*:80` | every address when listening, this machine when connecting |
/// | `/run/x.sock`, `./x.sock`, `../x.sock`, `unix:x.sock` | a Unix socket's path |
/// | `@name` | a Unix socket's abstract name |
///
/// In a path `\xHH` stands for one byte and `\x5c` for a backslash.
///
/// A literal never traps: what cannot be read is kept as `problem`, and `resolve` throws it before any system call.
/// `Endpoint("...")` with a literal is such a literal too; use `init(parsing:)` to have the refusal at once.
public struct Endpoint: Hashable, Sendable {
  enum Host: Hashable, Sendable {
    case anywhere
    case ip(IPAddress)
    case name(String)
  }

  enum Port: Hashable, Sendable {
    case number(UInt16)
    case service(String)
  }

  enum Form: Hashable, Sendable {
    case unix(UnixPath)
    case host(Host, Port)
    case refused(AddressError)
  }

  let form: Form

  private init(form: Form) { self.form = form }

  /// Reads what a person wrote, the forms in the table above.
  /// - Throws: What is not so, and where.
  public init(parsing text: String) throws(AddressError) {
    let source = AddressText(text)
    if let path = try UnixPath(readingAddress: source) {
      form = .unix(path)
    } else {
      let parts = try HostAndPort(splitting: source)
      let host = try Host(reading: source, parts)
      form = .host(host, try Port(reading: source, parts.port))
    }
  }

  /// The same as `init(parsing:)`. With a literal in the parentheses Swift takes the literal's way instead, which keeps
  /// the refusal for `resolve`.
  /// - Throws: What is not so, and where.
  public init(_ text: String) throws(AddressError) {
    try self.init(parsing: text)
  }

  /// An address that needs no looking up.
  public init(_ address: SocketAddress) {
    form =
      switch address {
      case .ip(let ip, let port): .host(.ip(ip), .number(port))
      case .unix(let path): .unix(path)
      }
  }

  /// A host and a port.
  ///
  /// - Parameters:
  ///   - host: A name, an IPv4 address, or an IPv6 address with or without brackets; empty or `*` as in `:80`. What
  ///     cannot be read is kept as `problem`.
  ///   - port: The port, 0 for one that the kernel is to choose.
  public init(host: String, port: UInt16) {
    let source = AddressText(host)
    do throws(AddressError) {
      form = .host(try Host(readingAlone: source), .number(port))
    } catch {
      form = .refused(error)
    }
  }

  /// Why the text could not be read, or nil when it could.
  public var problem: AddressError? {
    if case .refused(let error) = form { return error }
    return nil
  }

  /// The address, when it is one that needs no looking up and does not depend on what it is for.
  public var address: SocketAddress? {
    switch form {
    case .unix(let path): .unix(path)
    case .host(.ip(let ip), .number(let port)): .ip(ip, port: port)
    case .host, .refused: nil
    }
  }
}

extension Endpoint: ExpressibleByStringLiteral, ExpressibleByStringInterpolation {
  /// Reads a literal, and keeps the refusal when it cannot be read.
  public init(stringLiteral text: String) {
    do throws(AddressError) {
      try self.init(parsing: text)
    } catch {
      self.init(form: .refused(error))
    }
  }
}

extension Endpoint: CustomStringConvertible {
  /// A text that reads back to the same endpoint; for one that could not be read, the text as given, with `\xHH` for what
  /// does not print.
  public var description: String {
    switch form {
    case .unix(let path): return SocketAddress.unix(path).description
    case .refused(let error): return printable(error.text.utf8)
    case .host(let host, let port):
      let portText =
        switch port {
        case .number(let number): String(number)
        case .service(let name): name
        }
      switch host {
      case .anywhere: return ":\(portText)"
      case .ip(.v4(let address)): return "\(address):\(portText)"
      case .ip(.v6(let address)): return "[\(address)]:\(portText)"
      case .name(let name): return "\(name):\(portText)"
      }
    }
  }
}
