internal import FinBase
import Glibc
import Synchronization

/// A query to the system's resolver, and the thread that makes it.
///
/// `getaddrinfo` cannot be cancelled and may take as long as every name server in /etc/resolv.conf does. Each query
/// therefore runs on its own detached thread: the caller may stop waiting at any moment, and the answer is then dropped
/// on arrival. `Slots` limits the number of such threads.
struct Lookup: Sendable {
  typealias Answer = Result<[SocketAddress], ResolveError>

  /// The host's name; unused if `address` is known.
  let name: String
  /// The host's address, if only the service's port is looked up.
  let address: IPAddress?
  let port: Endpoint.Port
  let family: AddressFamily?
  let kind: SocketKind
  /// The maximum number of addresses to keep.
  let limit: Int

  /// The name of the query in errors.
  var subject: String {
    if case .service(let service) = port, address != nil { return service }
    return name
  }

  /// Makes the query and waits for the answer until the timeout.
  ///
  /// - Parameter question: A replacement for the system's resolver in tests.
  func answer(
    within duration: Duration, slots: Slots = .shared,
    asking question: @escaping @Sendable (Lookup) -> Answer = { $0.ask() }
  ) throws(ResolveError) -> [SocketAddress] {
    guard duration > .zero else { throw .timedOut(name: subject, after: duration) }
    let rendezvous = OneShot<Answer>()
    try begin(slots: slots, asking: question) { rendezvous.deliver($0) }
    guard let answer = rendezvous.wait(for: duration) else { throw .timedOut(name: subject, after: duration) }
    return try answer.get()
  }

  /// Starts the query on a new thread and returns at once.
  ///
  /// - Parameter deliver: Receives the answer exactly once, on the query's thread; it must not block.
  /// - Throws: `.tooManyLookups` or `.noThread`; then `deliver` is never called.
  func begin(
    slots: Slots = .shared, asking question: @escaping @Sendable (Lookup) -> Answer = { $0.ask() },
    then deliver: @escaping @Sendable (Answer) -> Void
  ) throws(ResolveError) {
    guard slots.take() else { throw .tooManyLookups(limit: slots.limit) }
    // The resolver's modules keep whole packets on the stack; this is eight times as much as they use.
    let code = DetachedThread.start(stack: 512 << 10) {
      let answer = question(self)
      // Before the delivery: the caller that receives the answer may start another query at once.
      slots.giveBack()
      deliver(answer)
    }
    guard code == 0 else {
      slots.giveBack()
      throw .noThread(code: code)
    }
  }

  /// Calls `getaddrinfo` and waits without a timeout.
  func ask() -> Answer {
    var hints = unsafe addrinfo()
    unsafe hints.ai_family = family?.rawValue ?? AF_UNSPEC
    // The resolver does not know SOCK_SEQPACKET, whose services are those of streams.
    unsafe hints.ai_socktype = kind == .datagram ? SocketKind.datagram.rawValue : SocketKind.stream.rawValue
    var service: String?
    if case .service(let name) = port { service = name }
    // Without a host, getaddrinfo returns the loopback address, of which only the port is used.
    if let address { unsafe hints.ai_family = address.family.rawValue }
    var list: UnsafeMutablePointer<addrinfo>? = nil
    let code = unsafe getaddrinfo(address == nil ? name : nil, service, &hints, &list)
    guard code == 0 else { return .failure(failure(code)) }
    defer { unsafe freeaddrinfo(list) }
    let found = unsafe addresses(in: list)
    guard !found.isEmpty else { return .failure(failure(EAI_NONAME)) }
    return .success(found)
  }

  /// Returns the addresses of a list that `getaddrinfo` made, in its order, each once, up to the limit.
  func addresses(in list: UnsafePointer<addrinfo>?) -> [SocketAddress] {
    var found: [SocketAddress] = []
    var next = unsafe list
    while let entry = unsafe next, found.count < max(limit, 1) {
      unsafe next = UnsafePointer(entry.pointee.ai_next)
      guard let pointer = unsafe entry.pointee.ai_addr,
        case .ip(let ip, let listed) = unsafe SocketAddress(pointer, length: entry.pointee.ai_addrlen)
      else { continue }
      let result: SocketAddress
      switch port {
      case .number(let number): result = .ip(address ?? ip, port: number)
      case .service: result = .ip(address ?? ip, port: listed)
      }
      if !found.contains(result) { found.append(result) }
    }
    return found
  }

  private func failure(_ code: CInt) -> ResolveError {
    if code == EAI_SERVICE, case .service(let service) = port { return .unknownService(name: service) }
    let reason = unsafe String(cString: gai_strerror(code))
    switch code {
    case EAI_AGAIN, EAI_MEMORY, EAI_SYSTEM: return .unavailable(name: subject, reason: reason, code: code)
    default: return .notFound(name: subject, reason: reason, code: code)
    }
  }
}

extension Lookup {
  /// A limit on the number of unanswered queries. Without it, a name server that never answers would
  /// accumulate threads.
  final class Slots: Sendable {
    static let shared = Slots(limit: 256)

    let limit: Int
    private let taken = Atomic<Int>(0)

    init(limit: Int) { self.limit = limit }

    var isIdle: Bool { taken.load(ordering: .acquiring) == 0 }

    func take() -> Bool {
      guard taken.wrappingAdd(1, ordering: .acquiringAndReleasing).newValue <= limit else {
        giveBack()
        return false
      }
      return true
    }

    func giveBack() { taken.wrappingSubtract(1, ordering: .releasing) }
  }
}
