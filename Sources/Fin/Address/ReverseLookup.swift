internal import FinBase
internal import Glibc
internal import Synchronization

/// A question for the name of an address or of a port, put to the C library on a thread of its own.
///
/// The library cannot be interrupted: a caller may stop waiting at any moment, and the question goes on. The number of
/// threads is limited.
struct ReverseLookup: Sendable {
  typealias Answer = Result<String?, ResolveError>

  /// The address, and the port whose service is asked for; either may be unspecified.
  let address: SocketAddress
  let isForService: Bool
  let kind: SocketKind

  /// The number of questions that are not answered yet.
  private static let running = Mutex(0)
  /// The most questions at once.
  static let limit = 64

  /// The name of the question in errors.
  var subject: String {
    switch address {
    case .ip(let ip, let port): isForService ? "port \(port)" : ip.description
    case .unix: ""
    }
  }

  /// Asks the question, and waits in a thread for the answer until the timeout.
  func answer(within duration: Duration) throws(ResolveError) -> String? {
    guard duration > .zero else { throw .timedOut(name: subject, after: duration) }
    let rendezvous = OneShot<Answer>()
    try begin(rendezvous)
    guard let answer = rendezvous.wait(for: duration) else { throw .timedOut(name: subject, after: duration) }
    return try answer.get()
  }

  /// Asks the question, and returns at once.
  func begin(_ rendezvous: OneShot<Answer>) throws(ResolveError) {
    let isWithinLimit = Self.running.withLock { running in
      if running >= Self.limit { return false }
      running += 1
      return true
    }
    guard isWithinLimit else { throw .tooManyLookups(limit: Self.limit) }
    let code = DetachedThread.start(stack: 512 << 10) {
      let answer = ask()
      Self.running.withLock { $0 -= 1 }
      rendezvous.deliver(answer)
    }
    guard code == 0 else {
      Self.running.withLock { $0 -= 1 }
      throw .noThread(code: code)
    }
  }

  /// Calls `getnameinfo(3)`.
  private func ask() -> Answer {
    var flags = isForService ? NI_NUMERICHOST : NI_NAMEREQD
    if kind == .datagram { flags |= NI_DGRAM }
    // NI_MAXHOST is 1025; no service has a name as long.
    var text = [CChar](repeating: 0, count: 1025)
    let code = unsafe address.withSockaddr { pointer, length in
      unsafe text.withUnsafeMutableBufferPointer { text in
        let size = socklen_t(text.count)
        return isForService
          ? unsafe getnameinfo(pointer, length, nil, 0, text.baseAddress, size, flags)
          : unsafe getnameinfo(pointer, length, text.baseAddress, size, nil, 0, flags)
      }
    }
    let name = String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    switch code {
    case 0: return .success(isForService && name == address.port.map { "\($0)" } ? nil : name)
    case EAI_NONAME where isForService: return .success(nil)
    case EAI_AGAIN, EAI_MEMORY, EAI_SYSTEM:
      return .failure(.unavailable(name: subject, reason: unsafe String(cString: gai_strerror(code)), code: code))
    default:
      return .failure(.notFound(name: subject, reason: unsafe String(cString: gai_strerror(code)), code: code))
    }
  }
}

extension IPAddress {
  /// Returns the name of the host with this address, as `/etc/hosts` and name servers have it.
  ///
  /// The owner of an address decides on its name: it proves nothing, and is for logs. Look its addresses up
  /// (``Endpoint``) before believing it. The corresponding C function is `getnameinfo` with `NI_NAMEREQD`, and
  /// `socket.gethostbyaddr` in Python. It is asked on a thread of its own, because it cannot be interrupted; 64
  /// questions are open at most.
  /// - Parameter timeout: the timeout of the lookup; by default 10 s.
  /// - Throws: `.notFound` when the address has no name; `.unavailable` when no name server answered; `.timedOut`;
  ///   `.tooManyLookups`, `.noThread`.
  @available(*, noasync, message: "it blocks the thread while the name is looked up")
  public func name(within timeout: Timeout = .default) throws(ResolveError) -> String {
    let lookup = reverseLookup
    guard let name = try lookup.answer(within: timeout.forLookup) else { throw lookup.missing }
    return name
  }

  var reverseLookup: ReverseLookup {
    ReverseLookup(address: .ip(canonical, port: 0), isForService: false, kind: .stream)
  }
}

extension ReverseLookup {
  /// The error for an address without a name.
  var missing: ResolveError { .notFound(name: subject, reason: "it has none", code: EAI_NONAME) }
}

extension SystemResolver {
  /// Returns the name of the service at this port, as `/etc/services` has it: `http` for 80.
  ///
  /// The corresponding C function is `getnameinfo`, and `socket.getservbyport` in Python. It is asked on a thread of
  /// its own.
  /// - Parameters:
  ///   - port: the number of the port.
  ///   - kind: the kind of the socket: some ports have one service over TCP and another over UDP.
  ///   - timeout: the timeout of the lookup; by default 10 s.
  /// - Returns: `nil` when there is no such service.
  /// - Throws: `.unavailable`, `.timedOut`, `.tooManyLookups`, `.noThread`.
  @available(*, noasync, message: "it blocks the thread while the name is looked up")
  public func serviceName(
    at port: UInt16, kind: SocketKind = .stream, within timeout: Timeout = .default
  ) throws(ResolveError) -> String? {
    try serviceLookup(port, kind).answer(within: timeout.forLookup)
  }

  func serviceLookup(_ port: UInt16, _ kind: SocketKind) -> ReverseLookup {
    ReverseLookup(address: .any(port: port), isForService: true, kind: kind)
  }
}
