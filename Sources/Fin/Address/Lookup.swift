import Glibc
import Synchronization

/// One question to the system's resolver, and the thread that asks it.
///
/// `getaddrinfo` cannot be cancelled and may take as long as every name server in /etc/resolv.conf does. So each question
/// gets a thread of its own, which belongs to nobody: whoever asked may stop waiting at any moment, and the answer is
/// then dropped where it arrives. How many such threads there may be is limited by `Slots`.
struct Lookup: Sendable {
  typealias Answer = Result<[SocketAddress], ResolveError>

  /// The host's name; without meaning when `address` is known.
  let name: String
  /// The host's address, when only the service's port is asked for.
  let address: IPAddress?
  let port: Endpoint.Port
  let family: AddressFamily?
  let kind: SocketKind
  /// How many addresses to keep.
  let limit: Int

  /// What errors call the question by.
  var subject: String {
    if case .service(let service) = port, address != nil { return service }
    return name
  }

  /// Asks and waits for the answer, as long as there is time.
  ///
  /// - Parameter question: What takes the place of the system's resolver in tests.
  func answer(
    within duration: Duration, slots: Slots = .shared,
    asking question: @escaping @Sendable (Lookup) -> Answer = { $0.ask() }
  ) throws(ResolveError) -> [SocketAddress] {
    guard duration > .zero else { throw .timedOut(name: subject, after: duration) }
    let rendezvous = Rendezvous<Answer>()
    try begin(slots: slots, asking: question) { rendezvous.deliver($0) }
    guard let answer = rendezvous.wait(for: duration) else { throw .timedOut(name: subject, after: duration) }
    return try answer.get()
  }

  /// Asks in a new thread and returns at once.
  ///
  /// - Parameter deliver: Gets the answer exactly once, in the thread that asked; it must not block.
  /// - Throws: `.tooManyLookups` or `.noThread`; then `deliver` is never called.
  func begin(
    slots: Slots = .shared, asking question: @escaping @Sendable (Lookup) -> Answer = { $0.ask() },
    then deliver: @escaping @Sendable (Answer) -> Void
  ) throws(ResolveError) {
    guard slots.take() else { throw .tooManyLookups(limit: slots.limit) }
    // The resolver's modules keep whole packets on the stack; this is eight times what they use.
    let code = Threads.start(stack: 512 << 10) {
      let answer = question(self)
      // Before the delivery: whoever got the answer may ask again at once.
      slots.giveBack()
      deliver(answer)
    }
    guard code == 0 else {
      slots.giveBack()
      throw .noThread(code: code)
    }
  }

  /// Calls `getaddrinfo`, and waits as long as it takes.
  func ask() -> Answer {
    var hints = unsafe addrinfo()
    unsafe hints.ai_family = family?.rawValue ?? AF_UNSPEC
    // The resolver knows no sequenced packets; their services are those of streams.
    unsafe hints.ai_socktype = kind == .datagram ? SocketKind.datagram.rawValue : SocketKind.stream.rawValue
    var service: String?
    if case .service(let name) = port { service = name }
    // Without a host it answers with the loopback address, of which only the port is used.
    if let address { unsafe hints.ai_family = address.family.rawValue }
    var list: UnsafeMutablePointer<addrinfo>? = nil
    let code = unsafe getaddrinfo(address == nil ? name : nil, service, &hints, &list)
    guard code == 0 else { return .failure(failure(code)) }
    defer { unsafe freeaddrinfo(list) }
    let found = unsafe addresses(in: list)
    guard !found.isEmpty else { return .failure(failure(EAI_NONAME)) }
    return .success(found)
  }

  /// The addresses of a list that `getaddrinfo` made, in its order, each once, no more than the limit.
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
  /// How many questions may be unanswered at one time. A name server that never answers would else gather threads.
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
