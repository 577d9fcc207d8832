import Glibc

/// A source of addresses for the names of endpoints.
///
/// Fin asks it only for names, never for addresses in numbers. Each question is put on a thread of its own, where the
/// resolver may block, and no question is put twice at the same time: callers that ask the same share the answer. A
/// caller that stops waiting is not the resolver's concern; its answer is then dropped.
public protocol Resolver: AnyObject, Sendable {
  /// Returns the addresses that answer `question`, the best first. It may block for as long as it needs.
  ///
  /// The port of an address counts only when the question has a service.
  /// - Throws: the reason why there is no address, such as ``ResolveError/notFound(name:reason:code:)``.
  func addresses(for question: NameQuestion) throws(ResolveError) -> [SocketAddress]
}

/// A question to a ``Resolver``.
public struct NameQuestion: Hashable, Sendable {
  /// The name of the host, as the endpoint has it; empty when only the port of a service is asked for.
  public let name: String
  /// The name of the service whose port is asked for, if the endpoint has one.
  public let service: String?
  /// The only family to return; `nil` for every family.
  public let family: AddressFamily?
  /// The kind of the socket to be made.
  public let kind: SocketKind

  /// Makes a question, for tests of resolvers.
  public init(name: String, service: String? = nil, family: AddressFamily? = nil, kind: SocketKind = .stream) {
    self.name = name
    self.service = service
    self.family = family
    self.kind = kind
  }

  /// Whether the answer is in files of this machine: a service without a host, or a name below `localhost`
  /// (RFC 6761, section 6.3).
  var isLocal: Bool {
    var host = name.lowercased()
    if host.hasSuffix(".") { host.removeLast() }
    return host.isEmpty || host == "localhost" || host.hasSuffix(".localhost")
  }

  /// The name of the question in errors.
  var subject: String { name.isEmpty ? service ?? "" : name }
}

/// The resolver of the C library, `getaddrinfo(3)`: `/etc/hosts`, name servers, and the other modules of
/// `/etc/nsswitch.conf`, sorted by the rules of RFC 6724.
public final class SystemResolver: Resolver {
  /// The only instance.
  public static let shared = SystemResolver()

  private init() {}

  /// Calls `getaddrinfo` and waits without a timeout.
  public func addresses(for question: NameQuestion) throws(ResolveError) -> [SocketAddress] {
    var hints = unsafe addrinfo()
    unsafe hints.ai_family = question.family?.rawValue ?? AF_UNSPEC
    // The C library does not know SOCK_SEQPACKET, whose services are those of streams.
    unsafe hints.ai_socktype = question.kind == .datagram ? SocketKind.datagram.rawValue : SocketKind.stream.rawValue
    var list: UnsafeMutablePointer<addrinfo>? = nil
    // Without a host, getaddrinfo returns the loopback address, of which only the port is used.
    let host = question.name.isEmpty ? nil : question.name
    let code = unsafe getaddrinfo(host, question.service, &hints, &list)
    guard code == 0 else { throw failure(code, question) }
    defer { unsafe freeaddrinfo(list) }
    let found = unsafe SystemResolver.addresses(in: list)
    guard !found.isEmpty else { throw failure(EAI_NONAME, question) }
    return found
  }

  /// Returns the addresses of a list that `getaddrinfo` made, in its order.
  static func addresses(in list: UnsafePointer<addrinfo>?) -> [SocketAddress] {
    var found: [SocketAddress] = []
    var next = unsafe list
    while let entry = unsafe next {
      unsafe next = UnsafePointer(entry.pointee.ai_next)
      guard let pointer = unsafe entry.pointee.ai_addr,
        let address = unsafe SocketAddress(pointer, length: entry.pointee.ai_addrlen), address.ip != nil
      else { continue }
      found.append(address)
    }
    return found
  }

  private func failure(_ code: CInt, _ question: NameQuestion) -> ResolveError {
    if code == EAI_SERVICE, let service = question.service { return .unknownService(name: service) }
    let reason = unsafe String(cString: gai_strerror(code))
    switch code {
    case EAI_AGAIN, EAI_MEMORY, EAI_SYSTEM: return .unavailable(name: question.subject, reason: reason, code: code)
    default: return .notFound(name: question.subject, reason: reason, code: code)
    }
  }
}
