internal import FinBase

/// The address to connect to or listen on, as a user writes it.
///
/// | text | means |
/// | --- | --- |
/// | `example.net:80`, `localhost:http` | a host name and a port number or service name, looked up by `resolve` |
/// | `1.2.3.4:80`, `[::1]:80`, `[fe80::1%eth0]:80` | a numeric address |
/// | `:80`, `*:80` | every address when listening (a ``Listener`` of both families), this machine when connecting |
/// | `/run/x.sock`, `./x.sock`, `../x.sock`, `unix:x.sock` | the path of a Unix socket |
/// | `@name` | the abstract name of a Unix socket |
///
/// In a path `\xHH` stands for one byte and `\x5c` for a backslash.
///
/// A literal never traps: its refusal is stored in `problem`, and `resolve` throws it before any system call.
/// `Endpoint("...")` with a literal argument is such a literal too. A text that is no literal is parsed by
/// `init(parsing:)`, which throws the refusal at once.
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

  /// Parses a text in one of the forms of the table above.
  /// - Throws: `AddressError` with the reason and the position.
  public init(parsing text: String) throws(AddressError) {
    let source = AddressText(text)
    if let path = try UnixPath(readingAddress: source) {
      form = .unix(path)
    } else {
      let parts = try HostAndPort(reading: source)
      let host = try Host(reading: source, parts)
      form = .host(host, try Port(reading: source, parts.port))
    }
  }

  /// Makes an endpoint from an address, which needs no lookup.
  public init(_ address: SocketAddress) {
    form =
      switch address {
      case .ip(let ip, let port): .host(.ip(ip), .number(port))
      case .unix(let path): .unix(path)
      }
  }

  /// Makes an endpoint from a host and a port.
  ///
  /// - Parameters:
  ///   - host: A name, an IPv4 address, or an IPv6 address with or without brackets; empty or `*` as in `:80`. A
  ///     refusal is stored in `problem`.
  ///   - port: The port; 0 lets the kernel choose.
  public init(host: String, port: UInt16) {
    let source = AddressText(host)
    do throws(AddressError) {
      form = .host(try Host(readingAlone: source), .number(port))
    } catch {
      form = .refused(error)
    }
  }

  /// The refusal of the text, or nil if the text could be parsed.
  public var problem: AddressError? {
    if case .refused(let error) = form { return error }
    return nil
  }

  /// Whether the text names no host, as `:80`.
  var isAnywhere: Bool {
    if case .host(.anywhere, _) = form { return true }
    return false
  }

  #if TLS
  /// The name or the IP address of the host, without a zone; `nil` for a Unix socket.
  var hostName: String? {
    switch form {
    case .host(.name(let name), _): name
    case .host(.ip(let ip), _): String("\(ip)".prefix { $0 != "%" })
    case .host(.anywhere, _): "localhost"
    case .unix, .refused: nil
    }
  }
  #endif

  /// The address, if it needs no lookup and is the same for connecting and listening; otherwise nil.
  public var address: SocketAddress? {
    switch form {
    case .unix(let path): .unix(path)
    case .host(.ip(let ip), .number(let port)): .ip(ip, port: port)
    case .host, .refused: nil
    }
  }
}

extension Endpoint: ExpressibleByStringLiteral, ExpressibleByStringInterpolation {
  /// Parses a literal. A refusal is stored in `problem`.
  public init(stringLiteral text: String) {
    do throws(AddressError) {
      try self.init(parsing: text)
    } catch {
      self.init(form: .refused(error))
    }
  }
}

extension Endpoint: CustomStringConvertible {
  /// A text that parses back to the same endpoint. For a refused text, the text as given, with `\xHH` for every byte
  /// that is not printable.
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
